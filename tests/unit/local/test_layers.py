"""Which layer of an install a local build goes on from."""

from __future__ import annotations

from datetime import UTC, datetime

from bakehouse.local.layers import EVERYTHING, InstallState, LayerRecord, best_layer, install_state
from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.render import render

COMMIT = Commit(
    sha="c0ffee" * 6 + "c0ff",
    ref="main",
    subject="A",
    author_time=datetime(2026, 11, 23, tzinfo=UTC),
    author="A <a@example.org>",
)
FILES = {
    "install.d/10-packages.sh.j2": "apt-get install {{ vars.package | sh }}\n",
    "install.d/20-app.sh.j2": "cp files/app /usr/bin/app\n",
    "install.d/30-user.sh.j2": "useradd app\n",
    "files/app": "app 1\n",
    "files/notes": "not read by any part\n",
    "templates/etc/app.conf.j2": "{{ greeting }}\n",
    "health": "true\n",
    "smoke_test.sh": "true\n",
}
PARTS = ("install.d/10-packages.sh", "install.d/20-app.sh", "install.d/30-user.sh")
READS = {
    1: (PARTS[0],),
    2: (*PARTS[:2], "files/app"),
    3: (*PARTS, "files/app"),
}


def state(
    change: dict[str, str | None] | None = None,
    *,
    base: str = "1",
    package: str = "nginx",
    recipe: str = "",
    guest: dict[str, GitFile] | None = None,
) -> InstallState:
    texts = {path: text for path, text in {**FILES, **(change or {})}.items() if text is not None}
    files = {f"app/{path}": GitFile(0o100644, text.encode()) for path, text in texts.items()}
    smoke = "smoke: {metadata: {greeting: hello}}\n"
    form = f"base: debian-cloud/debian-12\nvars: {{package: {package}}}\n{smoke}{recipe}"
    model = load_recipe(form.encode(), "include/recipes/app.yaml")
    rendered = render(model, COMMIT, {**guest_scripts(), **files})
    parts = sorted(
        path.removeprefix("app/").removesuffix(".j2") for path in files if "/install.d/" in path
    )
    return install_state(rendered, base, guest or guest_scripts(), parts)


def layers(made: InstallState | None = None, reads: str | None = None) -> list[LayerRecord]:
    """One after each part, as a build of FILES keeps them."""
    return [
        LayerRecord(
            image=f"layer-app-{number}",
            image_id=str(number),
            self_link=f"global/images/layer-app-{number}",
            recipe="app",
            parts=number,
            state=made or state(),
            reads=(reads,) if reads is not None else READS[number],
        )
        for number in (1, 2, 3)
    ]


def parts_of(now: InstallState, known: list[LayerRecord] | None = None) -> int:
    """How many parts need not be installed again."""
    found = best_layer(layers() if known is None else known, now)
    return found.parts if found else 0


def test_nothing_is_installed_again_where_the_install_is_unchanged() -> None:
    assert parts_of(state()) == 3
    assert parts_of(state({"smoke_test.sh": "false\n"})) == 3
    assert parts_of(state({"templates/etc/app.conf.j2": "{{ greeting }}!\n"})) == 3
    assert parts_of(state({"templates/etc/more.conf": "more\n"})) == 3
    assert parts_of(state({"health": "exit 1\n"})) == 3
    assert parts_of(state({"health": None, "gate": "true\n", "drain": "true\n"})) == 3
    assert parts_of(state({"files/notes": "changed, and still not read\n"})) == 3
    assert parts_of(state(recipe="services: [app]\nboot_time_limit: 9m\n")) == 3


def test_a_build_goes_on_after_the_last_part_that_is_unchanged() -> None:
    assert parts_of(state({"install.d/30-user.sh.j2": "useradd other\n"})) == 2
    assert parts_of(state({"install.d/20-app.sh.j2": "cp files/app /app\n"})) == 1
    assert parts_of(state({"files/app": "app 2\n"})) == 1, "part 2 has read it, part 1 has not"
    assert parts_of(state(package="apache2")) == 0, "the rendered script counts, not its template"


def test_parts_that_are_added_taken_away_or_moved_count() -> None:
    assert parts_of(state({"install.d/40-more.sh.j2": "true\n"})) == 3
    assert parts_of(state({"install.d/30-user.sh.j2": None})) == 2
    assert parts_of(state({"install.d/15-between.sh.j2": "true\n"})) == 1
    assert parts_of(state({"install.d/05-first.sh.j2": "true\n"})) == 0


def test_whatever_else_makes_the_disk_another_one_installs_all_again() -> None:
    assert parts_of(state(base="2")) == 0
    assert parts_of(state(recipe="builder: {machine_type: e2-highmem-2}\n")) == 0
    assert parts_of(state(recipe="builder: {disk_gb: 99}\n")) == 0
    assert parts_of(state({"prepare.sh.j2": "true\n"})) == 0
    other = {**guest_scripts(), "bake.sh.j2": GitFile(0o100644, b"true\n")}
    assert parts_of(state(guest=other)) == 0


def test_a_file_that_a_part_may_look_for_installs_all_again_when_it_comes_or_goes() -> None:
    assert parts_of(state({"files/extra": "a part may test for it\n"})) == 0
    assert parts_of(state({"files/notes": None})) == 0


def test_a_template_that_the_install_has_read_counts() -> None:
    known = layers(reads="templates/etc/app.conf.j2")

    assert parts_of(state(), known) == 3
    assert parts_of(state({"templates/etc/app.conf.j2": "changed\n"}), known) == 0


def test_a_folder_that_the_install_has_listed_counts_by_its_names() -> None:
    known = layers(reads="templates/etc")

    assert parts_of(state({"templates/etc/app.conf.j2": "changed\n"}), known) == 3
    assert parts_of(state({"templates/etc/more.conf": "more\n"}), known) == 0


def test_where_nothing_is_known_of_what_was_read_everything_counts() -> None:
    known = layers(reads=EVERYTHING)

    assert parts_of(state(), known) == 3
    assert parts_of(state({"health": "exit 1\n"}), known) == 0


def test_without_a_layer_everything_is_installed() -> None:
    assert parts_of(state(), []) == 0
