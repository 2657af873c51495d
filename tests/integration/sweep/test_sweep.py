"""Every call of a bake and of a swap fails, in every way: the run ends as if none had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.sweep.recording import comparable
from tests.integration.sweep.scenarios import SCENARIOS

if TYPE_CHECKING:
    from tests.integration.sweep.calls import Case
    from tests.integration.sweep.recording import Recording
    from tests.integration.sweep.scenarios import World


def test_a_run_ends_as_without_a_fault(case: Case, world: World, recording: Recording) -> None:
    def begins(task: str) -> None:
        if task == case.call.task:
            world.compute.fault(**case.fault)

    scenario = SCENARIOS[case.call.scenario](world)
    ended = scenario.run(begins)
    expected = recording.ends[scenario.name]
    told = f"{ended['errors']}\n{ended['tries']}"
    assert comparable(ended) == expected, told
    assert ended["hits"] or not case.call.change, "the call was not made"
    if not ended["hits"]:
        pytest.skip("what the call would have waited for had come about before")


def test_the_sweep_reaches_every_change_of_every_flow(recording: Recording) -> None:
    changes = {
        (call.scenario, call.method.removeprefix("compute.").rpartition(".")[2])
        for call in recording.calls
        if call.change
    }
    assert changes >= {
        *(("bake", verb) for verb in ("insert", "patch", "setLabels", "delete")),
        *(("machine_image", verb) for verb in ("setMetadata", "setScheduling", "insert")),
        ("builder_is_kept", "setLabels"),
        ("smoke_test_fails", "setLabels"),
        *(("swap", verb) for verb in ("insert", "stop", "detachDisk", "attachDisk", "start")),
        *(("roll_back", verb) for verb in ("stop", "detachDisk", "attachDisk", "start")),
        *(("housekeeping", verb) for verb in ("delete", "deprecate")),
    }
