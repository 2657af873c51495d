"""What a bake costs on real machines, looked at from outside; the figures are bake.py's."""

from __future__ import annotations

import json
import re
import shlex
import sys
import threading
import time
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from figures import CannotMeasure

from devstack import machines
from devstack.gce_api import Compute, ComputeError
from devstack.testbed import Testbed, testbed
from devstack.topology import NO_SCHEDULE, Topology
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.recipe.model import Recipe
    from devstack.airflow_api import Run

T = TypeVar("T")

PROJECT = Path(__file__).resolve().parent.parent
PLAIN_BOOT = Path(__file__).with_name("plain_boot.sh")
BY_HAND = Path(__file__).with_name("install_by_hand.sh")
AT_BOOT = Path(__file__).with_name("install_at_boot.sh")
ZONE = "zones/us-central1-a"
MACHINE_TYPE = "e2-small"  # of builders
BAKE_DEADLINE = 1800.0  # seconds
READY_DEADLINE = 2400.0
LOOK_EVERY = 0.25
PLAIN = "projects/debian-cloud/global/images/family/debian-12"


@dataclass
class Bake:
    """One run: epoch seconds of what can be seen from outside."""

    triggered: float = 0.0
    ended: float = 0.0
    builder_on: float = 0.0
    builder_off: float = 0.0
    smoke_on: float = 0.0
    smoke_done: float = 0.0
    timeline: dict[str, float] = field(default_factory=dict)  # of the builder, from its power on

    @property
    def builder(self) -> float:
        """Seconds from power on to power off."""
        return self.builder_off - self.builder_on

    @property
    def smoke(self) -> float:
        """Seconds from power on until it has said how it went."""
        return self.smoke_done - self.smoke_on

    @property
    def wall(self) -> float:
        """Seconds from the trigger to the run's end."""
        return self.ended - self.triggered

    def parts(self) -> dict[str, float]:
        """Where the seconds went."""
        return {
            "wall": self.wall,
            "before_builder": self.builder_on - self.triggered,
            "builder": self.builder,
            "between": self.smoke_on - self.builder_off,
            "smoke": self.smoke,
            "after_smoke": self.ended - self.smoke_done,
        }


@dataclass
class Start:
    """A recipe's instance, from power on until it says that it is healthy: seconds."""

    recipe: str
    baked: float
    at_boot: float


@dataclass
class Boots:
    """Seconds from power on: the baked image until healthy, the plain base until multi-user."""

    baked: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    scripts: list[float] = field(default_factory=list)  # `boot_seconds` of the health reports


@dataclass
class Bakes:
    """Bakes, and machines on which the same is installed by hand."""

    bakes: list[Bake]
    by_hand: list[float]  # seconds from power on to power off


class RealMachines:
    """What is measured on one stack: each once, when a figure first asks for it.

    Each raises CannotMeasure, each time.
    """

    def __init__(self, bed: Testbed) -> None:
        self._bed = bed
        self._found: dict[str, Any] = {}

    def bakes(self) -> Bakes:
        """Of `web`."""
        return self._once("bakes", lambda: baked_and_by_hand(self._bed, "web"))

    def boots(self) -> Boots:
        """Of `web`."""
        self.bakes()
        return self._once("boots", lambda: booted_in_turn(self._bed, "web"))

    def starts(self) -> list[Start]:
        """Of `web` and `jre`."""
        self.bakes()
        return self._once("starts", lambda: [started(self._bed, "web"), jre_started(self._bed)])

    def _once(self, name: str, measure: Callable[[], T]) -> T:
        if name not in self._found:
            try:
                with redirect_stdout(sys.stderr):
                    self._found[name] = measure()
            except (CannotMeasure, DeadlineExceeded, ComputeError) as error:
                self._found[name] = CannotMeasure(str(error))
        if isinstance(self._found[name], CannotMeasure):
            raise self._found[name]
        found: T = self._found[name]
        return found


_open = ExitStack()


@cache
def real() -> RealMachines:
    """What is measured on `stack`, each once. Raises CannotMeasure."""
    return RealMachines(stack())


@cache
def stack() -> Testbed:
    """One for all figures, until `close`. Raises CannotMeasure."""
    able, words = machines.doctor()
    if not able:
        raise CannotMeasure(f"no real machines here: {machines.reason(words)}")
    with redirect_stdout(sys.stderr):
        machines.make_public_image(print)
        folder = _open.enter_context(TemporaryDirectory(prefix="bench-bake-"))
        alone = Topology(settings=NO_SCHEDULE)
        return _open.enter_context(testbed(PROJECT, Path(folder), "qemu", alone))


def close() -> None:
    """End what `stack` has started."""
    with redirect_stdout(sys.stderr):
        _open.close()


def baked_and_by_hand(bed: Testbed, recipe: str) -> Bakes:
    """In turn: what slowly changes on this host weighs the same on both."""
    first = watched_bake(bed, recipe)
    by_hand = [by_hand_seconds(bed, recipe, f"{recipe}-by-hand-{number}") for number in (1, 2)]
    return Bakes([first, watched_bake(bed, recipe)], by_hand)


def by_hand_seconds(bed: Testbed, recipe: str, name: str) -> float:
    """From power on to power off of a machine on which the recipe is installed by hand."""
    script = {"startup-script": BY_HAND.read_text(encoding="utf-8") + "poweroff\n"}
    metadata = {**install_metadata(bed, recipe), **script}
    instance = f"{ZONE}/instances/{name}"
    start(bed.compute, name, boot_of(PLAIN), metadata)
    wait_until(lambda: _is_off(bed.compute, name), BAKE_DEADLINE, f"{name} to power off")
    found = bed.compute.call("GET", instance)
    bed.compute.call("DELETE", instance)
    seconds = _epoch(found["lastStopTimestamp"]) - _epoch(found["lastStartTimestamp"])
    print(f"{name} was off after {seconds:.1f} s")
    return seconds


def _is_off(compute: Compute, name: str) -> bool:
    if "INSTALL FAILED" in (text := _serial_so_far(compute, name)):
        raise CannotMeasure(f"{name}: {json.dumps(text[-2000:])}")
    return str(compute.call("GET", f"{ZONE}/instances/{name}")["status"]) == "TERMINATED"


def jre_started(bed: Testbed) -> Start:
    """A recipe that is worth an image: minutes to install, a second to start."""
    kept = PROJECT / "bench"
    folders = (kept / "recipes", kept / "startup_scripts")
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    texts = {f"include/{file.relative_to(kept)}": file.read_text("utf-8") for file in files}
    bed.add_recipe("jre", texts, deadline=120)
    run = bed.bake("bake__jre", BAKE_DEADLINE)
    if run.state != "success":
        raise CannotMeasure(bed.explain(run))
    return started(bed, "jre")


def started(bed: Testbed, recipe: str) -> Start:
    """One instance of the recipe's image, then one that installs the recipe at boot."""
    image = str(bed.compute.newest_of(recipe)["name"])
    disk = boot_of(f"global/images/{image}")
    baked = ready_seconds(bed.compute, f"{recipe}-baked", disk, {})
    print(f"{image} was ready after {baked:.1f} s")
    plain = boot_of(PLAIN)
    metadata = install_metadata(bed, recipe)
    at_boot = ready_seconds(bed.compute, f"{recipe}-at-boot", plain, metadata)
    print(f"{recipe} was installed at boot and ready after {at_boot:.1f} s")
    return Start(recipe, baked, at_boot)


def booted_in_turn(bed: Testbed, recipe: str) -> Boots:
    """Baked, plain, plain, baked: what slowly changes on this host weighs the same on both."""
    boots = Boots()
    image = str(bed.compute.newest_of(recipe)["name"])
    for number, kind in enumerate(("baked", "plain", "plain", "baked")):
        name = f"{recipe}-{kind}-{number}"
        if kind == "baked":
            disk = boot_of(f"global/images/{image}")
            text, seconds = heard(bed.compute, name, disk, {}, _healthy)
            boots.baked.append(seconds)
            boots.scripts.append(boot_seconds_of(text))
        else:
            script = {"startup-script": PLAIN_BOOT.read_text(encoding="utf-8")}
            text, seconds = heard(bed.compute, name, boot_of(PLAIN), script, _multi_user)
            boots.plain.append(seconds - told_late(text))
        print(f"{name}: {seconds:.1f} s until the line was read")
    return boots


def boot_seconds_of(text: str) -> float:
    """What the boot script of the image says that it took, in the last report of a serial log."""
    found = re.findall(r'"state": "healthy".*?"boot_seconds": ([0-9.]+)', text)
    if not found:
        raise CannotMeasure(f"no boot_seconds in {text[-500:]!r}")
    return float(found[-1])


def told_late(text: str) -> float:
    """How long after multi-user and network the plain base has told of both (plain_boot.sh)."""
    found = re.search(r"PLAIN BOOT ([0-9.]+) ([0-9]+) ([0-9]+)", text)
    if found is None or "0" in found.groups()[1:]:
        raise CannotMeasure(f"multi-user or the network was not reached: {text[-500:]!r}")
    now, *reached = map(float, found.groups())
    return now - max(reached) / 1e6  # systemd counts in microseconds


def watched_bake(bed: Testbed, recipe: str) -> Bake:
    """A bake without a rollout, its machines watched."""
    bake, over = Bake(triggered=time.time()), threading.Event()
    watcher = threading.Thread(target=_watch, args=(bed.compute, bake, over), daemon=True)
    watcher.start()
    run_id = bed.airflow.trigger(f"bake__{recipe}", {"roll_out": False, "force": True})
    run = bed.airflow.wait(f"bake__{recipe}", run_id, BAKE_DEADLINE)
    over.set()
    watcher.join()
    if run.state != "success" or run.end is None or not bake.smoke_done:
        raise CannotMeasure(f"{run_id} ended {run.state}: {bed.airflow.states(*_ids(run))}")
    bake.ended = run.end.timestamp()
    built = bed.airflow.xcom(*_ids(run), "wait_for_shutdown")
    bake.timeline = {step["name"]: step["at"] for step in built["timeline"]}
    tasks = bed.airflow.tasks(*_ids(run))
    ended = {t.task_id: round(t.end.timestamp() - bake.triggered, 1) for t in tasks if t.end}
    print(json.dumps({"parts": bake.parts(), "timeline": bake.timeline, "ended": ended}))
    return bake


def _ids(run: Run) -> tuple[str, str]:
    return run.dag_id, run.run_id


def _watch(compute: Compute, bake: Bake, over: threading.Event) -> None:
    """The builder's clock is its own timestamps; the smoke machine's end is its serial line."""
    own = compute.another()
    while not over.wait(LOOK_EVERY):
        for vm in own.listed(f"{ZONE}/instances"):
            try:
                _note(own, bake, vm)
            except ComputeError:
                continue  # deleted in between
    own.close()


def _note(compute: Compute, bake: Bake, vm: dict[str, Any]) -> None:
    on, off = _epoch(vm.get("lastStartTimestamp")), _epoch(vm.get("lastStopTimestamp"))
    if vm["labels"]["bakehouse-role"] == "builder":
        bake.builder_on, bake.builder_off = on or bake.builder_on, off or bake.builder_off
    elif not bake.smoke_done:
        bake.smoke_on = on or bake.smoke_on
        if '"checks": [' in serial(compute, vm["name"]):
            bake.smoke_done = time.time()


def ready_seconds(
    compute: Compute, name: str, disk: dict[str, Any], metadata: dict[str, str]
) -> float:
    """From power on until the guest has said that it is healthy."""
    return heard(compute, name, disk, metadata, _healthy)[1]


def heard(
    compute: Compute,
    name: str,
    disk: dict[str, Any],
    metadata: dict[str, str],
    is_there: Callable[[str], bool],
) -> tuple[str, float]:
    """The serial log that has what is looked for, and the seconds from power on until then.

    The machine is deleted afterwards.
    """
    start(compute, name, disk, metadata)
    wait_until(
        lambda: is_there(_serial_so_far(compute, name)),
        READY_DEADLINE,
        f"{name} to say so on its serial port",
        every=LOOK_EVERY,
    )
    now, text = time.time(), serial(compute, name)
    on = _epoch(compute.call("GET", f"{ZONE}/instances/{name}")["lastStartTimestamp"])
    compute.call("DELETE", f"{ZONE}/instances/{name}")
    return text, now - on


def start(compute: Compute, name: str, disk: dict[str, Any], metadata: dict[str, str]) -> None:
    """Ask for an instance of the type of builders."""
    items = {"enable-guest-attributes": "TRUE", "greeting": "hello", **metadata}
    body = {
        "name": name,
        "machineType": f"{ZONE}/machineTypes/{MACHINE_TYPE}",
        "disks": [disk],
        "networkInterfaces": [{"network": "global/networks/default"}],
        "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
    }
    compute.call("POST", f"{ZONE}/instances", json=body)


def install_metadata(bed: Testbed, name: str) -> dict[str, str]:
    """The same recipe without an image: its files, and a script that installs them at boot."""
    from bakehouse.recipe.at_commit import recipe_at, scripts_at
    from bakehouse.recipe.facts import BaseFacts, ImageFacts
    from bakehouse.recipe.git.open import open_repository
    from bakehouse.recipe.guest_scripts import guest_scripts
    from bakehouse.recipe.render import builder_metadata, render

    with open_repository(bed.project) as found:
        commit = found.resolve("HEAD")
        recipe = recipe_at(found, commit.sha, name)
        rendered = render(recipe, commit, scripts_at(found, commit.sha, recipe))
    facts = ImageFacts(
        recipe=name,
        image="none",
        git_sha=commit.sha,
        content_key="0" * 40,
        base_image=BaseFacts(name="debian-12", id="1"),
        vars=recipe.vars,
        services=recipe.services,
        run="bench",
    )
    payload = builder_metadata(rendered, facts, "0" * 32)["bakehouse-payload"]
    return {
        "bakehouse-payload": payload,
        "bakehouse-ready": guest_scripts()["guest/ready.sh"].data.decode(),
        "bakehouse-ready-conf": ready_conf(recipe),
        "startup-script": AT_BOOT.read_text(encoding="utf-8"),
    }


def ready_conf(recipe: Recipe) -> str:
    """What bake.sh writes for `ready` from the recipe's `ready.http`; empty where it has none."""
    http = recipe.ready.http
    if http is None:
        return ""
    return f"http_scheme={http.scheme} http_port={http.port} http_path={shlex.quote(http.path)}\n"


def serial(compute: Compute, name: str) -> str:
    """All that it has written."""
    return compute.serial_output(f"{ZONE}/instances/{name}")


def _serial_so_far(compute: Compute, name: str) -> str:
    try:
        return serial(compute, name)
    except ComputeError:
        return ""  # not there yet


def _healthy(text: str) -> bool:
    if '"state": "unhealthy"' in text or "INSTALL FAILED" in text:
        raise CannotMeasure(f"it does not get healthy: {json.dumps(text[-2000:])}")
    return re.search(r'"state": "healthy".*\n', text) is not None  # the whole line is there


def _multi_user(text: str) -> bool:
    return re.search(r"PLAIN BOOT .*\n", text) is not None


def boot_of(image: str) -> dict[str, Any]:
    """A boot disk of the image, as an instance has it that goes with it."""
    initial = {"sourceImage": image, "diskSizeGb": "10"}
    return {"boot": True, "autoDelete": True, "initializeParams": initial}


def _epoch(stamp: str | None) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
