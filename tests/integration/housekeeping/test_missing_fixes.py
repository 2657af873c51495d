"""The nightly look at the archives for what members run, and the runs that fleets ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from tests.support.apt import serving
from tests.support.ledger import of_kind, read_ledger
from tests.support.manifests import BAKED

from bakehouse.core.reasons import Reason
from bakehouse.history.fleet_events import MissingFixesEvent
from bakehouse.history.location import ledger_url
from bakehouse.history.manifest import Manifest, Package, Source
from bakehouse.history.manifest_store import write_manifest
from bakehouse.history.missing_fixes import missing_fixes
from bakehouse.housekeeping import fixes_operator

from .test_walk import image, machine, walk

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.gce_api import Compute


def has(name: str, version: str, *sources: Source) -> None:
    """The content of an image."""
    packages = (Package("openssl", version, "amd64"),)
    baked = BAKED.model_copy(update={"image": name})
    write_manifest(ledger_url(), baked, Manifest(packages, sources=sources))


@pytest.fixture
def triggered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """The runs that are triggered; the second time of one it exists."""
    found: list[tuple[str, str, Any]] = []

    def trigger_run(dag_id: str, run_id: str, conf: Any, note: str) -> bool:
        assert "max_days_since_fix of web is 1" in note
        is_new = (dag_id, run_id, conf) not in found
        found.append((dag_id, run_id, conf))
        return is_new

    monkeypatch.setattr(fixes_operator, "trigger_run", trigger_run)
    return found


def test_each_image_that_members_run_is_looked_at_and_an_overdue_fleet_asks_once_a_day(
    compute: Compute, include: Path, triggered: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = include / "fleets/web.yaml"
    fleet.write_text(f"{fleet.read_text()}max_days_since_fix: 1\n")
    for name in ("web-1", "web-2"):
        image(compute, name)
    machine(compute, "m-1", "web-1", labels={"fleet": "web"})
    with serving() as apt:
        label = {"Label": "Debian-Security"}
        apt.publish("debian", "trixie", {"openssl": "1.0-2"}, **label)
        source = Source(f"{apt.url}/debian", "trixie", "main")
        has("web-1", "1.0-1", source)
        has("web-2", "1.0-2", source)
        night = walk(include)
        assert night.try_("find_missing_fixes") == [], "it is new"
        with pytest.raises(AirflowSkipException, match="no fleet asks for a run"):
            night.try_("ask_for_fixes")
        events = of_kind(MissingFixesEvent, read_ledger(ledger_url()))
        assert {event.image: event.reason for event in events} == {
            "web-1": Reason.FIXES_MISSING,
            "web-2": Reason.NO_FIX_MISSING,
        }
        (lacking,) = [event.detail.found for event in events if event.image == "web-1"]
        assert [one.name for one in lacking] == ["openssl"]

        real = missing_fixes

        def older(events: Any) -> Any:
            """As if the first look had been two days ago."""
            found = real(events)
            return {
                name: one.model_copy(
                    update={
                        "missing": tuple(
                            fix.model_copy(update={"since": fix.since.replace(year=2025)})
                            for fix in one.missing
                        )
                    }
                )
                for name, one in found.items()
            }

        monkeypatch.setattr(fixes_operator, "missing_fixes", older)
        (request,) = night.try_("find_missing_fixes")
    assert request["dag_id"] == "roll_out__web", "web-2 has the fix"
    asked = night.try_("ask_for_fixes")
    assert asked == night.try_("ask_for_fixes")
    (run,) = {(dag_id, run_id) for dag_id, run_id, _ in triggered}
    assert asked == [" ".join(run)]
    with pytest.raises(AirflowSkipException, match="a dry run changes nothing"):
        walk(include, run_type="manual").try_("ask_for_fixes")


def test_what_is_unknown_is_recorded_as_unknown_and_asks_for_nothing(
    compute: Compute, include: Path
) -> None:
    image(compute, "web-1")
    machine(compute, "m-1", "web-1", labels={"fleet": "web"})
    assert walk(include).try_("find_missing_fixes") == []
    (event,) = of_kind(MissingFixesEvent, read_ledger(ledger_url()))
    assert event.reason is Reason.FIXES_UNKNOWN
    assert "no manifest of web-1 exists" in event.detail.unread[0]
