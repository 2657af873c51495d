"""Which data an image can read, and what a member says of its own."""

from __future__ import annotations

import pytest

from bakehouse.images.formats import (
    FormatRange,
    format_of,
    formats_in,
    highest,
    newer,
    unreadable,
)

READS = (FormatRange("group.version", 0, 1), FormatRange("metadata.version", 7, 29))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("format metadata.version 33", ("metadata.version", 33)),
        ("  format\tkraft.version  1 ", ("kraft.version", 1)),
        ("format metadata.version", None),
        ("format metadata.version 4.4-IV0", None),
        ("format metadata.version -1", None),
        ("formatted 3 1", None),
        ("the format metadata.version 33", None),
        ("", None),
    ],
)
def test_a_line_of_a_gate_names_one_format(line: str, found: tuple[str, int] | None) -> None:
    assert format_of(line) == found


def test_an_answer_names_formats_among_other_lines() -> None:
    text = "leader: of the quorum\nformat a 1\nall in sync\nformat b 2\nformat a 3\nformat a 2"
    assert formats_in(text) == {"a": 3, "b": 2}
    assert highest([{"a": 1, "b": 5}, {}, {"a": 2}]) == {"a": 2, "b": 5}


@pytest.mark.parametrize(
    ("has", "why"),
    [
        ({"metadata.version": 29}, ""),
        ({"metadata.version": 7, "group.version": 0}, ""),
        (
            {"metadata.version": 33},
            "metadata.version 33 is finalised, kafka-old cannot read it (it reads 7 to 29)",
        ),
        (
            {"metadata.version": 6},
            "metadata.version 6 is finalised, kafka-old cannot read it (it reads 7 to 29)",
        ),
        (
            {"share.version": 1},
            "share.version 1 is finalised, kafka-old cannot read it (it does not know this format)",
        ),
        ({"share.version": 0}, ""),
        ({}, ""),
    ],
)
def test_an_image_reads_what_it_declares(has: dict[str, int], why: str) -> None:
    assert unreadable(has, "kafka-old", READS) == why


def test_each_format_that_cannot_be_read_is_named() -> None:
    why = unreadable({"metadata.version": 33, "group.version": 2}, "old", READS)
    assert why == (
        "group.version 2 is finalised, old cannot read it (it reads 0 to 1);"
        " metadata.version 33 is finalised, old cannot read it (it reads 7 to 29)"
    )
    only = (FormatRange("catalog", 15, 15),)
    assert unreadable({"catalog": 16}, "old", only).endswith("(it reads 15)")


def test_an_image_that_declares_nothing_is_not_judged() -> None:
    """Those of older versions of a recipe: whether they can read the data is unknown."""
    assert unreadable({"metadata.version": 33}, "kafka-old", ()) == ""


def test_what_an_image_would_bring_the_data_to() -> None:
    has = {"metadata.version": 25, "group.version": 1}
    assert newer(has, READS) == {"metadata.version": (25, 29)}
    assert newer({"metadata.version": 33}, READS) == {}
    assert newer({}, READS) == {}, "a format that nobody has named is not offered"
