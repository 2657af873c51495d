"""Commits as git stores them: dates that Python does not know, other encodings, odd headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.recipe.git.commit_object import parse_commit

FIRST, LAST = (edge.replace(tzinfo=UTC) for edge in (datetime.min, datetime.max))


def commit(when: str, message: bytes = b"Subject\n\nBody\n", extra: str = "") -> bytes:
    head = f"tree {'0' * 40}\nauthor A B <a@b.c> {when}\ncommitter C <c@d.e> {when}\n{extra}"
    return head.encode() + b"\n" + message


@pytest.mark.parametrize(
    ("when", "right"),
    [
        ("1798000000 +0000", datetime(2026, 12, 23, 4, 26, 40, tzinfo=UTC)),
        ("4102444800 +0100", datetime(2100, 1, 1, tzinfo=UTC)),
        ("-86400 -0500", datetime(1969, 12, 31, tzinfo=UTC)),
        ("0 -0000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0 +2600", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0 -9959", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0 +051800", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0 +5", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("253402300800 +0000", LAST),  # the year 10000
        ("18446744073709551615 +0000", LAST),
        ("-62135596801 +0000", FIRST),
        ("99999999999999999999999 +0000", LAST),
        ("yesterday", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_date_that_git_stores_is_a_moment(when: str, right: datetime) -> None:
    found = parse_commit(commit(when))
    assert found.committed == found.authored == right
    found.authored.astimezone(UTC).isoformat()


def test_a_zone_of_the_earth_is_kept() -> None:
    assert parse_commit(commit("0 +0530")).authored.utcoffset() == timedelta(hours=5, minutes=30)
    assert parse_commit(commit("0 -0330")).authored.utcoffset() == -timedelta(hours=3, minutes=30)


@pytest.mark.parametrize(
    ("message", "extra", "subject"),
    [
        (b"One\ntwo\n\nbody", "", "One two"),
        (b"\n\nLate\n", "", "Late"),
        (b"", "", ""),
        ("Größe\n".encode("latin-1"), "encoding ISO-8859-1\n", "Größe"),
        ("Größe\n".encode("latin-1"), "", "Gr\ufffd\ufffde"),
        ("Größe\n".encode(), "encoding klingon\n", "Größe"),
        (b"Signed\n", "gpgsig -----BEGIN\n author X <x> 1 +0000\n -----END\n", "Signed"),
    ],
)
def test_the_subject_is_the_first_paragraph_in_its_encoding(
    message: bytes, extra: str, subject: str
) -> None:
    found = parse_commit(commit("0 +0000", message, extra))
    assert (found.subject, found.author) == (subject, "A B <a@b.c>")


@given(st.integers(-(10**25), 10**25), st.from_regex(r"[-+][0-9]{1,6}", fullmatch=True))
def test_no_date_is_an_error(seconds: int, zone: str) -> None:
    found = parse_commit(commit(f"{seconds} {zone}"))
    assert FIRST <= found.committed <= LAST
    if abs(seconds) < 10**10:
        assert found.committed == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@given(st.binary())
def test_no_object_is_an_error(data: bytes) -> None:
    parse_commit(data).subject.encode()
