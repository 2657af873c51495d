"""Rendering and the content key: what matters changes the key, and nothing else does."""

from __future__ import annotations

import gzip
import io
import json
import shlex
import subprocess
import tarfile
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from bakehouse.recipe import payload
from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.content_key import content_key
from bakehouse.recipe.facts import BaseFacts, ImageFacts
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.render import (
    Rendered,
    RenderError,
    WrongScripts,
    builder_metadata,
    render,
    smoke_metadata,
)
from bakehouse.recipe.templates import sh

OURS = guest_scripts()
FILES = {
    "app/install.sh.j2": "echo {{ vars.page | sh }}\n",
    "app/smoke_test.sh": "check a b true\n",
    "app/templates/etc/app.conf.j2": "a={{ greeting }}\n",
    "app/health": "#!/bin/bash\n",
}
COMMIT = Commit(
    sha="c0ffee" * 6 + "c0ff",
    ref="main",
    subject="s",
    author_time=datetime(2026, 1, 1, tzinfo=UTC),
    author="a",
)
FACTS = ImageFacts(
    recipe="app",
    image="app-1",
    git_sha=COMMIT.sha,
    content_key="k",
    base_image=BaseFacts(name="debian-12", id="42"),
    vars={},
    services=(),
    run="r",
)


def app(**fields: Any) -> Recipe:
    form: dict[str, Any] = {"name": "app", "base": "debian-cloud/debian-12"}
    form |= {"vars": {"page": "Hi"}}
    form |= {"smoke": {"metadata": {"greeting": "x"}}, **fields}
    return Recipe.model_validate(form)


def made(files: dict[str, str] | None = None, **fields: Any) -> Rendered:
    texts = FILES if files is None else {**FILES, **files}
    theirs = {path: GitFile(0o100644, text.encode()) for path, text in texts.items()}
    return render(app(**fields), COMMIT, {**OURS, **theirs})


def key(rendered: Rendered, base: str = "42") -> str:
    return content_key(rendered, base)


KEY = key(made())


@examples(20)
@given(st.permutations(sorted({**OURS, **FILES})), st.permutations(["page", "b", "c"]))
def test_order_never_changes_the_key(paths: list[str], names: list[str]) -> None:
    everything = {**OURS, **{p: GitFile(0o100644, t.encode()) for p, t in FILES.items()}}
    form: dict[str, Any] = {"name": "app", "base": "debian-cloud/debian-12"}
    form |= {"smoke": {"metadata": {"greeting": "x"}}}
    shuffled = Recipe.model_validate({**form, "vars": dict.fromkeys(names, "x")})
    plain = Recipe.model_validate({**form, "vars": dict.fromkeys(["page", "b", "c"], "x")})
    one = render(shuffled, COMMIT, {path: everything[path] for path in paths})
    assert key(one) == key(render(plain, COMMIT, everything))


@examples(50)
@given(st.sampled_from(sorted([*OURS, *FILES])), st.data())
def test_every_byte_that_reaches_a_machine_changes_the_key(path: str, data: st.DataObject) -> None:
    everything = {**OURS, **{p: GitFile(0o100644, t.encode()) for p, t in FILES.items()}}
    text = everything[path].data
    # An added comment line, wherever it lands between two lines of a script, is a change.
    at = data.draw(st.sampled_from([0, len(text)]))
    changed = GitFile(0o100644, text[:at] + b"# changed\n" + text[at:])
    recipe = app()
    assert key(render(recipe, COMMIT, {**everything, path: changed})) != KEY


@pytest.mark.parametrize(
    "fields",
    [
        {"vars": {"page": "Other"}},
        {"vars": {"page": "Hi", "more": 1}},
        {"services": ["nginx"]},
        {"builder": {"machine_type": "e2-medium"}},
        {"builder": {"disk_gb": 11}},
        {"image": {"family": "other"}},
        {"image": {"storage_location": "eu"}},
        {"image": {"shielded": True}},
        {"image": {"kind": "machine_image"}},
        {"smoke": {"metadata": {"greeting": "y"}}},
        {"boot_time_limit": "1m"},
        {"ready": {"tcp": 8080}},
        {"ready": {"min_ready": "4s"}},
        {"image": {"remove_files": ["/etc/app/id"]}},
        {"image": {"shared_files": ["/etc/app/id"]}},
        {"image": {"keep_package_lists": True}},
    ],
)
def test_what_makes_another_image_has_another_key(fields: dict[str, Any]) -> None:
    assert key(made(**fields)) != KEY


@pytest.mark.parametrize(
    "fields",
    [
        {"builder": {"zones": ["europe-west1-b"], "spot": True, "max_run_minutes": 90}},
        {"builder": {"network": "other", "external_ip": True, "tags": ["a"]}},
        {"image": {"keep": {"last": 9}}},
        {"image": {"family": "app"}},
        {"image": {"kind": "custom_image"}},
        {"schedule": "0 3 * * *", "owner": "me", "sla": {"smoke_test": "1h"}},
        {"rebake": "never", "max_age": "1d", "description": "x"},
    ],
)
def test_what_makes_the_same_image_has_the_same_key(fields: dict[str, Any]) -> None:
    assert key(made(**fields)) == KEY


def test_the_type_of_a_var_matters() -> None:
    one, text, yes = (key(made(vars={"page": value})) for value in (1, "1", True))
    assert len({one, text, yes}) == 3


def test_base_image_and_mode_matter_and_the_commit_does_not() -> None:
    assert key(made(), "43") != KEY
    files = {**OURS, **{p: GitFile(0o100644, t.encode()) for p, t in FILES.items()}}
    executable = {**files, "app/health": GitFile(0o100755, files["app/health"].data)}
    assert key(render(app(), COMMIT, executable)) != KEY
    other = COMMIT.model_copy(update={"sha": "0" * 40, "subject": "docs"})
    assert key(render(app(), other, files)) == KEY


def test_a_script_that_uses_the_commit_has_a_key_for_each() -> None:
    texts = {**FILES, "app/install.sh.j2": "echo {{ git_sha | sh }}\n"}
    files = {**OURS, **{p: GitFile(0o100644, t.encode()) for p, t in texts.items()}}
    other = COMMIT.model_copy(update={"sha": "0" * 40})
    recipe = app()
    assert key(render(recipe, COMMIT, files)) != key(render(recipe, other, files))


def test_every_file_reaches_the_image_and_its_key_whatever_its_name() -> None:
    for name in ("README.md", "pkg/README.md", "templates/srv/handbook/index.md", ".gitignore"):
        rendered = made({f"app/{name}": "# x\n"})
        assert rendered.files[f"recipe/{name}"] == GitFile(0o100644, b"# x\n")
        assert key(rendered) != KEY


def test_an_upgrade_of_bakehouse_keeps_the_key_of_what_is_the_same_in_the_image() -> None:
    """The literal is a promise: with another one every image of every user is baked anew."""
    ours = {path: GitFile(0o100644, f"# {path}\n".encode()) for path in OURS}
    theirs = {path: GitFile(0o100644, text.encode()) for path, text in FILES.items()}
    rendered = render(app(), COMMIT, {**ours, **theirs})
    assert key(rendered) == "79e1688fd2d12ff0a9698e58739e44cc6d335b21"


def test_the_key_fits_a_label() -> None:
    assert len(KEY) == 40
    assert set(KEY) <= set("0123456789abcdef")


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_sh_is_one_word_for_a_real_shell(text: str) -> None:
    assert shlex.split(sh(text)) == [text]


def test_sh_for_a_shell() -> None:
    words = sh(["a b", "$HOME", "it's", True, 5])
    done = subprocess.run(
        ("bash", "-c", f"printf '%s|' {words}"), capture_output=True, text=True, check=True
    )
    assert done.stdout == "a b|$HOME|it's|true|5|"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"app/install.sh.j2": "true\necho {{ vars.pge | sh }}\n"},
            r"include/startup_scripts/app/install\.sh\.j2:2: .*'vars.pge' is undefined",
        ),
        (
            {"app/install.sh.j2": "\n\n{{ nothing | sh }}"},
            r"install\.sh\.j2:3: .*'nothing' is undefined",
        ),
        ({"app/install.sh.j2": "true\n{% if %}\n"}, r"install\.sh\.j2:2: Expected an expression"),
        (
            {"app/templates/etc/a.j2": "x\n{{ oops\n"},
            r"include/startup_scripts/app/templates/etc/a\.j2:\d: ",
        ),
        (
            {"app/install.sh.j2": "{% include 'none.sh' %}"},
            r"install\.sh\.j2:1: .*there is no template none\.sh",
        ),
    ],
)
def test_a_render_mistake_names_file_and_line(files: dict[str, str], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        made(files)


def test_every_undefined_name_is_told_at_once() -> None:
    script = (
        "{{ vars.pge | sh }}\n{% for x in many %}{{ x | sh }}{% endfor %}\n"
        "{{ (vars.a + 1) | sh }}\n{% if some == 1 %}{% endif %}{{ vars.page | sh }}\n"
    )
    with pytest.raises(RenderError) as wrong:
        made({"app/install.sh.j2": script})
    file = "include/startup_scripts/app/install.sh.j2"
    begin, add = "the script cannot be rendered:", "add it to the vars of app.yaml"
    assert str(wrong.value).splitlines() == [
        f"{file}:1: {begin} 'vars.pge' is undefined. Did you mean vars.page? Else {add}",
        f"{file}:2: {begin} 'many' is undefined. Correct it, or {add}",
        f"{file}:3: {begin} 'vars.a' is undefined. Correct it, or {add}",
        f"{file}:4: {begin} 'some' is undefined. Correct it, or {add}",
    ]


def test_a_script_that_ready_names_must_be_committed() -> None:
    with pytest.raises(RenderError) as wrong:
        made(ready={"script": "check"})
    assert str(wrong.value) == (
        "include/recipes/app.yaml:1: ready.script is not a file of include/startup_scripts/app/"
        " (it is 'check'). Commit it, or name a program that install.sh creates by its whole path"
    )
    made({"app/check": "#!/bin/bash\n"}, ready={"script": "check"})
    made(ready={"script": "/usr/local/bin/check"})


@pytest.mark.parametrize(
    ("own", "fields", "told"),
    [
        ("bake.sh.j2", {}, "does not install the program `ready`, which boot.sh runs"),
        (
            "bake.sh.j2",
            {"image": {"shared_files": ["/etc/x"]}},
            "does not support image.remove_files and image.shared_files",
        ),
        (
            "bake.sh.j2",
            {"image": {"keep_package_lists": True}},
            "does not support image.keep_package_lists: remove the file",
        ),
        ("boot.sh.j2", {"ready": {"tcp": 80}}, "boot.sh.j2 of commit c0ffeec does not support"),
    ],
)
def test_guest_scripts_of_the_commit_that_are_too_old_are_refused(
    own: str, fields: dict[str, Any], told: str
) -> None:
    files = {**OURS, **{p: GitFile(0o100644, t.encode()) for p, t in FILES.items()}}
    older = {own: GitFile(0o100644, b"true\n")}
    if "image" in fields:  # of a time when boot asked nothing
        older["boot.sh.j2"] = older[own]
    with pytest.raises(RenderError, match=told):
        render(app(**fields), COMMIT, {**files, **older})


def test_bashs_own_braces_are_left_alone() -> None:
    script = 'a=(1 2)\necho "${#a[@]}" "${a[*]%2}" "${b:-{}}"\n'
    assert made({"app/install.sh.j2": script}).files["recipe/install.sh"].data == script.encode()


def test_a_recipe_without_install_script() -> None:
    files = {**OURS, "app/health": GitFile(0o100755, b"")}
    with pytest.raises(
        RenderError, match=r"scripts has no include/startup_scripts/app/install\.sh\.j2"
    ):
        render(app(), COMMIT, files)


def test_vars_of_the_run_win_and_must_be_known() -> None:
    recipe = app()
    files = {**OURS, **{p: GitFile(0o100644, t.encode()) for p, t in FILES.items()}}
    rendered = render(recipe, COMMIT, files, {"page": "it's"})
    assert rendered.vars == {"page": "it's"}
    assert b"echo 'it'\"'\"'s'" in rendered.files["recipe/install.sh"].data
    with pytest.raises(RenderError, match="no vars pag; it has page"):
        render(recipe, COMMIT, files, {"pag": "x"})


def test_the_payload_is_the_same_bytes_and_what_the_contract_says() -> None:
    metadata = builder_metadata(made(), FACTS, "0" * 32)
    assert metadata == builder_metadata(made(), FACTS, "0" * 32)
    data = b64decode(metadata["bakehouse-payload"])
    assert gzip.decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        facts = tar.extractfile("image.json")
        assert facts is not None
        assert json.load(facts)["base_image"] == {"id": "42", "name": "debian-12"}
        assert tar.getnames() == [
            "guest/bakehouse-boot.service",
            "guest/bakehouse-health.service",
            "guest/bakehouse-health.timer",
            "guest/bakehouse-orders.service",
            "guest/boot.sh",
            "guest/config_changes.py",
            "guest/orders.sh",
            "guest/render.py",
            "guest/report.sh",
            "guest/secret_values.py",
            "image.json",
            "recipe/health",
            "recipe/install.sh",
            "recipe/templates/etc/app.conf.j2",
        ]


def test_a_payload_that_is_too_big_names_the_biggest_files() -> None:
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(200_000))
    with pytest.raises(payload.TooBig, match=r"biggest are recipe/templates/big \("):
        builder_metadata(made({"app/templates/big": noise}), FACTS, "0" * 32)


def test_scripts_and_files_that_fit_one_by_one_must_fit_together() -> None:
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(20_000))
    half = "x" * 200_000
    made({"app/templates/big": noise})
    made(smoke={"metadata": {"greeting": half}})
    with pytest.raises(payload.TooBig, match=r"smoke test's VM is 6.*at most 524,288.* are a \("):
        made(smoke={"metadata": {"a": half, "b": half, "c": half, "greeting": ""}})
    with pytest.raises(payload.TooBig, match=r"of x is 524,291 bytes"):
        payload.fit_together("x", {"abc": "é" * 262_144})
    payload.fit_together("x", {"abcd": "x" * 524_284})


def test_the_smoke_machine_gets_the_recipes_config_and_not_our_names() -> None:
    metadata = smoke_metadata(made(smoke={"metadata": {"greeting": "hello"}}), "f" * 32)
    assert metadata["greeting"] == "hello"
    assert (metadata["bakehouse-role"], metadata["bakehouse-nonce"]) == ("smoke", "f" * 32)
    assert metadata["enable-guest-attributes"] == "TRUE"
    assert "check a b true" in metadata["startup-script"]


def test_nothing_of_a_run_is_in_the_scripts() -> None:
    rendered = made()
    everything = rendered.bake_script + rendered.smoke_script + str(rendered.files)
    assert FACTS.image not in everything
    assert COMMIT.sha not in everything


PREPARE = {"app/prepare.sh.j2": "echo {{ vars.page | sh }}\n"}


def test_prepare_is_rendered_as_install_is() -> None:
    files = made(PREPARE).files
    assert files["recipe/prepare.sh"] == GitFile(0o100755, b"echo 'Hi'\n")
    assert "recipe/prepare.sh.j2" not in files
    assert "prepare='prepare.sh'" in made(PREPARE).bake_script
    assert key(made(PREPARE)) != KEY


def test_a_script_of_that_name_that_is_no_template_is_a_helper() -> None:
    install = FILES["app/install.sh.j2"] + "bash prepare.sh\n"
    rendered = made({"app/prepare.sh": "echo helper\n", "app/install.sh.j2": install})
    assert "prepare='prepare.sh'" not in rendered.bake_script
    assert rendered.files["recipe/prepare.sh"].data == b"echo helper\n"


def test_mistakes_in_prepare_are_found_before_there_is_a_machine() -> None:
    with pytest.raises(RenderError, match=r"app/prepare\.sh\.j2.*nothing"):
        made({"app/prepare.sh.j2": "echo {{ nothing | sh }}\n"})
    with pytest.raises(
        RenderError, match=r"app/prepare\.sh:1: has the name that prepare\.sh\.j2 gets"
    ):
        made({**PREPARE, "app/prepare.sh": ""})


def test_a_bake_script_of_the_commit_that_does_not_prepare_is_refused() -> None:
    with pytest.raises(RenderError, match=r"does not run prepare\.sh\.j2: remove"):
        made({**PREPARE, "bake.sh.j2": "#!/bin/bash\nbash install.sh\n"})


def test_mistakes_of_scripts_and_of_templates_are_told_at_once() -> None:
    files = {
        "app/install.sh.j2": "#!/bin/bash\necho {{ vars.page }}\necho {{ vars.nobody | sh }}\nfi\n",
        "app/smoke_test.sh": "if true\n",
        "app/templates/etc/app.conf.j2": "a={{ greeting }}\nb={{ unknown }}\nc={{\n",
        "app/templates/etc/other.conf.j2": "b={{ unknown }}\n",
        "app/motd": "{{ vars.page }}\n",
    }
    with pytest.raises(WrongScripts) as wrong:
        made(files, ready={"script": "check-app"})
    folder = "include/startup_scripts/app"
    assert [(one.file.removeprefix(f"{folder}/"), one.line) for one in wrong.value.mistakes] == [
        ("include/recipes/app.yaml", 1),
        ("install.sh.j2", 2),
        ("install.sh.j2", 3),
        ("motd", 1),
        ("smoke_test.sh", 2),
        ("templates/etc/app.conf.j2", 3),
        ("templates/etc/other.conf.j2", 1),
    ]


def test_a_value_that_is_not_quoted_may_be_unknown_as_well() -> None:
    with pytest.raises(WrongScripts) as wrong:
        made({"app/install.sh.j2": "echo {{ vars.nobody }}\n"})
    assert [one.problem for one in wrong.value.mistakes] == [
        "cannot be rendered: 'vars.nobody' is undefined",
        "is not quoted for the shell",
    ]


def test_a_template_with_a_shebang_is_no_script_before_it_is_rendered() -> None:
    loop = "#!/bin/bash\n{% for one in (1, 2) %}\necho {{ one | sh }}\n{% endfor %}\n"
    rendered = made({"app/install.sh.j2": loop}).files["recipe/install.sh"].data
    assert rendered == b"#!/bin/bash\necho 1\necho 2\n"
