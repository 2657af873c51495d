"""When a recipe is baked: its cron in its time zone, later by an offset of its own.

docs/decisions/0031-jitter-in-the-timetable.md holds why it is not the cron that is shifted.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import now as time_now

if TYPE_CHECKING:
    from airflow.timetables.base import DataInterval, Timetable

# A night that was missed by less than this is made up for: the scheduler may have been busy when a
# recipe was seen for the first time.
GRACE = timedelta(seconds=15)


def offset_of(recipe: str, jitter: timedelta | None) -> timedelta:
    """The same for a recipe every night, spread over `jitter` for many of them; whole seconds."""
    seconds = int(jitter.total_seconds()) if jitter else 0
    if seconds < 1:
        return timedelta(0)
    return timedelta(seconds=int(sha256(recipe.encode()).hexdigest()[:8], 16) % seconds)


class Nightly(CronTriggerTimetable):
    """`run_after` is the cron's moment and the offset; the data interval ends at that moment.

    What was missed for longer is not made up for: of an outage the newest moment only, of the time
    before the recipe was known nothing. A backfill may ask for any of it.
    """

    def __init__(self, cron: str, *, timezone: Any, offset: timedelta = timedelta(0)) -> None:
        super().__init__(cron, timezone=timezone)
        self.offset = offset

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """From what `serialize` gave."""
        offset = timedelta(seconds=data["offset"])
        return cls(data["expression"], timezone=data["timezone"], offset=offset)

    def serialize(self) -> dict[str, Any]:
        """As Airflow stores it."""
        return {**super().serialize(), "offset": self.offset.total_seconds()}

    @property
    def summary(self) -> str:
        """What the UI shows."""
        late = f", {int(self.offset.total_seconds())} s later" if self.offset else ""
        return f"{super().summary}{late}"

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """The next run, or None when there is none any more."""
        if not restriction.catchup:
            # a run that is due but still within its offset must not be taken for a missed one
            since = time_now("UTC") - self.offset
            if last_automated_data_interval is None:
                earliest = self._align_to_next(since - GRACE)
            else:
                earliest = self._align_to_prev(since)
            first = max(filter(None, (restriction.earliest, earliest)))
            restriction = TimeRestriction(first, restriction.latest, catchup=True)
            if last_automated_data_interval is not None:
                following = self._get_next(last_automated_data_interval.end)
                if following < first:
                    last_automated_data_interval = None
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if info is None or info.data_interval is None:
            return info
        return DagRunInfo(run_after=info.run_after + self.offset, data_interval=info.data_interval)
