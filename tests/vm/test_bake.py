"""The bake on real machines: what the page shows, only a booted machine can tell."""

from __future__ import annotations

from bakehouse.local.testbed import Testbed


def test_a_real_machine_is_baked_booted_and_promoted(bed: Testbed) -> None:
    run = bed.bake("bake__web", deadline=1800, git_ref=bed.head)

    assert run.state == "success", bed.explain(run)

    image = bed.compute.newest_of("web")
    assert image["status"] == "READY"
    assert image["labels"]["git-sha"] == bed.head
    assert int(image["labels"]["packages"]) > 100
    assert bed.left() == []
