"""Mistakes in recipe files: all at once, with file, line, value and remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.recipe.load import Mistake, Mistakes, load_recipe, load_recipes
from bakehouse.recipe.yaml_values import MAX_BYTES

PATH = "include/recipes/web.yaml"
GOOD = "base: debian-cloud/debian-12\nservices: [nginx]\nvars: {page: hi}\n"


def mistakes(text: str) -> tuple[Mistake, ...]:
    with pytest.raises(Mistakes) as caught:
        load_recipe(text, PATH)
    return caught.value.mistakes


def only(text: str) -> Mistake:
    (one,) = mistakes(text)
    return one


def test_a_good_file_has_the_name_of_its_stem() -> None:
    recipe = load_recipe(GOOD, PATH)
    assert (recipe.name, recipe.services) == ("web", ("nginx",))


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    found = mistakes(
        "base: debian\n"
        "discription: x\n"
        "vars:\n"
        "  a: [1]\n"
        "  a: 2\n"
        "builder:\n"
        "  zones: [us-central1-a, nowhere]\n"
        "  diskgb: 5\n"
        "sla: {smoke_tst: 5m, smoke_test: soon}\n"
        "rebake: allways\n"
    )
    assert [(m.line, m.where) for m in found] == [
        (1, "base"),
        (2, "discription"),
        (5, "vars.a"),
        (7, "builder.zones[1]"),
        (8, "builder.diskgb"),
        (9, "sla.smoke_test"),
        (9, "sla.smoke_tst"),
        (10, "rebake"),
    ]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("discription: x", "Did you mean description?"),
        ("xyz: x", "Choose one of: description, base,"),
        ("builder: {diskgb: 5}", "Did you mean disk_gb?"),
        ("image: {keep: {lst: 5}}", "Did you mean last?"),
        ("sla: {smoke_tst: 5m}", "Did you mean smoke_test?"),
        ("retries: {plan_bak: 5}", "Did you mean plan_bake?"),
        ("rebake: allways", "Did you mean always?"),
        ("schedule: nightly", "0 3 * * *"),
        ("timezone: Europe/Berln", "Europe/Berlin"),
        ("boot_time_limit: 5", "90s"),
        ("name: other", "rename the file to other.yaml"),
        ("services: nginx", "[nginx]"),
        ("smoke: {metadata: {bakehouse-role: x}}", "instance attributes"),
        ("vars: {a-b: 1}", "names and values"),
        ("scripts: guest", "a folder below include/startup_scripts"),
    ],
)
def test_each_mistake_has_its_remedy(line: str, remedy: str) -> None:
    mistake = only(f"base: a/b\n{line}\n")
    assert mistake.line == 2
    assert remedy in mistake.remedy
    assert str(mistake).startswith(f"{PATH}:2: {mistake.where} ")


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("0 0 31 2 *", "never comes: no month has such a day"),
        ("0 3 * * * *", "is not a cron expression of five fields: it has 6"),
        ("*/5 * * * * *", "is not a cron expression of five fields: it has 6"),
        ("0 3 * * * 0 2020", "is not a cron expression of five fields: it has 7"),
        ("R R * * *", "is not a cron expression of five fields: 'R' is not one"),
        ("@daily", "is not a cron expression of five fields: it has a name"),
        ("{x} * * * *", "is not a cron expression of five fields: '{x}' is not one"),
    ],
)
def test_a_schedule_that_is_none_is_refused_with_its_line(cron: str, problem: str) -> None:
    mistake = only(f"base: a/b\nscripts: web\nschedule: '{cron}'\n")
    expected = f"{PATH}:3: schedule {problem} (it is {cron!r}). Expected: five cron fields"
    assert str(mistake).startswith(expected)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("ready: {tcp: 0}", "ready.tcp must be at least 1 (it is '0')"),
        ("ready: {tcp: 65536}", "ready.tcp must be at most 65535"),
        ("ready: {http: {path: healthz}}", "ready.http.path is not a path that begins with /"),
        ("ready: {http: {path: '/a b'}}", "ready.http.path is not a path that begins with /"),
        ("ready: {http: {status: 99}}", "ready.http.status must be at least"),
        ("ready: {http: {prt: 80}}", "ready.http.prt is not a field. Did you mean port?"),
        ("ready: {htp: {port: 80}}", "ready.htp is not a field. Did you mean http?"),
        ("ready: {script: ../check}", "ready.script is neither a file at the top"),
        ("ready: {script: templates/check}", "ready.script is neither a file at the top"),
        ("ready: {host: '$(id)'}", "ready.host is neither the name of a host"),
        ("ready: {unit: worker@}", "is a template; name an instance, such as worker@1"),
        ("ready: {min_ready: 2m}", "ready.min_ready must be at most 1 minute"),
        ("ready: {deadline: 6m}", "beyond the boot_time_limit of 5m"),
        ("services: ['worker@.service']", "services[0] is a template; name an instance"),
    ],
)
def test_what_readiness_cannot_be_is_told(lines: str, told: str) -> None:
    with pytest.raises(Mistakes) as wrong:
        load_recipe(f"base: debian-cloud/debian-12\n{lines}\n", "include/recipes/web.yaml")
    (mistake,) = str(wrong.value).splitlines()
    assert mistake.startswith("include/recipes/web.yaml:2: ")
    assert told in mistake


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc", "is a folder of the system; name what is in it"),
        ("/", "is not an absolute path"),
        ("/*", "is a folder of the system"),
        ("/etc/**", "is a folder of the system"),
        ("/var/lib/*", "is a folder of the system"),
        ("/var/lib/", "is a folder of the system"),
        ("/usr//lib", "is a folder of the system"),
        ("etc/id", "is not an absolute path or glob, such as /etc/app/id*"),
        ("/opt/../etc", "is not an absolute path"),
        ("/usr/lib/bakehouse/boot", "is Bakehouse's own"),
        ("/var/lib/bakehouse/*", "is Bakehouse's own"),
    ],
)
def test_what_a_recipe_cannot_remove_is_told(path: str, told: str) -> None:
    text = f"base: debian-cloud/debian-12\nimage:\n  remove_files: ['{path}']\n"
    with pytest.raises(Mistakes) as wrong:
        load_recipe(text, "include/recipes/web.yaml")
    assert str(wrong.value).startswith(f"include/recipes/web.yaml:3: image.remove_files[0] {told}")


@pytest.mark.parametrize("path", ["/etc/app/id*", "/var/lib/app", "/opt/my app/[ab]?", "/root/.id"])
def test_paths_that_a_recipe_removes(path: str) -> None:
    text = f"base: debian-cloud/debian-12\nimage:\n  remove_files: ['{path}']\n"
    assert load_recipe(text, "include/recipes/web.yaml").image.remove_files == (path,)


def test_a_missing_field_says_what_to_write() -> None:
    mistake = only("description: x\n")
    assert (mistake.where, mistake.problem) == ("base", "is missing")
    assert "debian-cloud/debian-12" in mistake.remedy


def test_a_key_given_twice_names_the_other_line() -> None:
    mistake = only(f"{GOOD}\nbase: debian-cloud/debian-11\n")
    assert (mistake.line, mistake.where) == (5, "base")
    assert "line 1" in mistake.remedy


def test_a_name_that_no_recipe_can_have() -> None:
    with pytest.raises(Mistakes, match="Rename the file"):
        load_recipe(GOOD, f"include/recipes/{'x' * 36}.yaml")


@pytest.mark.parametrize("text", ["a: [", "- a", "a: b: c", "base: *x", "\x00", "a: !!py y", ""])
def test_what_is_no_recipe_at_all(text: str) -> None:
    assert mistakes(text)[0].file == PATH


@pytest.mark.parametrize("text", ["base: &a [*a]", "base: &a {x: *a}", "vars: &v {a: &b [*b, *v]}"])
def test_a_file_that_contains_itself(text: str) -> None:
    assert mistakes(text)


def mistakes_if_any(text: str) -> tuple[Mistake, ...] | None:
    try:
        load_recipe(text, PATH)
    except Mistakes as found:
        return found.mistakes
    return None


@given(st.text())
def test_no_text_breaks_the_loader(text: str) -> None:
    told = mistakes_if_any(text)
    assert told is None or all(m.line >= 1 and m.problem for m in told)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_value_breaks_the_loader(value: object) -> None:
    for field in ("base", "vars", "builder", "sla", "image", "smoke", "schedule", "scripts"):
        assert mistakes_if_any(f"{field}: {value!r}\n") != ()


def test_a_broken_file_breaks_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "broken.yaml").write_text("base: 5\n")
    (tmp_path / "latin.yaml").write_bytes(b"description: \xe4\n")
    (tmp_path / "other.yml").write_text(GOOD)
    recipes, broken = load_recipes(tmp_path)
    assert [recipe.name for recipe in recipes] == ["good"]
    told = [Path(b.mistakes[0].file).name for b in broken]
    assert told == ["broken.yaml", "latin.yaml", "other.yml"]


def test_what_is_no_regular_file_breaks_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "big.yaml").write_text(f"{GOOD}# {'x' * MAX_BYTES}")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.yaml")
    recipes, broken = load_recipes(tmp_path)
    assert [recipe.name for recipe in recipes] == ["good"]
    told = [Path(b.mistakes[0].file).stem for b in broken]
    assert told == ["big", "endless", "folder", "gone", "pipe"]


def test_a_file_at_a_commit_is_read_as_the_one_in_the_folder(tmp_path: Path) -> None:
    content = b"description: x\nbase: \xe4\n"
    (tmp_path / "web.yaml").write_bytes(content)
    (in_folder,) = load_recipes(tmp_path)[1]
    with pytest.raises(Mistakes) as at_commit:
        load_recipe(content, in_folder.mistakes[0].file)
    assert at_commit.value.mistakes == in_folder.mistakes
    assert in_folder.mistakes[0].line == 2


def test_five_hundred_recipes_are_loaded(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"web{number}.yaml").write_text(GOOD)
    recipes, broken = load_recipes(tmp_path)
    assert (len(recipes), broken) == (500, [])
