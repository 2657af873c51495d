"""`make screenshots`: the pictures of docs/operating.md, of a real Airflow with a headless browser.

Starts the instant stack on a copy of the tree, makes the fleet of the demo, bakes `web`, rolls it
out, bakes a recipe that promises too much, and writes docs/images/*.png. Needs Chromium (Debian's
package `chromium`); BROWSER names another one.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from devstack import demo_fleet
from devstack.browser import Browser, browser_of
from devstack.testbed import Testbed, testbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import FloatRect

PROJECT = Path(__file__).resolve().parent.parent
IMAGES = Path(__file__).parent / "images"
MOST_BYTES = 200_000  # each
DEADLINE = 300.0  # seconds, of a run
# of a window of 1400 by 760, what is right of the grid
LOG: FloatRect = {"x": 345, "y": 60, "width": 1055, "height": 548}
HEADER: FloatRect = {"x": 345, "y": 60, "width": 1055, "height": 440}
GRAPH: FloatRect = {"x": 370, "y": 130, "width": 760, "height": 1280}
LATE = """description: Promises more than it can hold, to show a missed SLA
base: debian-cloud/debian-12
vars: {page: Too late}
services: [nginx]
smoke: {metadata: {greeting: hello}}
owner: web-team
sla:
  resolve_commit: 10m
  wait_for_shutdown: 2s
  smoke_test: 3s
"""


@dataclass(frozen=True)
class Runs:
    """What there is to see."""

    web: str
    late: str


def prepare(bed: Testbed) -> Runs:
    """An older image for the fleet, a bake that rolls out, and one that is late."""
    older = bed.bake("bake__web", DEADLINE, vars={"page": "An older page"}, roll_out=False)
    image = bed.airflow.xcom("bake__web", older.run_id, "plan_bake")["image_name"]
    demo_fleet.create(bed.compute, image, "instant")
    bed.declare_members(list(demo_fleet.MEMBERS))
    web = bed.bake("bake__web", DEADLINE)
    return Runs(web.run_id, late(bed))


def late(bed: Testbed) -> str:
    """The run of a recipe whose SLAs are too short."""
    bed.add_web("late", LATE)
    return bed.bake("bake__late", DEADLINE).run_id


class Camera(Browser):
    """Takes pictures of Airflow's pages."""

    def shoot(self, name: str, wait: str, clip: FloatRect | None = None) -> None:
        """Write docs/images/<name>.png once the text `wait` is to be seen."""
        self.page.get_by_text(wait).first.wait_for(timeout=20_000)
        self.page.wait_for_timeout(1_500)  # for what moves until it stands
        file = IMAGES / f"{name}.png"
        self.page.screenshot(path=file, clip=clip)
        size = file.stat().st_size
        print(f"{file.relative_to(PROJECT)}: {size // 1000} kB", file=sys.stderr)
        if size > MOST_BYTES:
            raise SystemExit(f"{file} has {size} bytes, more than {MOST_BYTES}")


def trigger_form(camera: Camera, _: Runs) -> None:
    """The form of a bake."""
    camera.turn(1000, 1640)
    camera.trigger("bake__web")
    camera.shoot("trigger-form", "Git ref")


def backfill_dialog(camera: Camera, _: Runs) -> None:
    """The dialog of a backfill."""
    camera.turn(1000, 860)
    camera.trigger("bake__web", "Backfill")
    camera.shoot("backfill", "Date Range")


def builder_log(camera: Camera, runs: Runs) -> None:
    """The serial output of a builder in the log of its task."""
    camera.turn(1400, 760)
    camera.go(f"dags/bake__web/runs/{runs.web}/tasks/wait_for_shutdown")
    camera.shoot("builder-log", "INFO", LOG)


def sla_log(camera: Camera, runs: Runs) -> None:
    """A missed SLA in the log of the task that watches."""
    camera.turn(1400, 760)
    camera.go(f"dags/bake__late/runs/{runs.late}/tasks/sla_watch")
    camera.shoot("sla-watch", "ERROR", LOG)


def run_note(camera: Camera, runs: Runs) -> None:
    """The header of a run: its missed deadlines, and its note."""
    camera.turn(1400, 760)
    camera.go(f"dags/bake__late/runs/{runs.late}")
    camera.shoot("run-note", "Missed", HEADER)


def deadlines(camera: Camera, _: Runs) -> None:
    """Airflow's page of missed deadlines."""
    camera.turn(1200, 320)
    camera.go("deadlines")
    camera.shoot("deadlines", "bake__late")


def graph(camera: Camera, runs: Runs) -> None:
    """Last: the browser remembers that it shows the graph."""
    camera.turn(1400, 1450)
    camera.go("dags/bake__web")
    camera.page.evaluate("localStorage.setItem('direction-bake__web', JSON.stringify('DOWN'))")
    camera.go(f"dags/bake__web/runs/{runs.web}")
    camera.press("Show Graph (Press g)")
    camera.press("Expand all task groups")
    camera.press("Collapse Details Panel")
    for _ in range(2):  # the first may still see the panel's room
        camera.page.wait_for_timeout(2_500)
        camera.page.get_by_label(re.compile(r"fit view", re.IGNORECASE)).first.click()
    camera.shoot("run-graph", "replace_instances", GRAPH)


PICTURES: tuple[Callable[[Camera, Runs], None], ...] = (
    trigger_form,
    backfill_dialog,
    builder_log,
    sla_log,
    run_note,
    deadlines,
    graph,
)


def main(names: list[str]) -> None:
    """All pictures, or those named (after their functions)."""
    IMAGES.mkdir(exist_ok=True)
    with (
        TemporaryDirectory(prefix="screenshots-") as folder,
        testbed(PROJECT, Path(folder), "instant") as bed,
    ):
        runs = prepare(bed)
        stack = bed.stack
        with browser_of(stack.record.airflow_url, stack.user, stack.password) as browser:
            camera = Camera(browser.page, browser.url)
            for picture in PICTURES:
                if not names or picture.__name__ in names:
                    picture(camera, runs)


if __name__ == "__main__":
    main(sys.argv[1:])
