"""Both filter languages."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgce.core.errors import ApiError
from localgce.http import fields, filters

VM = {
    "name": "web-1",
    "id": "42",
    "status": "RUNNING",
    "labels": {"env": "prod", "git-sha": "abc", "a.b": "dotted"},
    "scheduling": {"preemptible": False},
    "tags": {"items": ["http", "blue"]},
    "guestCpus": 4,
    "disks": [{"source": "x/disks/one", "boot": True}, {"source": "x/disks/two"}],
    "creationTimestamp": "2026-11-23T00:00:00.000-08:00",
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("name=web-1", True),
        ('name = "web-1"', True),
        ("name!=web-1", False),
        ("name=web-*", True),
        ('name="web-*"', False),
        ("labels.env=prod", True),
        ("labels.git-sha:*", True),
        ("labels.nothing:*", False),
        ("labels.nothing!=x", True),
        ("labels.a.b=dotted", True),
        ('labels."git-sha"=abc', True),
        ("name:eb", True),
        ("name:web*", True),
        ("NOT status=RUNNING", False),
        ("-status=RUNNING", False),
        ("status=RUNNING AND labels.env=dev", False),
        ("status=RUNNING labels.env=prod", True),
        ("status=STOPPING OR status=RUNNING", True),
        ("status=X (name=web-1 OR name=web-2)", False),
        ("(status=RUNNING) AND (name=web-1 OR name=web-2)", True),
        ("scheduling.preemptible=false", True),
        ("scheduling.preemptible!=true", True),
        ("tags.items=blue", True),
        ("tags.items=red", False),
        ("guestCpus>2", True),
        ("guestCpus>=4 AND guestCpus<5", True),
        ("guestCpus=4", True),
        ("id=42", True),
        ("disks.source:two", True),
        ('creationTimestamp>"2026-11-22"', True),
        ('creationTimestamp>"2026-11-23T07:59:00Z"', True),
        ('creationTimestamp>"2026-11-23T08:01:00Z"', False),
        ("creationTimestamp<=2026-11-23T09:00:00+01:00", True),
        ("status=(STOPPING OR RUNNING)", True),
        ("status=(STOPPING OR (TERMINATED))", False),
        ("name:(web AND 1)", True),
        ("name:(web 2)", False),
        ("status!=(RUNNING)", False),
        ("status=(NOT STOPPING)", True),
        ("name eq web-1", True),
        ("name eq web", False),
        ("name eq 'web-.*'", True),
        ('name eq ".*\\bweb\\b.*"', True),
        ("name ne web-.*", False),
        ("(status eq RUNNING) (labels.env eq prod|dev)", True),
        ("(status eq RUNNING) (labels.env eq dev)", False),
        ("scheduling.preemptible eq false", True),
        ("labels.nothing ne x", True),
    ],
)
def test_filters(text: str, matches: bool) -> None:
    assert filters.parse(text)(VM) is matches


@pytest.mark.parametrize(
    "text", ["name", "name=", "=x", "(name=x", "name=x)", "name eq x AND status=y", "name eq '['"]
)
def test_invalid_filters_are_rejected(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        filters.parse(text)
    assert caught.value.status == 400
    assert text in caught.value.message


@given(st.text(alphabet="ab.*'\"()=!<>:-\\ ANDORNOTeqne[", max_size=40))
def test_any_filter_is_parsed_or_rejected(text: str) -> None:
    with contextlib.suppress(ApiError):
        assert filters.parse(text)(VM) in {True, False}


@given(st.text(alphabet="ab*/(),-. ", max_size=40))
def test_any_mask_is_parsed_or_rejected(text: str) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(fields.keep(fields.parse(text), VM), dict)


@pytest.mark.parametrize(
    ("mask", "kept"),
    [
        ("name", {"name": "web-1"}),
        ("name,id", {"name": "web-1", "id": "42"}),
        ("labels/env", {"labels": {"env": "prod"}}),
        ("disks(source)", {"disks": [{"source": "x/disks/one"}, {"source": "x/disks/two"}]}),
        (
            "tags/items,scheduling(preemptible)",
            {
                "tags": VM["tags"],
                "scheduling": VM["scheduling"],
            },
        ),
        ("nothing", {}),
    ],
)
def test_masks(mask: str, kept: dict[str, object]) -> None:
    assert fields.keep(fields.parse(mask), VM) == kept


def test_a_star_selects_all_fields() -> None:
    assert fields.keep(fields.parse("*"), VM) == VM
