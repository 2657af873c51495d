"""Where a builder's time went is told from power on, whatever its clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.manifests import MANIFEST

from bakehouse.history.manifest import Manifest, Step
from bakehouse.history.timeline import in_words, timeline

ON = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
OFF = ON + timedelta(seconds=96.5)
STEPS = (Step("network", 8.0), Step("script", 10.0), Step("power off", 90.0))
REPORTED = MANIFEST._replace(booted=ON.timestamp() + 5, steps=STEPS)


def test_moments_count_from_power_on() -> None:
    found = timeline(REPORTED, ON, OFF)
    assert [(step.name, step.at) for step in found] == [
        ("power on", 0.0),
        ("kernel", 5.0),
        ("network", 13.0),
        ("script", 15.0),
        ("power off", 95.0),
        ("off", 96.5),
    ]
    assert in_words(found) == (
        "power on 5.0 s, kernel 8.0 s, network 2.0 s, script 80.0 s, power off 1.5 s, off"
    )


@pytest.mark.parametrize(
    ("reported", "on"),
    [
        (REPORTED, None),
        (REPORTED._replace(booted=None), ON),
        (REPORTED._replace(booted=ON.timestamp() - 3600), ON),
    ],
)
def test_without_a_clock_to_trust_moments_count_from_the_kernels_start(
    reported: Manifest, on: datetime | None
) -> None:
    found = timeline(reported, on, OFF)
    assert [step.at for step in found] == [0.0, 8.0, 10.0, 90.0]


def test_a_builder_that_reports_no_steps_has_no_timeline() -> None:
    assert timeline(MANIFEST, ON, OFF) == ()
    assert in_words(()) == ""
