"""`bakehouse history` and `bakehouse why`: the ledger as sentences, or as data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.events import bake, ended, image, members, outcome, planned, replaced
from typer.testing import CliRunner, Result

from bakehouse.cli import app
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
