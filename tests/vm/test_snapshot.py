"""Packages as of a day, on a real machine: apt reads that day's archive, served on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.http_servers import SilentHandler, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.testbed import Testbed

GATEWAY = "169.254.0.1"  # a localgce machine finds the loopback of its host there
VARIABLE = "bakehouse_snapshot_url"


class Archive:
    """Stands for snapshot.debian.org: today's packages under every day's path, paths kept."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{GATEWAY}:{self.port}/archive"


@pytest.fixture
def archive(bed: Testbed) -> Iterator[Archive]:
    served = Archive()

    class Handler(SilentHandler):
        def do_GET(self) -> None:
            served.paths.append(self.path)
            _, _, name, _day, rest = self.path.split("/", 4)
            self.respond(status=302, Location=f"http://deb.debian.org/{name}/{rest}")

    with running(Handler) as served.port:
        bed.airflow.call("POST", "/variables", json={"key": VARIABLE, "value": served.url})
        yield served
        bed.airflow.call("DELETE", f"/variables/{VARIABLE}")


def test_a_builder_installs_the_packages_of_the_day_that_was_asked_for(
    bed: Testbed, archive: Archive
) -> None:
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    run = bed.bake("bake__web", deadline=3600, snapshot_date=day.isoformat(), roll_out=False)
    assert run.state == "success", bed.explain(run)
    assert any(path.endswith(".deb") for path in archive.paths)
    stamp = f"{day:%Y%m%d}T000000Z"
    assert all(path.split("/")[3] == stamp for path in archive.paths)
    assert {path.split("/")[2] for path in archive.paths} == {"debian", "debian-security"}
    plan = bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")
    assert plan["snapshot"] == stamp
