"""A recipe says what it checks, and every file that looks like Bakehouse's is one that it reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.recipe.commit import GitFile
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.mistakes import Mistakes
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.unread import READ, missing_checks, unread_files

INSTALL = {"install.sh.j2": "apt-get install -y nginx\n"}


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate({"name": "app", "base": "debian-cloud/debian-12", **fields})


def folder(*names: str, texts: dict[str, str] = INSTALL) -> dict[str, GitFile]:
    files = {**dict.fromkeys(names, "data\n"), **texts}
    return {f"app/{name}": GitFile(0o100644, text.encode()) for name, text in files.items()}


def unread(*names: str, of: Recipe | None = None, texts: dict[str, str] = INSTALL) -> list[str]:
    return [str(one) for one in unread_files(of or recipe(), folder(*names, texts=texts))]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("health.sh", "health"),
        ("health.py", "health"),
        ("healthcheck.sh", "health"),
        ("Health", "health"),
        ("helth", "health"),
        ("smoke_test.sh.j2", "smoke_test.sh"),
        ("smoke_test", "smoke_test.sh"),
        ("smoke-test.sh", "smoke_test.sh"),
        ("smoketest.sh", "smoke_test.sh"),
        ("test.sh", "smoke_test.sh"),
        ("prepare.sh", "prepare.sh.j2"),
        ("prepare.j2", "prepare.sh.j2"),
        ("gate.sh", "gate"),
        ("drain.bash", "drain"),
        ("drian", "drain"),
        ("template/etc/app.conf.j2", "templates"),
        ("Templates/etc/app.conf.j2", "templates"),
        ("tempaltes/etc/app.conf.j2", "templates"),
        ("install_d/10-base.sh.j2", "install.d"),
    ],
)
def test_a_name_that_nobody_reads_is_told_with_the_one_that_was_meant(
    name: str, meant: str
) -> None:
    (told,) = unread(name)
    assert f"include/startup_scripts/app/{name.partition('/')[0]}" in told
    assert f"did you mean {meant}?" in told


def test_an_install_that_is_no_template_is_told() -> None:
    files = {"app/install.sh": GitFile(0o100644, b"")}
    (told,) = unread_files(recipe(), files)
    assert "did you mean install.sh.j2?" in str(told)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(READ),
        "nginx.conf",
        "README.md",
        "health.json",
        "install.cfg",
        "rain",
        "app.service",
        "templates/etc/health.sh",
        "files/smoke_test.sh.j2",
        "install_plugins.sh",
        "test_data.sql",
    ],
)
def test_other_names_are_the_recipes_own(name: str) -> None:
    assert unread(name) == []


def test_a_file_that_a_script_uses_may_have_any_name() -> None:
    used = {"install.sh.j2": "install -m 755 health.sh /usr/local/bin/\n"}
    assert unread("health.sh", texts=used) == []
    assert unread("health.sh", texts={"install.sh.j2": "cp myhealth.sh /usr\n"}) != []


def test_a_script_that_ready_names_is_read() -> None:
    assert unread("check.sh", of=recipe(ready={"script": "check.sh"})) == []
    assert unread("check.sh") != []


@given(st.text(min_size=1, max_size=30).filter(lambda name: "/" not in name))
def test_any_name_is_told_in_one_line_or_not_at_all(name: str) -> None:
    for one in unread(name):
        assert len(one.splitlines()) == 1 or not name.isprintable()


def missing(of: Recipe, *names: str) -> list[str]:
    return [str(one) for one in missing_checks(of, folder(*names))]


def test_a_recipe_that_checks_nothing_is_told_so() -> None:
    (told,) = missing(recipe())
    assert "include/recipes/app.yaml" in told
    assert "neither smoke_test.sh nor health" in told
    assert "smoke: none" in told


@pytest.mark.parametrize("name", ["smoke_test.sh", "health"])
def test_one_check_is_enough(name: str) -> None:
    assert missing(recipe(), name) == []


@pytest.mark.parametrize("ready", [{"tcp": 80}, {"http": {}}, {"unit": "nginx"}, {"script": "/x"}])
def test_a_check_of_ready_is_one(ready: dict[str, Any]) -> None:
    assert missing(recipe(ready=ready)) == []


def test_a_time_of_ready_is_no_check() -> None:
    assert missing(recipe(ready={"deadline": "1m"})) != []


def test_services_that_start_are_no_check_of_what_they_do() -> None:
    assert missing(recipe(services=["nginx"])) != []


def test_a_recipe_on_another_keeps_the_checks_of_its_base() -> None:
    assert missing(recipe(base={"recipe": "jre"})) == []


def test_none_says_that_a_boot_is_check_enough() -> None:
    found = load_recipe("base: debian-cloud/debian-12\nsmoke: none\n", "app.yaml")
    assert missing(found) == []
    assert found.smoke.metadata == {}
    assert found.model_dump(mode="json")["smoke"] == "none"
    assert Recipe.model_validate(found.model_dump(mode="json")) == found


def test_none_beside_a_smoke_test_is_a_mistake() -> None:
    (told,) = missing(recipe(smoke="none"), "smoke_test.sh")
    assert "has smoke_test.sh" in told


@pytest.mark.parametrize("text", ["{none: true}", "nothing", "[]", "false"])
def test_no_other_word_switches_the_checks_off(text: str) -> None:
    with pytest.raises(Mistakes, match="smoke"):
        load_recipe(f"base: debian-cloud/debian-12\nsmoke: {text}\n", "app.yaml")
