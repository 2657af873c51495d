"""`bakehouse history` and `bakehouse why`: the ledger as sentences, or as data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.events import bake, ended, image, members, outcome, planned, replaced
from typer.testing import CliRunner, Result

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.core.reasons import Reason
from bakehouse.history.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.history.events import LedgerEvent

OLD, NEW = image(1), image(2)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    url = f"file://{tmp_path}/ledger"
    events: list[LedgerEvent] = [
        bake(OLD, -2),
        bake(NEW, -1, sha="d" * 40, subject="<script>alert(1)</script> \x1b[31m"),
        planned(NEW, {"web-1": OLD}, by="jo"),
        replaced(NEW, "web-1", OLD, 0.1),
        ended(NEW, 0.2, "manual__1", Reason.NEW_IMAGE, outcome("web-1")),
        members({"web-1": NEW, "web-2": OLD}, 1),
    ]
    for event in events:
        Ledger(url).write(event)
    return url


def bakehouse(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_the_history_of_a_commit_by_the_beginning_of_its_hash(ledger: str) -> None:
    done = bakehouse("history", "dddd", "--json", "--ledger", ledger)
    assert done.exit_code == 0, done.stderr
    (made,) = json.loads(done.stdout)
    assert (made["what"], made["image"], made["commit"]) == ("bake", NEW, "d" * 40)
    assert made["run_id"] == f"scheduled__{NEW}"


def test_the_history_is_a_table_newest_first(ledger: str) -> None:
    lines = bakehouse("history", "web", "--ledger", ledger).stdout.splitlines()
    assert lines[0].split() == ["TIME", "WHAT", "OF", "IMAGE", "COMMIT", "WHY"]
    assert [line.split()[3] for line in lines[1:]] == ["deploy", "bake", "bake"]
    assert f"web moves to {NEW} instead of {OLD} by jo" in lines[1]
    assert "\x1b" not in "".join(lines), "a commit's subject does not reach the terminal as codes"
    assert len(bakehouse("history", "-n", "1", "--ledger", ledger).stdout.splitlines()) == 2


def test_an_unknown_name_is_refused_with_the_nearest_one(ledger: str) -> None:
    done = bakehouse("history", "wbe", "--ledger", ledger)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has no recipe, fleet, image or commit wbe" in done.stderr
    assert "web" in done.stderr


def test_why_has_five_lines_or_is_data(ledger: str) -> None:
    done = bakehouse("why", "web-1", "--ledger", ledger)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0] == f"web/web-1 runs {NEW} in here-a"
    assert lines[3] == "why: the fleet moves to a new image (run manual__1 by jo)"
    (told,) = json.loads(bakehouse("why", "web-2", "--json", "--ledger", ledger).stdout)
    assert (told["now"]["image"], told["now"]["is_since_exact"]) == (OLD, False)


def test_a_member_that_is_not_known(ledger: str) -> None:
    done = bakehouse("why", "web-3", "--ledger", ledger)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "knows no member web-3; did you mean" in done.stderr


PRICES = "currency: EUR\nmachine_types: {e2-small: {hour: 6}}\ndisk_types: {pd-balanced: 0.1}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "images")
    return tmp_path / "images"


def test_what_bakes_have_cost_by_month_and_recipe(tmp_path: Path, project: Path) -> None:
    (project / "include/prices.yaml").write_text(PRICES)
    url = f"file://{tmp_path}/costs"
    old, new = bake(OLD, -2), bake(NEW, -1)
    machine = {"machine_type": "e2-small", "disk_gb": 10, "disk_type": "pd-balanced", "seconds": 60}
    detail = new.detail.model_copy(update={**machine, "image_bytes": 2**30})
    for event in (old, new.model_copy(update={"detail": detail})):
        Ledger(url).write(event)
    place = ("--ledger", url, "--project", str(project))
    done = bakehouse("cost", *place)
    assert done.exit_code == 0, done.stderr
    assert "not counted: 1 bakes whose machine type is not recorded" in done.stderr
    assert "without a price in include/prices.yaml: images" in done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split()[:4] == ["MONTH", "RECIPE", "BAKES", "BUILDER"]
    assert any(row.split()[1:3] == ["web", "2"] and "0.1000 EUR" in row for row in rows)
    told = json.loads(bakehouse("cost", "web", "--json", *place).stdout)
    assert (told["currency"], told["unpriced"]) == ("EUR", ["images"])
    assert {row["builders"] for row in told["months"]} >= {"0.1"}
    assert json.loads(bakehouse("cost", "other", "--json", *place).stdout)["months"] == []


def test_without_prices_the_guide_is_named(ledger: str, project: Path) -> None:
    done = bakehouse("cost", "--ledger", ledger, "--project", str(project))
    assert done.exit_code == 1
    assert "docs/cost.md" in done.stderr


def test_wrong_prices_are_told_by_the_command_and_by_validate(ledger: str, project: Path) -> None:
    (project / "include/prices.yaml").write_text("currency: euro\n")
    wrong = "include/prices.yaml:1: currency is not a currency, such as EUR (it is 'euro')"
    place = ("--project", str(project))
    for words in (("cost", "--ledger", ledger, *place), ("validate", *place)):
        done = bakehouse(*words)
        assert (done.exit_code, wrong in done.stderr) == (1, True), done.stderr
