"""A survey of members against a real localgce: who is ill or silent, by two reads."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.support.deadlines import SOON

from bakehouse.rollout.events import SurveyEnded
from bakehouse.rollout.survey_trigger import SurveyTrigger
from devstack.waiting import wait_until

if TYPE_CHECKING:
    import pytest
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

ZONE = "us-central1-a"


async def survey(names: list[str], deadline: float) -> SurveyEnded:
    wanted = [f"{ZONE}/{name}" for name in names]
    trigger = SurveyTrigger(wanted=wanted, conn_id="google_cloud_default", deadline=deadline)
    async for event in trigger.run():
        return SurveyEnded.model_validate(event.payload["event"])
    raise AssertionError("it has fired no event")


def test_the_ill_and_the_silent_are_told_and_nobody_else(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.rollout.survey_trigger.FIRST_LOOK", 0.0)
    knobs = {
        "well": {"report_seconds": "0.5"},
        "ill": {"report_seconds": "0.5", "ill_when": "somebody-is-ill"},
        "silent": {"report_seconds": "0.5", "silent_after": "0.1"},
        "old": {"reports": "once"},
    }
    fleet_of.create(images.old, list(knobs))
    for name, settings in knobs.items():
        for knob, value in settings.items():
            fleet_of.configure(name, f"instant-{knob}", value)
        fleet_of.restart(name)
    compute.set_project_attribute("somebody-is-ill")
    wait_until(lambda: "ill" not in fleet_of.facts().health, SOON, "a report of the ill one")
    found = asyncio.run(survey([*knobs, "nobody"], time.time() + 600))
    assert found.ill.keys() == {f"{ZONE}/ill", f"{ZONE}/silent"}
    assert found.ill[f"{ZONE}/ill"].startswith("unhealthy: app.service has failed")
    assert found.ill[f"{ZONE}/silent"].startswith("no health report for")
    assert found.unread == ""
