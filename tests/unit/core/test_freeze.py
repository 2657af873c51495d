"""What the Variable of the freeze says."""

from __future__ import annotations

import pytest

from bakehouse.core.freeze import UNKNOWN, Freeze, parse_freeze


@pytest.mark.parametrize(
    ("value", "who", "why"),
    [
        ('{"who": "ann", "why": "quarter\'s end"}', "ann", "quarter's end"),
        ('{"who": "ann"}', "ann", ""),
        ('{"why": "no"}', UNKNOWN, "no"),
        ("ann: the database moves", "ann", "the database moves"),
        ("the database moves", UNKNOWN, "the database moves"),
        ("we wait: the database moves", UNKNOWN, "we wait: the database moves"),
        ('"ann: a JSON text"', "ann", "a JSON text"),
        ("true", UNKNOWN, "true"),
        ("1", UNKNOWN, "1"),
        ("{who: ann}", UNKNOWN, "{who: ann}"),
        ('{"who": ["ann"]', UNKNOWN, '{"who": ["ann"]'),
        ("yes", UNKNOWN, "yes"),
    ],
)
def test_whatever_stands_there_is_a_freeze(value: str, who: str, why: str) -> None:
    assert parse_freeze(value) == Freeze(who=who, why=why)


@pytest.mark.parametrize("value", [None, "", "  \n", "{}", "false", "False", "null", "off", "no"])
def test_nothing_and_a_plain_no_are_none(value: str | None) -> None:
    assert parse_freeze(value) is None


def test_what_the_command_line_writes_is_read_again() -> None:
    freeze = Freeze(who="ann", why="Jahresabschluß: nichts anfassen")
    assert parse_freeze(freeze.to_json()) == freeze
    assert str(freeze) == "frozen by ann: Jahresabschluß: nichts anfassen"
