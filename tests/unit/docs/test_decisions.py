"""The index of decisions and the decisions themselves say the same."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.support.paths import PROJECT

FOLDER = PROJECT / "docs" / "decisions"

ROW = re.compile(
    r"^\| (?P<number>\d+) \| \[(?P<title>.+)\]\((?P<file>\S+\.md)\) \| (?P<date>\S+)"
    r" \| (?P<status>.+) \|$",
    re.MULTILINE,
)
HEAD = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\n"
    r"Date: (?P<date>\d{4}-\d\d-\d\d) · Status: (?P<status>.+)\n"
)
STATUS = re.compile(r"accepted|superseded by (\d+)")


class Decision(NamedTuple):
    number: str
    title: str
    file: str
    date: str
    status: str


def indexed() -> list[Decision]:
    return [Decision(**row.groupdict()) for row in ROW.finditer((FOLDER / "README.md").read_text())]


def written() -> list[Decision]:
    decisions = []
    for file in sorted(FOLDER.glob("[0-9]*.md")):
        head = HEAD.match(file.read_text("utf-8"))
        assert head, f"{file.name} lacks its title, or the line with date and status under it"
        decisions.append(Decision(file=file.name, **head.groupdict()))
    return decisions


def test_index_lists_every_decision_with_its_title_date_and_status() -> None:
    assert indexed() == written()


def test_file_name_starts_with_the_number() -> None:
    assert [d.file for d in written() if int(d.file.partition("-")[0]) != int(d.number)] == []


def test_no_number_is_used_twice() -> None:
    numbers = [decision.number for decision in written()]
    assert sorted(set(numbers), key=int) == numbers


def test_superseded_decision_names_one_that_exists() -> None:
    numbers = {decision.number for decision in written()}
    for decision in written():
        status = STATUS.fullmatch(decision.status)
        assert status, f"{decision.file}: the status is neither accepted nor superseded by N"
        assert status[1] is None or status[1] in numbers, decision
