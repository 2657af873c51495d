"""`make bench-bake`: each figure as one line of JSON, `{"name", "value", "unit", "goal"}` and more.

On real machines (one stack; bake_real.py):
- `bake_overhead_ratio`, of the recipe `web`: wall time of the run, from its trigger until Airflow
  has it ended, over the machines' own time: the builder's from power on to power off, and the smoke
  machine's from power on until it has said how it went. No rollout, two bakes. The seconds of each
  part stand beside it.
- `builder_over_bare`: the builder of these bakes from power on to power off, over a machine of the
  same type that boots the base, runs the same commands of apt and the same install by hand and
  powers off (install_by_hand.sh): baked, by hand, by hand, baked. The builders' timelines stand
  beside it, in seconds from power on.
- `boot_install_over_baked`: an instance that installs the recipe at boot from a plain Debian, over
  one that boots the baked image, each from power on until it says that it is healthy: the same
  files, templates, services and check (install_at_boot.sh). One after the other, same machine type.
  Of two recipes (`recipe`): `jre`, what a broker stands on, has the goal; `web` has none. It is one
  small package, and half of its start is what every start costs here, firmware and kernel emulated.
- `healthy_over_plain_boot`: the baked `web` from power on until it says that it is healthy, over
  the plain base until multi-user with network: twice each, in turn, same machine type, no other
  metadata than the script that tells (plain_boot.sh). `boot_script` is what the image's own script
  says that it took of it.

On instant machines, a real Airflow (one stack, two runs):
- `api_calls_per_bake`: all calls of Compute Engine that a bake without a rollout makes, reads and
  changes, waits included; its builder installs in no time. No goal.
- `unchanged_rebake_api_calls`: the same of the next run, not forced, that finds nothing new.

On instant machines, without Airflow: as many triggers as bakes wait, in one event loop as a
triggerer has them, with a connection that says nothing (a look every 5 s, 120 reads a minute);
bake_waits.py. localgce counts the calls.
- `reads_per_minute` for 1, 100 and 1,000 waiting bakes (`bakes`), after 40 s: everything.
- `reads_growth_1000`: that of 1,000 over that of one.
- `notice_seconds_p99`: a hundred of 1,000 builders end, one a second: from power off (localgce's
  clock) until the trigger fires, which has then read the last serial line. Goal: two ticks.
- `triggerer_mb_1000`: memory that is the waiting process's own (USS) with 1,000 waits, imports and
  clients included; `before` is that without any. No goal.

Names given as arguments select figures. Ends with 1 when one misses its goal, with 2 when one could
not be measured, which is said on standard error.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import bake_real
import bake_waits
from figures import CannotMeasure, line, show

from devstack.testbed import Testbed, testbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from figures import Line

PROJECT = Path(__file__).resolve().parent.parent
RUN_DEADLINE = 300.0  # seconds
CHANGES = ("insert", "delete", "patch", "setLabels")


def bake_overhead_ratio() -> Iterator[Line]:
    """What Bakehouse and Airflow add to the machines' own time."""
    bakes = bake_real.real().bakes().bakes
    seconds = [{name: round(value, 1) for name, value in bake.parts().items()} for bake in bakes]
    machines = sum(bake.builder + bake.smoke for bake in bakes)
    yield line("ratio", sum(bake.wall for bake in bakes) / machines, "<= 1.05", seconds=seconds)


def builder_over_bare() -> Iterator[Line]:
    """What the builder does beside the install."""
    found = bake_real.real().bakes()
    builders = [round(bake.builder, 1) for bake in found.bakes]
    seconds = {"builder": builders, "by_hand": [round(one, 1) for one in found.by_hand]}
    ratio = sum(builders) / sum(found.by_hand)
    timelines = [bake.timeline for bake in found.bakes]
    yield line("ratio", ratio, "<= 1", seconds=seconds, timelines=timelines)


def boot_install_over_baked() -> Iterator[Line]:
    """What an image saves at each start."""
    for start in bake_real.real().starts():
        parts = {"install_at_boot": round(start.at_boot, 1), "baked": round(start.baked, 1)}
        goal = ">= 5" if start.recipe == "jre" else None
        yield line("ratio", start.at_boot / start.baked, goal, recipe=start.recipe, seconds=parts)


def healthy_over_plain_boot() -> Iterator[Line]:
    """What a baked image adds to the start of its base."""
    boots = bake_real.real().boots()
    parts = {"baked": boots.baked, "plain": boots.plain, "boot_script": boots.scripts}
    seconds = {name: [round(one, 1) for one in found] for name, found in parts.items()}
    yield line("ratio", sum(boots.baked) / sum(boots.plain), "<= 1.15", seconds=seconds)


def api_calls_per_bake() -> Iterator[Line]:
    """By method, too."""
    calls = instant()[0]
    yield line("calls", calls.total(), by_method=dict(calls.most_common()))


def unchanged_rebake_api_calls() -> Iterator[Line]:
    """A night with nothing new."""
    calls = instant()[1]
    yield line("calls", calls.total(), "<= 6", by_method=dict(calls.most_common()))


def reads_per_minute() -> Iterator[Line]:
    """By method, too."""
    for number in (1, 100, 1000):
        found = bake_waits.waits(number)
        by_method = dict(found.reads.most_common())
        yield line("1/min", found.per_minute, bakes=number, by_method=by_method)


def reads_growth_1000() -> Iterator[Line]:
    """Of 1,000 over one."""
    many, one = bake_waits.waits(1000), bake_waits.waits(1)
    yield line("ratio", many.per_minute / one.per_minute, "<= 4")


def notice_seconds_p99() -> Iterator[Line]:
    """The second worst of a hundred."""
    notice = sorted(bake_waits.waits(1000).notice)
    p99 = notice[int(0.99 * len(notice)) - 1]
    half = round(notice[len(notice) // 2], 2)
    yield line("s", p99, f"<= {2 * bake_waits.TICK:g}", median=half, longest=round(notice[-1], 2))


def triggerer_mb_1000() -> Iterator[Line]:
    """And without any wait."""
    found = bake_waits.waits(1000)
    yield line("MB", found.mb, before=round(found.mb_before, 1))


FIGURES: dict[str, Callable[[], Iterator[Line]]] = {
    figure.__name__: figure
    for figure in (
        bake_overhead_ratio,
        builder_over_bare,
        boot_install_over_baked,
        healthy_over_plain_boot,
        api_calls_per_bake,
        unchanged_rebake_api_calls,
        reads_per_minute,
        reads_growth_1000,
        notice_seconds_p99,
        triggerer_mb_1000,
    )
}


@cache
def instant() -> tuple[Counter[str], Counter[str]]:
    """The calls of a bake, and of the next run."""
    with (
        TemporaryDirectory(prefix="bench-bake-") as folder,
        redirect_stdout(sys.stderr),
        testbed(PROJECT, Path(folder), "instant") as bed,
    ):
        first, second = counted(bed), counted(bed)
    if first["compute.instances.insert"] != 2 or second.keys() & set(map(_change, CHANGES)):
        raise CannotMeasure(f"not a bake and a skipped one: {first}, {second}")
    return first, second


def counted(bed: Testbed) -> Counter[str]:
    """One run of `web` that asks for nothing special."""
    bed.compute.forget()
    run = bed.bake("bake__web", RUN_DEADLINE, roll_out=False)
    if run.state != "success":
        raise CannotMeasure(f"{run.run_id} ended {run.state}")
    return Counter(str(request["method"]) for request in bed.compute.requests()["requests"])


def _change(verb: str) -> str:
    return f"compute.instances.{verb}"


def main(names: list[str]) -> int:
    """Measure; the exit status."""
    try:
        return show(names or FIGURES, lambda name: FIGURES[name]())
    finally:
        bake_real.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
