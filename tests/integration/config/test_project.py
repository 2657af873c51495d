"""Every mistake of every file at once, and the schemas that editors complete from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.support.paths import PROJECT

from bakehouse.config.project import all_mistakes, read_project
from bakehouse.config.schema import PRICES_SCHEMA, SCHEMAS, schema_of, text_of, with_tables
from bakehouse.history.prices import Prices
from bakehouse.recipe.mistakes import as_text

BASE = "base: debian-cloud/debian-12\n"


@pytest.fixture
def include(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT / "include", tmp_path / "include"))


def write(include: Path, **files: str) -> None:
    """For example `recipes__web="…"` writes recipes/web.yaml."""
    for name, text in files.items():
        (include / f"{name.replace('__', '/')}.yaml").write_text(text)


def test_what_ships_has_no_mistake() -> None:
    assert as_text(all_mistakes(PROJECT / "include")) == ""


def test_every_mistake_of_every_file_at_once(include: Path) -> None:
    write(
        include,
        recipes__typo="base: debian\nbuilder: {zonse: [x]}\n",
        recipes__a="base: {recipe: b}\nscripts: web\nvars: {page: x}\n",
        recipes__b="# on a\nbase:\n  recipe: a\nscripts: web\nvars: {page: x}\n",
        recipes__lost="base: {recipe: wbe}\nscripts: web\nvars: {page: x}\n",
        recipes__other=f"{BASE}scripts: web\nvars: {{page: x}}\nimage: {{family: web}}\n",
        recipes__bare=f"{BASE}scripts: nothing\n",
        recipes__sloppy=f"{BASE}scripts: sloppy\n",
        recipes__novar=f"{BASE}scripts: web\n",
        fleets__far="recipe: wep\nmembers: {labels: {a: b}, zones: [us-central1-a]}\n",
        fleets__ontypo="recipe: typo\nmembers: {labels: {a: c}, zones: [us-central1-a]}\n",
    )
    sloppy = include / "startup_scripts" / "sloppy"
    (sloppy / "templates").mkdir(parents=True)
    (sloppy / "install.sh.j2").write_text("true\necho {{ recipe.name }}\n")
    (sloppy / "templates" / "a.j2").write_text("{{ oops\n")
    typo = include / "startup_scripts" / "typo"
    typo.mkdir()
    (typo / "install.sh.j2").write_text("echo {{ vars.page }}\n")  # its recipe is wrong as well
    told = [m for broken in all_mistakes(include) for m in broken.mistakes]
    found = [m for m in told if "/web/templates/" not in m.file]  # novar lacks a name in them too
    assert [(m.file.removeprefix("include/"), m.line, m.where) for m in found] == [
        ("recipes/a.yaml", 1, "base.recipe"),
        ("recipes/b.yaml", 3, "base.recipe"),
        ("recipes/lost.yaml", 1, "base.recipe"),
        ("recipes/other.yaml", 4, "image.family"),
        ("recipes/typo.yaml", 1, "base"),
        ("recipes/typo.yaml", 2, "builder.zonse"),
        ("recipes/bare.yaml", 2, "scripts"),
        ("recipes/sloppy.yaml", 1, ""),
        ("startup_scripts/sloppy/install.sh.j2", 2, "{{ recipe.name }}"),
        ("startup_scripts/sloppy/templates/a.j2", 1, ""),
        ("startup_scripts/typo/install.sh.j2", 1, "{{ vars.page }}"),
        ("startup_scripts/web/install.sh.j2", 17, "the script"),
        ("fleets/far.yaml", 1, "recipe"),
    ]
    assert all(m.problem and m.remedy for m in found)
    assert "Did you mean web?" in str(found[2])
    assert "novar.yaml" in found[-2].remedy


def test_whatever_else_is_wrong_the_others_stay(include: Path) -> None:
    write(include, recipes__a="base: {recipe: a}\nscripts: web\n", fleets__far="recipe: nobody\n")
    project = read_project(include)
    assert [recipe.name for recipe in project.recipes] == ["jre", "kafka", "web"]
    assert [fleet.name for fleet in project.fleets] == ["kafka", "web"]
    assert len(project.broken_recipes) == len(project.broken_fleets) == 1


def test_a_script_of_ready_that_does_not_exist_is_told_with_its_line(include: Path) -> None:
    text = f"{BASE}scripts: web\nvars: {{page: x}}\nready:\n  script: check-web\n"
    text += "smoke: {metadata: {greeting: x}}\n"
    write(include, recipes__other=text)
    assert as_text(all_mistakes(include)) == (
        "include/recipes/other.yaml:5: ready.script is not a file of include/startup_scripts/web/"
        " (it is 'check-web'). Commit it, or name a program that install.sh creates by its whole"
        " path"
    )
    (include / "startup_scripts/web/check-web").write_text("#!/bin/bash\n")
    assert all_mistakes(include) == []


def test_a_folder_that_no_recipe_and_no_script_has_is_told(include: Path) -> None:
    for name in ("wbe", "shared", "linked", "named", "guest"):
        (include / f"startup_scripts/{name}").mkdir()
        (include / f"startup_scripts/{name}/part.sh.j2").write_text("echo\n")
    install = include / "startup_scripts/web/install.sh.j2"
    install.write_text(install.read_text() + '{% include "shared/part.sh.j2" %}\n')
    (include / "startup_scripts/web/part").symlink_to("../linked/part.sh.j2")
    write(include, recipes__broken="bsae: x\nscripts: named\n")
    told = [str(m) for broken in all_mistakes(include) for m in broken.mistakes]
    orphans = [line for line in told if "belongs to no recipe" in line]
    assert orphans == [
        "include/startup_scripts/wbe:1: the folder belongs to no recipe, and no script includes a"
        " file of it. Write include/recipes/wbe.yaml, or remove the folder; did you mean the folder"
        " web?"
    ]


def test_a_member_of_two_fleets_is_told_with_its_line(include: Path) -> None:
    members = "members:\n  instances: [db-1]\n  zones: [us-central1-a]\n"
    write(include, fleets__x=f"recipe: web\n{members}", fleets__y=f"recipe: web\n{members}")
    assert as_text(all_mistakes(include)) == (
        "include/fleets/y.yaml:3: members.instances[0] is db-1 in us-central1-a, a member of the"
        " fleet x too (it is 'db-1'). Leave it to one of them: x.yaml or y.yaml"
    )


def validate(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bakehouse.cli", "validate", "--project", str(project)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def test_validate_says_so_and_has_an_exit_code(include: Path) -> None:
    shutil.copy(PROJECT / "airflow_settings.yaml", include.parent)
    good = validate(include.parent)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout == "3 recipes: jre, kafka, web\n2 fleets: kafka, web\n"
    write(include, recipes__typo="base: debian\n", fleets__far="recipe: nobody\n")
    bad = validate(include.parent)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == as_text(all_mistakes(include)) + "\n"


def test_validate_tells_the_mistakes_of_recipes_and_of_the_settings_at_once(include: Path) -> None:
    write(include, recipes__typo="base: debian\n")
    settings = "airflow:\n  connections:\n  - conn_id: bakehouse_repo\n    conn_type: github\n"
    (include.parent / "airflow_settings.yaml").write_text(settings)
    (include.parent / "packages.txt").write_text("curl\n")
    told = validate(include.parent)
    assert (told.returncode, told.stdout) == (1, "")
    assert "include/recipes/typo.yaml:1: base" in told.stderr
    assert "packages.txt:1: the file lacks git" in told.stderr
    assert (
        "airflow_settings.yaml:4: airflow.connections[0].conn_type is not the type that Bakehouse"
        " needs here (it is 'github'). Write git\n" in told.stderr
    )


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schema_is_the_models_own(kind: str) -> None:
    file = PROJECT / "include" / kind / "schema.json"
    assert file.read_text() == text_of(SCHEMAS[kind]), "run `make schema`"
    schema = schema_of(SCHEMAS[kind])
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for example in (PROJECT / "include" / kind).glob("*.yaml"):
        text = example.read_text()
        assert text.startswith("# yaml-language-server: $schema=./schema.json\n")
        assert list(validator.iter_errors(yaml.safe_load(text))) == []
        assert list(validator.iter_errors({**yaml.safe_load(text), "bsae": 1}))


def test_the_schema_of_prices_is_the_models_own() -> None:
    file = PROJECT / "include" / PRICES_SCHEMA
    assert file.read_text() == text_of(Prices), "run `make schema`"
    Draft202012Validator.check_schema(schema_of(Prices))


def test_the_guide_names_every_field_as_it_is() -> None:
    text = (PROJECT / "docs" / "recipes.md").read_text()
    assert text == with_tables(text, SCHEMAS["recipes"]), "run `make schema`"
    for words in ("| `base` | **must be given** |", "| `deadline` | `10m` |", "`image.keep`:"):
        assert words in text


def test_every_field_of_the_schema_says_what_it_is() -> None:
    for model in SCHEMAS.values():
        schema = schema_of(model)
        for part in (schema, *schema["$defs"].values()):
            lacks = [
                n for n, field in part.get("properties", {}).items() if not field.get("description")
            ]
            assert lacks == [], part["title"]


def test_shellcheck_is_the_projects_own() -> None:
    """Not whatever the machine has, and never skipped."""
    found = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert "version: 0." in done.stdout
