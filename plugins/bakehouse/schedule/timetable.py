"""The timetable of a recipe: its cron in its time zone, later by an offset of its own.

docs/decisions/0031-jitter-in-the-timetable.md explains why the cron itself is not shifted, and
which nights are made up for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.partition_mappers.identity import IdentityMapper
from airflow.serialization.decoders import decode_asset_like
from airflow.serialization.encoders import encode_asset_like, ensure_serialized_asset
from airflow.timetables.base import DagRunInfo, DataInterval, PartitionMapperInfo, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from airflow.utils.strings import get_random_string
from airflow.utils.types import DagRunType
from pendulum import instance as pendulum_of
from pendulum import now as time_now
from typing_extensions import override

from bakehouse.schedule.cron import CronTimes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.models.dagrun import DagRun
    from airflow.partition_mappers.base import PartitionMapper
    from airflow.timetables.base import Timetable
    from pendulum import DateTime

# A recipe without a run is parsed again and again, also while its first night waits for a scheduler
# that is busy or starts again: the newest night that was due within this time is not past yet.
GRACE = timedelta(hours=1)


class BackfilledRun(DagRunInfo):
    """The newest run of a DAG, if a backfill made it: no sign that nights were missed after it."""


class Nightly(CronTriggerTimetable):
    """Runs at the times of a cron plus an offset; the data interval ends at the cron's time.

    After an outage only the newest missed run is made up for, and none from before the recipe
    existed. A backfill may cover any time, and starts no run besides its own.
    """

    def __init__(self, cron: str, *, timezone: Any, offset: timedelta = timedelta(0)) -> None:
        """Create the timetable; `offset` is added to each of the cron's times."""
        super().__init__(cron, timezone=timezone)
        self.offset = offset
        self._times = CronTimes(self._expression, self._timezone)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Create the timetable from its serialised form."""
        offset = timedelta(seconds=data["offset"])
        return cls(data["expression"], timezone=data["timezone"], offset=offset)

    def serialize(self) -> dict[str, Any]:
        """Return the form that Airflow stores."""
        return {**super().serialize(), "offset": self.offset.total_seconds()}

    @property
    def summary(self) -> str:
        """The description in the UI; Airflow's own has no zone, and its pages have another one."""
        late = f", {int(self.offset.total_seconds())} s later" if self.offset else ""
        return f"{super().summary} {self._timezone.name}{late}"

    @override
    def run_info_from_dag_run(self, *, dag_run: DagRun) -> DagRunInfo:
        """Return what Airflow passes on as the last run: it counts a backfill's runs, too."""
        info = super().run_info_from_dag_run(dag_run=dag_run)
        return BackfilledRun(*info) if dag_run.run_type == DagRunType.BACKFILL_JOB else info

    @override
    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run, or None if there is none."""
        last = last_dagrun_info.data_interval if last_dagrun_info else None
        return self._following(
            last, restriction, missed=_shows_missed_nights(last_dagrun_info) and last is not None
        )

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next run, or None if there is none."""
        last = last_automated_data_interval
        return self._following(last, restriction, missed=last is not None)

    def _following(
        self, last: DataInterval | None, restriction: TimeRestriction, *, missed: bool
    ) -> DagRunInfo | None:
        """Return the run after the last one; `missed`: the newest missed night is made up for."""
        if not restriction.catchup:
            # a run within its offset is due, not missed
            since = time_now("UTC") - self.offset
            earliest = self._align_to_prev(since)
            if not missed and earliest < since - GRACE:
                earliest = self._get_next(since)
            first = max(filter(None, (restriction.earliest, earliest)))
            restriction = TimeRestriction(first, restriction.latest, catchup=True)
            if last is not None and self._get_next(last.end) < first:
                last = None
        info = super().next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info is None or info.data_interval is None:
            return info
        return DagRunInfo(run_after=info.run_after + self.offset, data_interval=info.data_interval)

    @override
    def _get_next(self, current: DateTime) -> DateTime:
        """Return the first time after `current`; Airflow's own differs where clocks change."""
        return pendulum_of(self._times.after(current))

    @override
    def _get_prev(self, current: DateTime) -> DateTime:
        """Return the last time before `current`."""
        return pendulum_of(self._times.before(current))


class NightlyOrParent(Nightly):
    """Runs at the times of a cron, and at once for each new image of the parent recipe.

    Airflow has no schedule that combines a cron with a partitioned asset: the partitions of an
    asset create runs only for a timetable that is partitioned as a whole. So scheduled runs are
    partitions here too: their key is the cron's time, and `partition_date` replaces
    `data_interval_end`. A run for a new image has the image's name as its key.
    docs/decisions/0051-layers.md lists the alternatives.
    """

    partitioned = True

    def __init__(self, cron: str, *, timezone: Any, offset: timedelta, parent: Any) -> None:
        """Create the timetable; `parent` is the asset of the parent recipe's images."""
        super().__init__(cron, timezone=timezone, offset=offset)
        self.asset_condition = ensure_serialized_asset(parent)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Create the timetable from its serialised form."""
        return cls(
            data["expression"],
            timezone=data["timezone"],
            offset=timedelta(seconds=data["offset"]),
            parent=decode_asset_like(data["parent"]),
        )

    def serialize(self) -> dict[str, Any]:
        """Return the form that Airflow stores."""
        return {**super().serialize(), "parent": encode_asset_like(self.asset_condition)}

    @property
    def summary(self) -> str:
        """The description in the UI."""
        names = ", ".join(key.name for key, _ in self.asset_condition.iter_assets())
        return f"{super().summary}, and {names}"

    @override
    def get_partition_mapper(self, *, name: str = "", uri: str = "") -> PartitionMapper:
        """Return the mapper of one run for each image, whose key is the image's name."""
        return IdentityMapper()

    @property
    def partition_mapper_info(self) -> list[PartitionMapperInfo]:
        """The mapper as the UI reads it."""
        return [
            PartitionMapperInfo(name=key.name, uri=key.uri, is_rollup=False)
            for key, _ in self.asset_condition.iter_assets()
        ]

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next scheduled run."""
        night = last_dagrun_info.partition_date if last_dagrun_info else None
        last = DataInterval.exact(night) if night else None
        info = self._following(
            last, restriction, missed=_shows_missed_nights(last_dagrun_info) and last is not None
        )
        if info is None or info.data_interval is None:
            return None
        return _of_night(info.data_interval.end, info.run_after)

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime, latest: datetime
    ) -> Iterable[DagRunInfo]:
        """Yield the runs of a backfill, both ends included, none in the future."""
        night = self._align_to_next(self.localize_partition_datetime(earliest))
        until = min(self.localize_partition_datetime(latest), time_now("UTC"))
        while night <= until:
            yield _of_night(night, night)
            night = self._get_next(night)

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: DateTime,
        data_interval: DataInterval | None,
        **extra: Any,
    ) -> str:
        """Return a run id; a backfill's has a suffix, since its date may have a run already."""
        plain = super().generate_run_id(
            run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
        )
        return f"{plain}__{get_random_string()}" if run_type.value == "backfill" else str(plain)

    def _decode_partition_date(self, partition_key: str) -> datetime | None:
        try:
            night = datetime.fromisoformat(partition_key)
        except ValueError:
            return None  # the name of an image
        return night if night.tzinfo else self.localize_partition_datetime(night)


def _shows_missed_nights(last: DagRunInfo | None) -> bool:
    """Whether nights after this run were missed: not before a first one, nor after a backfill."""
    return last is not None and not isinstance(last, BackfilledRun)


def _of_night(night: DateTime, run_after: DateTime) -> DagRunInfo:
    return DagRunInfo(
        run_after=run_after,
        data_interval=None,
        partition_date=night,
        partition_key=night.in_timezone("UTC").isoformat(),
    )
