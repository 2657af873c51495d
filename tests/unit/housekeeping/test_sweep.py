"""What no run owns any more goes; what does not carry our labels is never touched."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.resources import BASE, DAG, NOW, RUN, Resource, ago, image, owned

from bakehouse.core.reasons import Reason
from bakehouse.housekeeping.sweep import Found, SweepFacts, owner_of, owners, plan
from bakehouse.inventory.model import Inventory
from bakehouse.lease.lease import Owner

OWNER = Owner(dag_id=DAG, run_id=RUN)
ENDED = SweepFacts(NOW, {OWNER: "failed"})
GOES_ON = SweepFacts(NOW, {OWNER: "running"})
UNKNOWN = SweepFacts(NOW)


def inventory(**lists: list[Resource]) -> Inventory:
    return Inventory("p", **{kind: tuple(found) for kind, found in lists.items()})


def one(kind: str, thing: Resource, facts: SweepFacts) -> Found | None:
    found = plan(inventory(**{f"{kind}s": [thing]}), facts)
    return found[0] if found else None


def verdict(kind: str, thing: Resource, facts: SweepFacts) -> tuple[bool, Reason]:
    found = one(kind, thing, facts)
    assert found is not None
    return found.sweep, found.reason


def candidate(name: str = "web-c", **more: Any) -> Resource:
    told = {"bakehouse-state": "candidate", "expires": ago(days=-14), **more.pop("labels", {})}
    return image(name, family=None, labels=told, **more)


THINGS = [
    ("instance", owned("instance", "bake-web-1")),
    ("instance", owned("instance", "smoke-web-1", "smoke")),
    ("disk", owned("disk", "bake-web-1")),
    ("image", candidate()),
]


@pytest.mark.parametrize(("kind", "thing"), THINGS)
def test_what_a_run_made_goes_when_the_run_has_ended(kind: str, thing: Resource) -> None:
    assert verdict(kind, thing, ENDED) == (True, Reason.RUN_ENDED)
    assert verdict(kind, thing, GOES_ON) == (False, Reason.RUN_GOING_ON)


@pytest.mark.parametrize(("kind", "thing"), THINGS)
def test_resources_of_an_unknown_run_are_swept_once_they_have_expired(
    kind: str, thing: Resource
) -> None:
    """Deleted from Airflow, or another Airflow's: its label `expires` is all there is."""
    assert verdict(kind, thing, UNKNOWN) == (False, Reason.RUN_UNKNOWN)
    over = {**thing, "labels": {**thing["labels"], "expires": ago(minutes=1)}}
    assert verdict(kind, over, UNKNOWN) == (True, Reason.EXPIRED)
    never = {**thing, "labels": {k: v for k, v in thing["labels"].items() if k != "expires"}}
    assert verdict(kind, never, UNKNOWN) == (False, Reason.RUN_UNKNOWN)


def test_a_run_that_goes_on_may_be_late_but_not_for_ever() -> None:
    for days, swept in [(0.5, False), (1.1, True)]:
        vm = owned("instance", "bake-web-1", labels={"expires": ago(days=days)})
        assert verdict("instance", vm, GOES_ON)[0] is swept


def test_only_the_run_of_the_label_counts() -> None:
    """Whatever a description says: one that names another run says nothing."""
    lies = owned("instance", "bake-web-1", description="web, made by bake__web manual__other")
    assert owner_of(lies) is None
    facts = SweepFacts(NOW, {Owner(dag_id=DAG, run_id="manual__other"): "failed"})
    assert verdict("instance", lies, facts) == (False, Reason.RUN_UNKNOWN)
    assert owners(inventory(instances=[lies, THINGS[0][1]], disks=[THINGS[2][1]])) == {OWNER}


def test_a_builder_that_is_kept_stays_until_it_expires() -> None:
    kept = {"bakehouse-kept": "until-it-expires"}
    for kind in ("instance", "disk"):
        thing = owned(kind, "bake-web-1", labels=kept)
        assert verdict(kind, thing, ENDED) == (False, Reason.KEPT_FOR_A_LOOK)
        thing = owned(kind, "bake-web-1", labels={**kept, "expires": ago(hours=1)})
        assert verdict(kind, thing, ENDED) == (True, Reason.EXPIRED)


def test_a_failed_candidate_stays_for_its_keep_time() -> None:
    failed = {"bakehouse-state": "failed"}
    young, old = candidate(labels=failed), candidate(labels={**failed, "expires": ago(days=1)})
    assert verdict("image", young, ENDED) == (False, Reason.KEPT_FOR_A_LOOK)
    assert verdict("image", old, GOES_ON) == (True, Reason.EXPIRED)


@pytest.mark.parametrize("state", ["history", "promoted", "revoked"])
def test_the_sweep_keeps_promoted_and_history_images(state: str) -> None:
    lasting = image("web-1", 900, labels={"bakehouse-state": state, "expires": ago(days=9)})
    assert one("image", lasting, ENDED) is None


def test_a_candidate_that_has_its_family_already_is_promoted_in_truth() -> None:
    half = candidate()
    half["family"] = "web"
    assert verdict("image", half, ENDED) == (False, Reason.HALF_PROMOTED)


def test_an_image_that_is_being_made_is_left_for_the_next_time() -> None:
    assert verdict("image", candidate(status="PENDING"), ENDED) == (False, Reason.NOT_READY)


def test_a_disk_goes_with_its_machine_and_never_while_another_uses_it() -> None:
    vm = owned("instance", "bake-web-1")
    users = [vm["selfLink"].replace("www.googleapis.com", "compute.googleapis.com")]
    disk = owned("disk", "bake-web-1", users=users)
    found = plan(inventory(instances=[vm], disks=[disk]), ENDED)
    assert [f.sweep for f in found] == [True, True]
    assert verdict("disk", disk, ENDED) == (False, Reason.ATTACHED)
    kept = owned("instance", "bake-web-1", labels={"bakehouse-pin": "x"})
    found = plan(inventory(instances=[kept], disks=[disk]), ENDED)
    assert [f.sweep for f in found] == [False, False]


def test_a_persons_pin_keeps_anything() -> None:
    for kind, thing in THINGS:
        pinned = {**thing, "labels": {**thing["labels"], "bakehouse-pin": ""}}
        assert verdict(kind, pinned, ENDED) == (False, Reason.PINNED)


# -- the boot disks that rollouts make ------------------------------------------------------------

FLEET = {"bakehouse-fleet": "web", "bakehouse-member": "web-1"}


def left(expired: float = 1, **more: Any) -> Resource:
    told = {**FLEET, "expires": ago(days=expired), "bakehouse-state": None}
    return owned("disk", "web-1-new", "member", labels=told, **more)


def test_a_members_disk_goes_when_nothing_has_used_it_for_a_week() -> None:
    assert verdict("disk", left(), UNKNOWN) == (True, Reason.EXPIRED)
    assert verdict("disk", left(-1), UNKNOWN) == (False, Reason.UNUSED_NOT_LONG)


def test_the_week_begins_when_the_disk_was_taken_out() -> None:
    """A rollout that halted yesterday leaves the disk that the member had for a month."""
    yesterday = (NOW - timedelta(days=1)).isoformat()
    long_ago = (NOW - timedelta(days=8)).isoformat()
    kept, old = left(30, lastDetachTimestamp=yesterday), left(30, lastDetachTimestamp=long_ago)
    assert verdict("disk", kept, UNKNOWN) == (False, Reason.UNUSED_NOT_LONG)
    assert verdict("disk", old, UNKNOWN) == (True, Reason.EXPIRED)


def test_an_attached_disk_is_kept_without_a_decision() -> None:
    assert one("disk", left(users=[f"{BASE}/zones/z/instances/web-1"]), UNKNOWN) is None


def test_a_disk_is_kept_while_a_rollout_runs_or_its_member_has_no_boot_disk() -> None:
    assert verdict("disk", left(), SweepFacts(NOW, busy_fleets={"web"})) == (
        False,
        Reason.ROLLOUT_GOING_ON,
    )
    bare = {"name": "web-1", "zone": "z", "disks": [{"source": "web-1-data"}]}
    (found,) = plan(inventory(instances=[bare], disks=[left()]), UNKNOWN)
    assert (found.sweep, found.reason) == (False, Reason.MEMBER_NEEDS_IT)


def test_a_disk_that_a_rollout_has_taken_out_goes_like_one_that_it_has_made() -> None:
    for expired, swept in [(1.0, (True, Reason.EXPIRED)), (-1.0, (False, Reason.UNUSED_NOT_LONG))]:
        told = {**FLEET, "expires": ago(days=expired), "bakehouse-state": None}
        old = owned("disk", "web-1", "previous", labels=told)
        assert verdict("disk", old, UNKNOWN) == swept


def test_a_disk_that_nothing_can_make_again_stays_and_is_named() -> None:
    told = {**FLEET, "expires": None, "bakehouse-state": None}
    old = owned("disk", "web-1", "previous", labels=told)
    old["labels"] = {key: value for key, value in old["labels"].items() if value is not None}
    assert verdict("disk", old, ENDED) == (False, Reason.ONLY_WAY_BACK)
    attached = {**old, "users": [f"{BASE}/zones/z/instances/web-1"]}
    assert one("disk", attached, ENDED) is None


@pytest.mark.parametrize(
    ("days", "attached", "expected"),
    [
        (1.0, None, (True, Reason.EXPIRED)),
        (-1.0, None, (False, Reason.UNUSED_NOT_LONG)),
        (1.0, "2026-01-01T00:00:00Z", None),
    ],
)
def test_a_data_disk_goes_only_if_it_was_never_attached(
    days: float, attached: str | None, expected: tuple[bool, Reason] | None
) -> None:
    told = {**FLEET, "expires": ago(days=days), "bakehouse-state": None}
    disk = owned("disk", "web-1-data", "data", labels=told)
    if attached:
        disk["lastAttachTimestamp"] = attached
    found = one("disk", disk, ENDED)
    assert ((found.sweep, found.reason) if found else None) == expected


# -- whatever labels there are --------------------------------------------------------------------

KEYS = ["bakehouse-recipe", "bakehouse-run", "bakehouse-role", "bakehouse-state", "expires"]
KEYS += ["bakehouse-kept", "bakehouse-pin", "bakehouse-fleet", "env"]
VALUES = ["", "0", "1", "9" * 63, "x", "builder", "smoke", "image", "member", "previous", "web"]
VALUES += ["data"]
VALUES += ["candidate", "failed", "promoted", "history", "revoked"]
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
KINDS = st.sampled_from(["instance", "disk", "image"])
STATES = st.sampled_from([None, "running", "failed", "success"])
ROLES = {"builder", "smoke", "image", "member", "previous", "data"}
OURS = {"bakehouse-recipe", "bakehouse-run", "bakehouse-role"}


@examples(400)
@given(LABELS, KINDS, STATES, st.booleans())
def test_resources_without_the_labels_are_kept(
    labels: dict[str, str], kind: str, state: str | None, used: bool
) -> None:
    thing = owned(kind, "anything")
    users = [f"{BASE}/zones/z/instances/somebodys"] if used else []
    thing |= {"labels": labels, "users": users, "description": f"made by {DAG} {RUN}"}
    found = one(kind, thing, SweepFacts(NOW, {OWNER: state}))
    if found is not None:
        assert labels.keys() >= OURS
    if found is not None and found.sweep:
        assert "bakehouse-pin" not in labels
        assert not (kind == "disk" and used)
        assert labels["bakehouse-role"] in {
            "builder",
            "smoke",
            "image",
            "member",
            "previous",
            "data",
        }
        if kind == "image":
            assert labels["bakehouse-state"] in {"candidate", "failed"}


@examples(100)
@given(st.dictionaries(st.text(), st.text()), KINDS)
def test_resources_with_other_labels_are_kept(labels: dict[str, str], kind: str) -> None:
    thing = {**owned(kind, "anything"), "labels": labels}
    assert labels.keys() >= OURS or one(kind, thing, ENDED) is None
