from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.candidate import Built, Do, facts_labels, insert_body, next_step

if TYPE_CHECKING:
    from bakehouse.bake.plan import BakePlan

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DISK = {"id": "5", "name": "bake-web-1", "selfLink": "https://x/zones/z/disks/bake-web-1"}


def image(state: str = "candidate", *, status: str = "READY", disk: str = "5") -> dict[str, Any]:
    labels = {"bakehouse-run": "0123456789ab", "bakehouse-state": state}
    return {"status": status, "sourceDiskId": disk, "labels": labels}


@pytest.mark.parametrize(
    ("found", "disk", "expected"),
    [
        (None, DISK, Do.CREATE),
        (None, None, Do.GIVE_UP),
        (image(), DISK, Do.ADOPT),
        (image(), None, Do.ADOPT),
        (image("failed"), None, Do.ADOPT),  # the smoke test will classify_shutdown it again
        (image("failed"), DISK, Do.REPLACE),
        (image(disk="4"), DISK, Do.REPLACE),
        (image("promoted", disk="4"), DISK, Do.ADOPT),
        (image(status="PENDING"), DISK, Do.WAIT),
        (image(status="FAILED"), DISK, Do.REPLACE),
        (image(status="FAILED"), None, Do.GIVE_UP),
        ({"status": "READY", "labels": {"bakehouse-run": "another"}}, DISK, Do.NOT_OURS),
        ({"status": "READY"}, DISK, Do.NOT_OURS),
    ],
)
def test_what_stands_says_what_is_done(
    plan: BakePlan, found: dict[str, Any] | None, disk: dict[str, Any] | None, expected: Do
) -> None:
    assert next_step(plan, found, disk) is expected


def test_a_candidate_has_no_family_and_says_whose_it_is(plan: BakePlan) -> None:
    body = insert_body(plan, DISK, NOW)
    assert "family" not in body
    assert body["sourceDisk"] == DISK["selfLink"]
    assert body["labels"]["bakehouse-state"] == "candidate"
    assert body["labels"]["git-sha"] == plan.commit.sha


def test_what_is_known_after_the_bake_fits_labels() -> None:
    built = Built(
        builder=BuilderVm(name="b", zone="z"),
        seconds=80,
        packages=312,
        manifest_digest="d" * 40,
        kernel="6.1.0-41-cloud-AMD64",
    )
    assert facts_labels(built) == {
        "manifest-digest": "d" * 40,
        "packages": "312",
        "kernel": "6-1-0-41-cloud-amd64",
    }


def test_unknown_packages_make_no_labels() -> None:
    assert facts_labels(Built(builder=BuilderVm(name="b", zone="z"), seconds=1)) == {}
