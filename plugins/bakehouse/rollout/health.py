"""Read a member's health report, the guest attribute `bakehouse/health`, and assess it. Pure.

A report counts only if it is of the current boot: the attribute outlives a stop, so that the last
report of the old image would otherwise be taken for one of the new image.

An image reports again each `period`. Whether a report is a new one is told by its stamp (boot id,
time, uptime) and never by comparing clocks: a guest's may be wrong by years. So its reader counts,
by its own clock, how long the stamp has been the same (docs/decisions/0072). Images of older
versions report once at each boot and say no period: their report is never stale.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bakehouse.core.time import parse_timestamp
from bakehouse.rollout.numbers import numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

HEALTHY, BUSY = "healthy", "busy"
_COUNT = re.compile(r"^busy: *(\d{1,15}) of (\d{1,15})", re.MULTILINE)
STALE_AFTER = 3
"""Periods without a new report, after which the last one is no answer any more."""
SILENT_AT_MOST = 6
"""Periods without a new report, after which a watch of the member has failed."""
ILL_IN_A_ROW = 2
"""Unhealthy reports, one after the other, after which a watched member is ill."""
FLAPS, FLAP_PERIODS = 3, 20
"""Turns from healthy to unhealthy, within so many periods, after which a watched member flaps."""
RESTARTS_AT_MOST = 1
"""How often a watched member, or a unit of it, may start again: the second time, it is ill."""


@dataclass(frozen=True)
class Health:
    """One report of a guest (CONTRACT: written at every boot, fresh by `boot_id`)."""

    state: str  # healthy | busy (it counts to something, and will be healthy) | unhealthy
    image: str
    boot_id: str
    detail: str = ""
    time: datetime | None = None  # by the guest's clock
    uptime: float | None = None
    period: timedelta | None = None  # until the next report; None: there is none in this boot
    check_limit: timedelta = timedelta(0)  # what the check before a report may take
    restarts: int | None = None  # of its units, in this boot
    boot_seconds: float | None = None  # of the image's boot script, until the member was ready
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)  # of its own check
    orders: frozenset[str] = frozenset()  # that it can carry out; none of older versions

    @property
    def count(self) -> tuple[int, int] | None:
        """What a busy member has counted to: n of m."""
        found = _COUNT.search(self.detail) if self.state == BUSY else None
        return (int(found[1]), int(found[2])) if found else None

    @property
    def stamp(self) -> tuple[str, datetime | None, float | None]:
        """What is never the same of two reports."""
        return self.boot_id, self.time, self.uptime

    def after(self, periods: int) -> timedelta | None:
        """Return the time of so many periods, each report's check included once."""
        return None if self.period is None else periods * self.period + self.check_limit


class HealthAssessment(StrEnum):
    """The assessment of a report, for a member that must run `image`."""

    HEALTHY = "healthy"
    BUSY = "busy"  # not healthy yet, and it says how far it is
    UNHEALTHY = "unhealthy"
    SILENT = "silent"  # nothing fresh said yet
    STALE = "stale"  # it has stopped to report: no answer, neither healthy nor ill


def parse(text: str | None) -> Health | None:
    """Parse the report; None if there is none or it is invalid.

    What an image cannot be judged without must be there; all else is left out if it is invalid.
    """
    if not text:
        return None
    try:
        said: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not {"state", "image", "boot_id"} <= said.keys():
        return None
    period = _seconds(said.get("period"))
    return Health(
        state=str(said["state"]),
        image=str(said["image"]),
        boot_id=str(said["boot_id"]),
        detail=_short(said.get("detail", "")),
        time=_moment(said.get("time")),
        uptime=_number(said.get("uptime")),
        period=period or None,
        check_limit=_seconds(said.get("check_limit")) or timedelta(0),
        restarts=None if (restarts := _number(said.get("restarts"))) is None else int(restarts),
        boot_seconds=_number(said.get("boot_seconds")),
        numbers=numbers_of(said),
        orders=_names(said.get("orders")),
    )


def assess_health(
    health: Health | None, image: str, before: str | None, same_for: timedelta | None = None
) -> HealthAssessment:
    """Assess a report of `image` from another boot than `before` (None: any boot).

    Args:
        health: the report.
        image: what the member must run.
        before: the boot whose report does not count.
        same_for: how long the reader has seen this very report; None: it has read only once.
    """
    if health is None or health.image != image or health.boot_id == before:
        return HealthAssessment.SILENT
    limit = health.after(STALE_AFTER)
    if limit is not None and same_for is not None and same_for > limit:
        return HealthAssessment.STALE
    if health.state == BUSY and health.count is not None:
        return HealthAssessment.BUSY
    return HealthAssessment.HEALTHY if health.state == HEALTHY else HealthAssessment.UNHEALTHY


@dataclass(frozen=True)
class Sighting:
    """What a reader knows of a member after some reads of its report.

    `since` is the reader's time of the first read that gave this very report.
    """

    health: Health | None
    since: datetime
    ill: int = 0  # unhealthy reports in a row
    reports: int = 0  # new ones since the first read
    boots: int = 0  # new ones since the first read
    restarts: int = 0  # of units, since the first read
    turns: tuple[datetime, ...] = ()  # when it turned unhealthy: the last of them

    def assess(self, image: str, before: str | None, now: datetime) -> HealthAssessment:
        """Assess the last report; see `assess_health`."""
        return assess_health(self.health, image, before, now - self.since)


def see(last: Sighting | None, health: Health | None, now: datetime) -> Sighting:
    """Return what is known after another read that gave `health` at `now`, the reader's time."""
    ill = 1 if health is not None and health.state != HEALTHY else 0
    if last is None:
        return Sighting(health, now, ill)
    before = last.health
    if health is None or (before is not None and health.stamp == before.stamp):
        return last
    booted = before is not None and health.boot_id != before.boot_id
    return replace(
        last,
        health=health,
        since=now,
        ill=ill and last.ill + 1,
        reports=last.reports + 1,
        boots=last.boots + booted,
        restarts=last.restarts + _restarts_between(before, health),
        turns=(*last.turns, now)[-FLAPS:] if ill and not last.ill else last.turns,
    )


def _restarts_between(before: Health | None, health: Health) -> int:
    """How often units have started again; a new boot counts them anew."""
    if before is None or before.restarts is None or health.restarts is None:
        return 0
    counted = 0 if health.boot_id != before.boot_id else before.restarts
    return max(0, health.restarts - counted)


def failure(seen: Sighting, image: str, before: str | None, now: datetime) -> str:
    """Return why a watched member has failed; empty if it has not, or not yet.

    One unhealthy report, one lost report and one restart happen to a good member too: a check that
    ran into its time limit under load, an attribute that Compute Engine has dropped. Two do not.
    A report of the old form is the only one of its boot, so it counts at once.
    """
    health, same_for = seen.health, now - seen.since
    if seen.boots > RESTARTS_AT_MOST:
        return f"it has booted {seen.boots} times while it was watched"
    if seen.restarts > RESTARTS_AT_MOST:
        return f"its services were started again {seen.restarts} times while it was watched"
    if _flaps(seen):
        return f"it turned unhealthy {FLAPS} times in a short time, and healthy in between"
    limit = silence(health)
    assessed = seen.assess(image, before, now)
    if assessed is HealthAssessment.SILENT:
        return explain(health, image, before) if same_for > limit else ""
    if assessed is HealthAssessment.STALE:
        return explain(health, image, before, same_for) if same_for > limit else ""
    is_last_word = health is not None and health.period is None
    is_ill = assessed in {HealthAssessment.UNHEALTHY, HealthAssessment.BUSY}
    if is_ill and (is_last_word or seen.ill >= ILL_IN_A_ROW):
        return explain(health, image, before)
    return ""


def _flaps(seen: Sighting) -> bool:
    """Whether it is healthy and unhealthy in turn: no report alone would ever fail it."""
    period = seen.health.period if seen.health is not None else None
    if period is None or len(seen.turns) < FLAPS:
        return False
    return seen.turns[-1] - seen.turns[0] <= FLAP_PERIODS * period


def ill(health: Health | None, stamp: str, since: datetime, now: datetime) -> str:
    """Return why a member that runs is ill or silent; empty if it is healthy or says nothing.

    `stamp` is that of its report at `since`, by the clock of who reads. A report of an earlier boot
    counts too: who cannot tell has no better one.
    """
    if health is None:
        return ""
    same_for = now - since if str(health.stamp) == stamp else None
    is_healthy = assess_health(health, health.image, None, same_for) is HealthAssessment.HEALTHY
    return "" if is_healthy else explain(health, health.image, None, same_for)


def survey(seen: Sighting, now: datetime) -> str | None:
    """Return what a survey says of a member: why it is ill or silent, or nothing.

    None: it must be read again, since one report does not say whether another one follows it.
    """
    health, same_for = seen.health, now - seen.since
    if health is None:
        return ""
    assessed = assess_health(health, health.image, None, same_for)
    is_sure = health.period is None or seen.reports > 0 or assessed is HealthAssessment.STALE
    if not is_sure:
        return None
    is_ill = assessed is not HealthAssessment.HEALTHY
    is_once = health.period is not None and assessed in {
        HealthAssessment.UNHEALTHY,
        HealthAssessment.BUSY,
    }
    if is_once and seen.ill < ILL_IN_A_ROW:
        return None
    return explain(health, health.image, None, same_for) if is_ill else ""


def late(started: datetime | None, deadline: timedelta, now: datetime) -> bool:
    """Whether the time of a member that started at `started` is over."""
    return started is not None and now - started > deadline


def explain(
    health: Health | None, image: str, before: str | None, same_for: timedelta | None = None
) -> str:
    """Return one line for the log and the run's reason; arguments as of `assess_health`."""
    if health is None:
        return "no health report"
    if health.boot_id == before:
        return f"no report since the restart; the last one is of {health.image}"
    if health.image != image:
        return f"reports the image {health.image!r} instead of {image!r}"
    if assess_health(health, image, before, same_for) is HealthAssessment.STALE:
        seconds = round(same_for.total_seconds()) if same_for else 0
        due = round(health.period.total_seconds()) if health.period else 0
        return (
            f"no health report for {seconds} s (one is due each {due} s); the last one said"
            f" {_said(health)}"
        )
    return _said(health)


def _said(health: Health) -> str:
    return f"{health.state}: {health.detail}" if health.detail else health.state


def silence(health: Health | None) -> timedelta:
    """Return how long a watched member may be silent; by the default period if none is known."""
    default = timedelta(seconds=15) * SILENT_AT_MOST
    return (health.after(SILENT_AT_MOST) if health is not None else None) or default


def _short(detail: object, limit: int = 500) -> str:
    text = detail if isinstance(detail, str) else json.dumps(detail, sort_keys=True)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _names(value: object) -> frozenset[str]:
    known = value if isinstance(value, list) else []
    return frozenset(name for name in known if isinstance(name, str))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # a billion seconds are 30 years; json reads Infinity and NaN too
    return float(value) if 0 <= value < 1e9 else None


def _seconds(value: object) -> timedelta | None:
    number = _number(value)
    return None if number is None else timedelta(seconds=number)


def _moment(value: object) -> datetime | None:
    try:
        return parse_timestamp(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
