"""`make bench-packer`: each figure as one line of JSON: `name`, `value`, `unit`, `goal` and more.

The recipe `web` is baked by Bakehouse and by Packer in two ways, on one localgce with real
machines, in turn: ours, the same on a base of ours, login, startup script, then the other way round
(PAIRS=1: once each).
- `bake_over_packer`: seconds from the commit until the labelled image is ready, over those from the
  start of `packer build` until its labelled image is, by Packer's usual way: it logs in and runs
  the script. Without our smoke test and promotion, which Packer does not have.
- `tested_bake_over_packer`: ours until the image is tested and promoted and the run has ended, over
  the same of Packer. No goal.
- `bake_over_packer_on_baked_base`: as the first, where the recipe is based on one that has the
  updates of Debian and apt's lists (keep_package_lists), baked before as each night: Packer has no
  such layers of its own. `base` has the seconds of that bake. No goal.
- `bake_over_packer_startup_script`: as the first, where nobody logs in: a startup script installs,
  and its end is looked for four times a second. No goal.
The seconds of each part stand beside them: until the machine is asked for (`before`), `machine`,
`image`, the sum of these (`labelled`), what comes after it, and all (`whole`).

Packer is built from the Go module proxy (packer_programs.py). Where Go is missing, that is said,
and nothing is measured. Packer runs the commands that somebody installs with by hand
(install_by_hand.sh): same base, same upgrade, same packages, same machine type; nothing is
generalised or checked. A login needs a server that may bind port 22, as localgce's README says.

Ends with 1 when a figure misses its goal, with 2 when it could not be measured, which is said on
standard error. Whatever happens, its machines and processes are gone at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import bake_real
import yaml
from figures import CannotMeasure, line, met
from packer_programs import GoMissing, Packer, packer

from devstack.gce_api import ComputeError
from devstack.programs import PARENT_DEATH
from devstack.signals import Ended, ending_raises
from devstack.waiting import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from devstack.gce_api import Compute, Resource
    from devstack.testbed import Testbed

RECIPE = "web"
BASE, ON_BASE = "debian", "web-on-debian"  # recipes
OURS, OURS_ON_BASE = "ours", "ours_on_base"
BAKED = {OURS: RECIPE, OURS_ON_BASE: ON_BASE}  # the recipe, by side
LOGIN, STARTUP_SCRIPT = "login", "startup_script"
WAYS = (LOGIN, STARTUP_SCRIPT)  # of Packer: the sources of its template
SIDES = (*BAKED, *WAYS)
TEMPLATE = Path(__file__).with_name("packer.pkr.hcl")
WAIT = Path(__file__).with_name("packer_wait.sh")
DONE = "sync\necho 'INSTALL DONE' >/dev/ttyS0\n"
ERROR = re.compile(r"INSTALL FAILED|has not ended|\berror", re.IGNORECASE)
BUILD_DEADLINE = 1800.0  # seconds
END_DEADLINE = 120.0  # in which an interrupted Packer deletes what it has made

Line = dict[str, Any]
Said = tuple[float, str]  # when, and what


@dataclass(frozen=True)
class Turn:
    """One bake: seconds of its parts, from its begin."""

    before: float
    machine: float
    image: float
    whole: float

    @property
    def labelled(self) -> float:
        """Until the labelled image was ready."""
        return self.before + self.machine + self.image

    def parts(self) -> dict[str, float]:
        """For a figure's line."""
        parts = {
            "before": self.before,
            "machine": self.machine,
            "image": self.image,
            "labelled": self.labelled,
            "after": self.whole - self.labelled,
            "whole": self.whole,
        }
        return {name: round(value, 1) for name, value in parts.items()}


@dataclass
class Turns:
    """What each side took, in its order; as often as the others."""

    base: float  # seconds of the bake of the base, to the end of its run
    sides: dict[str, list[Turn]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def figures(self) -> Iterator[Line]:
        """With and without what Packer does not do."""
        seconds = {side: [turn.parts() for turn in turns] for side, turns in self.sides.items()}
        labelled = {
            side: sum(turn.labelled for turn in turns) for side, turns in self.sides.items()
        }
        tested = sum(turn.whole for turn in self.sides[OURS])
        found = {
            "bake_over_packer": (labelled[OURS] / labelled[LOGIN], "<= 0.7"),
            "bake_over_packer_on_baked_base": (labelled[OURS_ON_BASE] / labelled[LOGIN], None),
            "tested_bake_over_packer": (tested / labelled[LOGIN], None),
            "bake_over_packer_startup_script": (labelled[OURS] / labelled[STARTUP_SCRIPT], None),
        }
        base = round(self.base, 1)
        for name, (ratio, goal) in found.items():
            yield {"name": name, **line("ratio", ratio, goal, seconds=seconds, base=base)}


@dataclass
class Seen:
    """When an image that was not there before was ready and labelled; 0: not yet."""

    at: float = 0.0


def order(times: int) -> list[str]:
    """What slowly changes on this host weighs the same on all."""
    return [side for number in range(times) for side in (SIDES[::-1] if number % 2 else SIDES)]


def measured(bed: Testbed, program: Packer, folder: Path, pairs: int) -> Turns:
    """Bake in turn."""
    turns = Turns(bake_base(bed))
    for number, side in enumerate(order(pairs)):
        if side in BAKED:
            turn = by_us(bed, BAKED[side])
        else:
            turn = by_packer(bed, program, folder, side, f"packer-{RECIPE}-{number}")
        turns.sides[side].append(turn)
        print(f"{side}: {json.dumps(turn.parts())}")
    return turns


def bake_base(bed: Testbed) -> float:
    """And add the recipe on it, behind it: a bake of the base would trigger one of that."""
    bed.add_recipe(BASE, base_files())
    began = time.time()
    run = bed.bake(f"bake__{BASE}", bake_real.BAKE_DEADLINE, force=True)
    if run.state != "success":
        raise CannotMeasure(f"the bake of {BASE} ended {run.state}: {bed.explain(run)}")
    seconds = time.time() - began
    recipe = yaml.safe_load((bed.project / f"include/recipes/{RECIPE}.yaml").read_text("utf-8"))
    on_base = {**recipe, "base": {"recipe": BASE}, "scripts": RECIPE}
    bed.add_recipe(ON_BASE, {f"include/recipes/{ON_BASE}.yaml": yaml.safe_dump(on_base)})
    return seconds


def base_files() -> dict[str, str]:
    """Of the recipe that the guide shows."""
    recipe = {
        "description": "Debian with its updates and apt's lists",
        "base": "debian-cloud/debian-12",
        "image": {"keep_package_lists": True},
        "smoke": "none",
        "owner": "bench",
    }
    return {
        f"include/recipes/{BASE}.yaml": yaml.safe_dump(recipe),
        f"include/startup_scripts/{BASE}/install.sh.j2": "true\n",
    }


def by_us(bed: Testbed, recipe: str) -> Turn:
    """From a commit to the end of its run."""
    with labelled_image(bed.compute) as seen:
        began = time.time()
        bed.commit("A commit to bake")
        bake = bake_real.watched_bake(bed, recipe)
    return Turn(
        before=bake.builder_on - began,
        machine=bake.builder,
        image=in_time(seen) - bake.builder_off,
        whole=bake.ended - began,
    )


def by_packer(bed: Testbed, program: Packer, folder: Path, way: str, name: str) -> Turn:
    """`packer build` of the same, until it ends."""
    command = build_command(bed, program, folder, way, name)
    try:
        with labelled_image(bed.compute) as seen:
            began = time.time()
            said = told_by(command, program.environment(folder), BUILD_DEADLINE)
            ended = time.time()
    except BaseException:
        with suppress(ComputeError, DeadlineExceeded):
            bed.compute.delete_machines()  # it has not, when it was killed
        raise
    asked, stopped = moments(said)
    return Turn(asked - began, stopped - asked, in_time(seen) - stopped, ended - began)


def build_command(bed: Testbed, program: Packer, folder: Path, way: str, name: str) -> list[str]:
    """Write what Packer reads; the command that reads it."""
    script = folder / "install.sh"
    script.write_text(bake_real.BY_HAND.read_text("utf-8") + DONE, encoding="utf-8")
    metadata = bake_real.install_metadata(bed, RECIPE)
    given = values(bed.compute, name, script, {"bakehouse-payload": metadata["bakehouse-payload"]})
    file = folder / "values.pkrvars.json"
    file.write_text(json.dumps(given), encoding="utf-8")
    source = f"-only=googlecompute.{way}"
    return [str(program.program), "build", source, f"-var-file={file}", str(TEMPLATE)]


def values(compute: Compute, name: str, script: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Of the variables that the template declares."""
    project, zone = compute.project, bake_real.ZONE.rsplit("/", 1)[-1]
    serial = f"projects/{project}/{bake_real.ZONE}/instances/{name}/serialPort"
    endpoint = f"{compute.url}/compute/v1/"
    wait = ["bash", str(WAIT), f"{endpoint}{serial}", f"{bake_real.READY_DEADLINE:.0f}"]
    return {
        "endpoint": endpoint,
        "project": project,
        "zone": zone,
        "machine_type": bake_real.MACHINE_TYPE,
        "instance": name,
        "image": name,
        "labels": {"baked-by": "packer", "recipe": RECIPE},
        "metadata": metadata,
        "script": str(script),
        "wait": shlex.join(wait),
    }


def moments(said: Iterable[Said]) -> tuple[float, float]:
    """When Packer has asked for its machine, and when it has begun to take it away."""
    found: dict[str, float] = {}
    for at, text in said:
        for words in ("Requesting instance creation", "Deleting instance"):
            if words in text:
                found.setdefault(words, at)
    if len(found) != 2:
        raise CannotMeasure(f"Packer tells of no machine: {last(said)}")
    asked, stopped = found.values()
    return asked, stopped


def last(said: Iterable[Said]) -> str:
    """Why a program failed: its first lines that tell of an error, else its last ones."""
    texts = [text for _, text in said if text]
    errors = [text for text in texts if ERROR.search(text)][:4]
    return " | ".join(text[-500:] for text in errors or texts[-4:])


def in_time(seen: Seen) -> float:
    """When the image was there. Raises CannotMeasure."""
    if not seen.at:
        raise CannotMeasure("no labelled image was seen")
    return seen.at


@contextmanager
def labelled_image(compute: Compute) -> Generator[Seen]:
    """Look for an image that is not there yet, for both sides in the same way."""
    known = {str(image["name"]) for image in compute.images()}
    seen, over = Seen(), threading.Event()
    own = compute.another()

    def watch() -> None:
        is_over = False
        while not seen.at and not is_over:
            is_over = over.wait(bake_real.LOOK_EVERY)  # one look more: it may be there just now
            with suppress(ComputeError):
                seen.at = time.time() if any(ready(own.images(), known)) else 0.0

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
        own.close()


def ready(images: Iterable[Resource], known: set[str]) -> Iterator[str]:
    """The new images that may be used and carry labels."""
    for image in images:
        if image["name"] not in known and image["status"] == "READY" and image.get("labels"):
            yield str(image["name"])


def told_by(command: Sequence[str], environment: dict[str, str], deadline: float) -> list[Said]:
    """All lines of a program, each with its moment. Raises CannotMeasure when it fails.

    It is interrupted at the deadline and when this program is, as Ctrl-C does, so that it deletes
    its machine; no process of it is left.
    """
    with_us = [sys.executable, "-I", str(PARENT_DEATH), "--parent", str(os.getpid()), "--"]
    said: list[Said] = []
    with subprocess.Popen(
        [*with_us, *command],
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that Ctrl-C reaches it once, from here
    ) as process:
        # a thread, since a process that it leaves behind keeps the pipe open
        reader = threading.Thread(target=read_lines, args=(process.stdout, said), daemon=True)
        reader.start()
        try:
            code = process.wait(deadline)
        except BaseException as error:
            signalled(process, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_DEADLINE)
            if isinstance(error, subprocess.TimeoutExpired):
                name = Path(command[0]).name
                raise CannotMeasure(f"{name} took more than {deadline:.0f} s") from error
            raise
        finally:
            signalled(process, signal.SIGKILL)  # its plugins, where it has left them
            reader.join()
    if code:
        raise CannotMeasure(f"{Path(command[0]).name} ended with {code}: {last(said)}")
    return said


def read_lines(pipe: Iterable[str] | None, said: list[Said]) -> None:
    """Each with its moment."""
    for text in pipe or ():
        said.append((time.time(), text.strip()))
        print(text, end="", file=sys.stderr)


def signalled(process: subprocess.Popen[str], which: signal.Signals) -> None:
    """All processes of its session: Packer wraps itself in one that ignores SIGINT."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, which)


def main(arguments: Sequence[str], find: Callable[[], Packer] = packer) -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(description="Bake with Packer and with Bakehouse, in turn.")
    parser.add_argument("--pairs", type=int, choices=(1, 2, 3), default=2)
    pairs = parser.parse_args(arguments).pairs
    status = 0
    try:
        program = find()
        bed = bake_real.stack()
        with redirect_stdout(sys.stderr), TemporaryDirectory(prefix="bench-packer-") as folder:
            turns = measured(bed, program, Path(folder), pairs)
        for figure in turns.figures():
            print(json.dumps(figure), flush=True)
            status = max(status, int(not met(figure)))
    except GoMissing as error:
        print(f"bench-packer: {error}", file=sys.stderr)
        return 0
    except (CannotMeasure, DeadlineExceeded, ComputeError) as error:
        print(f"bake_over_packer: {error}", file=sys.stderr)
        return 2
    except Ended as error:
        print(f"bake_over_packer: ended by {error}", file=sys.stderr)
        return error.code
    finally:
        bake_real.close()
    return status


if __name__ == "__main__":
    with ending_raises():
        sys.exit(main(sys.argv[1:]))
