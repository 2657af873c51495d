"""Which keys count, and which images may lack their statements."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.history.trusted_keys import (
    BadSetting,
    TrustedKey,
    dump_trusted_keys,
    parse_trusted_keys,
    unsigned_rule,
)

PEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
FIRST = datetime(2026, 12, 1, 4, tzinfo=UTC)
SECOND = datetime(2027, 1, 1, tzinfo=UTC)
BEFORE, AFTER = datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)


def test_a_key_is_written_as_it_is_read() -> None:
    keys = {"k": TrustedKey(public_key=PEM, scheme="rsa-pkcs1v15-sha256", since=FIRST)}
    assert parse_trusted_keys(dump_trusted_keys(keys)) == keys


def test_a_person_may_write_the_public_key_alone() -> None:
    assert parse_trusted_keys(json.dumps({"of 2026": PEM})) == {
        "of 2026": TrustedKey(public_key=PEM)
    }
    assert parse_trusted_keys("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "bakehouse_trusted_keys is not JSON"),
        ("[]", "bakehouse_trusted_keys: it is not a mapping"),
        ('{"k": "ssh-ed25519 AAAA"}', "k is no public key in PEM"),
        ('{"k": "-----BEGIN PRIVATE KEY-----"}', "k is no public key in PEM"),
        ('{"k": {"scheme": "x"}}', "is missing"),
    ],
)
def test_a_key_that_cannot_be_read_is_named(text: str, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        parse_trusted_keys(text)


@pytest.mark.parametrize("value", ["", "old", " OLD "])
def test_images_made_before_the_first_key_may_lack_statements(value: str) -> None:
    rule = unsigned_rule(value, [SECOND, FIRST])
    assert "when the first image was signed" in rule.lets_through(BEFORE)
    assert not rule.lets_through(FIRST)
    assert not rule.lets_through(AFTER)


def test_before_anything_was_signed_every_image_may_lack_statements() -> None:
    assert unsigned_rule("", []).lets_through(AFTER)


def test_none_all_or_those_before_a_date_may_lack_statements() -> None:
    assert not unsigned_rule("refuse", [FIRST]).lets_through(BEFORE)
    assert unsigned_rule("allow", [FIRST]).lets_through(AFTER)
    by_date = unsigned_rule("2026-12-01", [])
    assert "the date of bakehouse_unsigned_images" in by_date.lets_through(BEFORE)
    assert not by_date.lets_through(AFTER)


@given(st.text().filter(lambda text: text.strip().lower() not in {"", "old", "refuse", "allow"}))
def test_anything_else_is_a_date_or_refused_with_what_may_be_written(value: str) -> None:
    try:
        said = unsigned_rule(value, []).why
    except BadSetting as wrong:
        said = str(wrong)
    assert "the date of bakehouse_unsigned_images" in said or "refuse, allow, or a date" in said
