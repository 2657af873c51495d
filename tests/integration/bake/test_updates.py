"""A night of a recipe whose image is there: nothing new, an update, an archive that is silent."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.apt import Apt, serving
from tests.support.ledger import of_kind

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import BakeEvent, CoversEvent, PromotionEvent, UpdatesEvent
from bakehouse.history.location import ledger_url
from bakehouse.history.manifest_store import read_manifest

from .test_walk import events
from .walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.gce_api import Compute

SERIAL = count(1)
MOST_CALLS = 6  # to Compute Engine, of a run that bakes nothing


@pytest.fixture
def apt() -> Iterator[Apt]:
    with serving() as served:
        served.publish("debian", "trixie", {"bash": "5.2-1", "openssl": "3.0-1"})
        yield served


class Nights:
    """Of one recipe whose builders install the versions that the archive has at the time."""

    def __init__(self, apt: Apt, page: str) -> None:
        self.vars = {"page": page, "instant_sources": f"{apt.url}/debian trixie main"}

    def run(self, **params: Any) -> Walk:
        """A night as far as the decision."""
        night = Walk("loaf", f"scheduled__updates_{next(SERIAL)}", vars=self.vars, **params)
        night.through("need_bake")
        return night

    def bake(self, night: Walk) -> str:
        """The rest of it; the image's name."""
        assert night.handed["need_bake"], night.handed["plan_bake"]
        night.through("promote_image", "create_builder")
        night.tear_down()
        return str(night.handed["promote_image"]["name"])


def asked(compute: Compute) -> list[str]:
    told = compute.requests()
    requests = told["requests"] if isinstance(told, dict) else told
    return [request["method"] for request in requests]


@pytest.mark.long
def test_a_night_with_nothing_new_costs_nothing(
    compute: Compute, apt: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    nights = Nights(apt, "nothing new")
    nights.vars["instant_packages"] = "bash=5.2-1 openssl=3.0-1"
    image = nights.bake(nights.run())
    compute.forget()
    apt.forget()
    night = nights.run()
    night.tear_down()
    assert night.handed["need_bake"] is False
    calls = asked(compute)
    print(f"unchanged: {len(calls)} calls: {' '.join(calls)}")
    assert len(calls) <= MOST_CALLS
    assert not any(call.endswith("insert") for call in calls)
    plan = night.handed["plan_bake"]
    assert (plan["existing_image"], plan["updates"]["indexes"]) == (image, 1)
    assert "no updates in 1 index" in capsys.readouterr().out
    (covers,) = of_kind(CoversEvent, events(night))
    assert covers.detail.updates == "no updates in 1 index"

    apt.forget()
    nights.run().tear_down()
    assert apt.asked == ["/debian/dists/trixie/InRelease"], "unchanged: nothing else is downloaded"


@pytest.mark.long
def test_a_night_with_nothing_new_bakes_nothing_through_a_mirror_list(
    compute: Compute, apt: Apt
) -> None:
    """As the sources of the images of debian-cloud are: `updates_unknown` baked every night."""
    of = "mirror+file:/etc/apt/mirrors/debian.list"
    nights = Nights(apt, "mirror list")
    nights.vars["instant_packages"] = "bash=5.2-1 openssl=3.0-1"
    nights.vars["instant_sources"] = f"{of} trixie main"
    nights.vars["instant_mirrors"] = f"{of} http://127.0.0.1:9/debian, {of} {apt.url}/debian"
    image = nights.bake(nights.run())
    compute.forget()
    night = nights.run()
    night.tear_down()
    assert night.handed["need_bake"] is False
    assert night.handed["plan_bake"]["existing_image"] == image
    assert not any(call.endswith("insert") for call in asked(compute))


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_updates_are_the_reason_of_the_rebake(apt: Apt, capsys: pytest.CaptureFixture[str]) -> None:
    nights = Nights(apt, "updates")
    nights.vars["instant_packages"] = "bash=5.2-1 openssl=3.0-1"
    first = nights.bake(nights.run())
    apt.publish("debian", "trixie", {"bash": "5.2-2", "openssl": "3.0-1"}, Label="Debian-Security")
    night = nights.run()
    plan = night.handed["plan_bake"]
    assert (plan["bake"], plan["reason"]) == (True, "security_updates")
    assert "bash 5.2-1 -> 5.2-2 (trixie, security)" in capsys.readouterr().out
    (updates,) = of_kind(UpdatesEvent, events(night))
    (found,) = updates.detail.found
    assert (found.name, found.available, found.security) == ("bash", "5.2-2", True)
    assert updates.image == first
    second = nights.bake(night)
    assert second != first, "of the same commit, with a name of its own"
    (baked,) = of_kind(BakeEvent, events(night))
    assert baked.reason is Reason.SECURITY_UPDATES
    assert "1 security update (bash)" in str(baked.detail.updates)


@pytest.mark.usefixtures("compute")
def test_an_index_that_cannot_be_read_counts_as_an_update(apt: Apt) -> None:
    nights = Nights(apt, "unreadable")
    nights.bake(nights.run())
    apt.files.clear()
    night = nights.run()
    plan = night.handed["plan_bake"]
    assert (plan["bake"], plan["reason"]) == (True, "updates_unknown")
    assert "trixie/Release does not exist" in plan["updates"]["unread"][0]
    (updates,) = of_kind(UpdatesEvent, events(night))
    assert list(updates.detail.unread) == plan["updates"]["unread"]
    night.tear_down()


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_nobody_looks_where_the_answer_does_not_depend_on_it(apt: Apt) -> None:
    """Forced, or the past."""
    nights = Nights(apt, "no look")
    nights.bake(nights.run())
    apt.files.clear()
    apt.forget()
    forced = nights.run(force=True)
    assert forced.handed["plan_bake"]["reason"] == "forced"
    forced.tear_down()
    past = Walk("loaf", f"backfill__updates_{next(SERIAL)}", "backfill", vars=nights.vars)
    assert past.through("need_bake") is False
    past.tear_down()
    assert apt.asked == []


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_packages_as_of_a_day_have_no_updates(apt: Apt) -> None:
    apt.files.clear()
    nights = Nights(apt, "a day")
    nights.bake(nights.run(snapshot_date="2026-11-20"))
    day = nights.run(snapshot_date="2026-11-20")
    assert day.handed["need_bake"] is False
    assert day.handed["plan_bake"]["updates"] is None
    day.tear_down()
    assert apt.asked == []


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_a_promotion_says_what_has_changed_in_its_family(
    apt: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    nights = Nights(apt, "changes")
    nights.vars["instant_packages"] = "bash=5.2-1 telnet=1"
    first = nights.bake(nights.run())
    nights.vars["instant_packages"] = "bash=5.2-2 jq=1.6"
    night = nights.run()
    second = nights.bake(night)
    words = "1 upgraded (bash), 1 added (jq), 1 removed (telnet)"
    assert f"against {first}: {words}" in capsys.readouterr().out
    (promotion,) = of_kind(PromotionEvent, events(night))
    assert (promotion.detail.previous, promotion.detail.changes) == (first, words)
    manifest = read_manifest(ledger_url(), second)
    assert [package.name for package in manifest.packages] == ["bash", "jq"]
    assert manifest.files.kernel is not None
    assert manifest.files.enabled == ("bakehouse-boot.service",)
