"""The commands that need no running Airflow, on a project of their own."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bakehouse import __version__
from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.config.new_recipe import CannotCreate, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "images")
    return tmp_path / "images"


def bakehouse(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_the_version_is_told() -> None:
    assert bakehouse("--version").stdout.strip() == __version__


def test_recipes_are_a_table_for_people_and_json_for_programs(project: Path) -> None:
    table = bakehouse("recipes", "--project", str(project)).stdout.splitlines()
    assert table[0].split() == ["RECIPE", "BASE", "SCHEDULE", "FLEETS", "DESCRIPTION"]
    assert table[1].split()[:2] == ["web", "debian-cloud/debian-12"]
    (row,) = json.loads(bakehouse("recipes", "--json", "--project", str(project)).stdout)
    assert (row["recipe"], row["schedule"], row["fleets"]) == ("web", None, ["web"])


def test_a_schedule_is_listed_with_its_zone(project: Path) -> None:
    with (project / "include/recipes/web.yaml").open("a") as file:
        file.write("schedule: 0 3 * * *\ntimezone: Europe/Berlin\n")
    (row,) = json.loads(bakehouse("recipes", "--json", "--project", str(project)).stdout)
    assert row["schedule"] == "0 3 * * * Europe/Berlin"


def test_a_broken_file_hides_no_other_and_is_named(project: Path) -> None:
    (project / "include/recipes/bad.yaml").write_text("bse: x\n")
    done = bakehouse("recipes", "--project", str(project))
    assert "include/recipes/bad.yaml has mistakes" in done.stderr
    assert "web" in done.stdout


def test_fleets_are_listed_with_their_members(project: Path) -> None:
    (row,) = json.loads(bakehouse("fleets", "--json", "--project", str(project)).stdout)
    assert row["fleet"] == "web"
    assert " in us-central1-" in row["members"]


def test_an_empty_ledger_is_told_in_one_line(project: Path, tmp_path: Path) -> None:
    for command in ("images", "rollouts"):
        done = bakehouse(command, "--ledger", f"file://{tmp_path}/none", "--project", str(project))
        assert done.stdout == ""
        assert f"has no {command}" in done.stderr


def test_a_new_recipe_is_valid_under_its_own_name(project: Path) -> None:
    done = bakehouse("new", "recipe", "shop", "--project", str(project))
    assert done.exit_code == 0, done.output
    health = project / "include/startup_scripts/shop/health"
    assert stat.S_IMODE(health.stat().st_mode) == 0o755
    checked = bakehouse("validate", "--project", str(project))
    assert checked.exit_code == 0, checked.output
    assert "shop, web" in checked.stdout


@pytest.mark.parametrize("name", ["Shop", "a" * 36, "1shop", "../shop", "shop_1", ""])
def test_a_name_that_no_recipe_can_have_writes_nothing(project: Path, name: str) -> None:
    before = sorted(project.rglob("*"))
    with pytest.raises(CannotCreate, match="is no name of a recipe"):
        write_recipe(project, name)
    assert sorted(project.rglob("*")) == before


def test_a_recipe_that_exists_is_never_written_over(project: Path) -> None:
    done = bakehouse("new", "recipe", "web", "--project", str(project))
    assert done.exit_code == 1
    assert "exists already" in done.stderr


def test_an_example_that_does_not_exist_is_refused(project: Path) -> None:
    done = bakehouse("new", "recipe", "db", "--from", "no-such", "--project", str(project))
    assert done.exit_code == 1
    assert "the cookbook has no 'no-such'" in done.stderr


def test_the_files_of_a_boot_are_rendered_with_the_metadata_given(project: Path) -> None:
    told = bakehouse("render", "web", "-m", "greeting=Good day", "--project", str(project)).stdout
    assert "── /var/www/html/index.html" in told
    assert "Good day" in told


def test_the_scripts_of_a_builder_are_rendered(project: Path) -> None:
    told = bakehouse("render", "web", "--scripts", "--project", str(project)).stdout
    assert "── install.sh" in told
    assert "{{" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("render", "wb"), "did you mean 'web'?"),
        (("render", "web", "-m", "greeting"), "'greeting' is not KEY=VALUE"),
        (("render", "web", "-m", "a=1", "-m", "a=2"), "-m a is given twice"),
        (("trigger", "roll_out__web", "members=[a"), "is not valid YAML: close its brackets"),
        (
            ("trigger", "bake__web", "snapshot_date=yesterday"),
            "snapshot_date is not a date, such as 2026-11-30 (it is 'yesterday')",
        ),
        (("trigger", "roll_out__web", "members=[A*]"), "(it is 'A*')"),
        (("trigger", "bake"), "no Airflow"),
        (("trigger", "bak__web"), "is no DAG of Bakehouse"),
        (("trigger", "bake__web", "forc=true"), "did you mean 'force'?"),
        (("trigger", "bake__web", "force=maybe"), "force"),
        (("trigger", "bake__web", "force"), "is not KEY=VALUE"),
        (("trigger", "roll_out__web", "member=[web-1]"), "did you mean 'members'?"),
        (("trigger", "roll_out__web", "image=a", "image=b"), "is given twice"),
        (("logs", "bake__web"), "no Airflow"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.delenv("BAKEHOUSE_AIRFLOW_URL", raising=False)
    done = bakehouse(*words, "--project", str(project))
    assert done.exit_code == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output


INSTANCES = ("--recipe", "web", "--zone", "us-central1-a")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("adopt", "own", *INSTANCES, "--label", "env"),
            "--label 'env' is not KEY=VALUE: write --label env=prod",
        ),
        (("adopt", "own", *INSTANCES, "--label", "=x"), "--label '=x' is not KEY=VALUE"),
        (
            ("adopt", "own", *INSTANCES, "--label", "a=b", "--label", "a=c"),
            "--label a is given twice: leave one of them out",
        ),
        (("adopt", "own", *INSTANCES, "--label", "Env=x"), "--label 'Env' is not the name of a"),
        (("adopt", "own", *INSTANCES, "--label", "a=X Y"), "--label 'X Y' is not the value of a"),
        (("adopt", "own", *INSTANCES, "--member", "A_b"), "--member 'A_b' is not a name of at"),
        (
            ("adopt", "own", "--recipe", "web", "--zone", "europe", "--member", "a"),
            "--zone 'europe' is not a zone, which is a region and a letter: us-central1-a",
        ),
        (("adopt", "../own", *INSTANCES, "--member", "a"), "FLEET '../own' is not a name"),
        (("adopt", "own", *INSTANCES, "--recipe", "W", "--member", "a"), "--recipe 'W' is not"),
        (("images", "-n", "few"), "--limit 'few' is not a number of 1 or more: write 20"),
        (("rollouts", "--limit", "0"), "--limit '0' is not a number of 1 or more"),
        (("history", "-n", "-3"), "--limit '-3' is not a number of 1 or more"),
        (("cost", "--months", "1.5"), "--months '1.5' is not a number of 1 or more"),
    ],
)
def test_an_option_that_is_not_of_its_form_is_named_in_one_line_with_what_to_write(
    project: Path, words: tuple[str, ...], told: str
) -> None:
    done = bakehouse(*words, "--project", str(project))
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_purpose_that_no_role_has_is_told_with_those_that_can_be_left_out(
    tmp_path: Path,
) -> None:
    done = bakehouse("roles", str(tmp_path / "roles"), "--without", "images")
    assert done.stderr.startswith("--without 'images' cannot be left out; what can be: 'managed")
    assert len(done.stderr.splitlines()) == 1


def test_all_that_is_wrong_in_the_options_is_told_at_once(project: Path) -> None:
    wrong = ("adopt", "Own", "--recipe", "web", "--zone", "eu", "--label", "env")
    done = bakehouse(*wrong, "--project", str(project))
    assert [part for part in ("FLEET", "--zone", "--label") if part not in done.stderr] == []
    assert not (project / "include/fleets/Own.yaml").exists()


def test_a_template_that_fails_is_told_with_its_line(project: Path) -> None:
    page = project / "include/startup_scripts/web/templates/var/www/html/index.html.j2"
    page.write_text("one\n{{ nobody_knows }}\n")
    done = bakehouse("render", "web", "--project", str(project))
    assert done.exit_code == 1
    assert "index.html.j2:2" in done.stderr
    assert "nobody_knows" in done.stderr
