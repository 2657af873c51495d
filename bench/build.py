"""`make bench-build`: each figure as one line of JSON: `name`, `value`, `unit`, `goal` and more.

The inner loop of the recipe `web` in a project of its own, on real machines, by the command line:
- `edit_to_healthy_seconds`: from a template that has changed until `bakehouse run` says that the
  machine is healthy; the layer of the install is there, so nothing is installed. It is built, its
  smoke test boots it, and it is booted once more. The page is fetched. Without KVM the goal counts.
- `build_unchanged_seconds`: `bakehouse build` of a work tree that has an image already.
- `build_over_bake`: a whole build (`--force`, no layer is used) over the run of the same recipe in
  Airflow, from its trigger to its end, one after the other.

Names given as arguments select figures. Ends with 1 when one misses its goal, with 2 when one could
not be measured, which is said on standard error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from figures import CannotMeasure, line, show

from devstack import machines
from devstack.testbed import testbed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from figures import Line

PROJECT = Path(__file__).resolve().parent.parent
PAGE = "include/startup_scripts/web/templates/var/www/html/index.html.j2"
COMMAND_SECONDS = 1800
BAKE_DEADLINE = 1800.0


class Loop:
    """A project with the recipe `web`, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(PROJECT / "include", folder / "include")
        shutil.copyfile(PROJECT / "airflow_settings.yaml", folder / "airflow_settings.yaml")
        git = ["git", "-C", str(folder), "-c", "user.name=B", "-c", "user.email=b@example.com"]
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "A project"]):
            subprocess.run([*git, *arguments], check=True)

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "bakehouse.cli", *arguments]

    def seconds(self, *arguments: str) -> float:
        """How long a command takes; raises CannotMeasure when it fails."""
        began = time.monotonic()
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise CannotMeasure(done.stderr.strip() or done.stdout[-2000:])
        return time.monotonic() - began

    def edit(self, text: str) -> None:
        """Change the template of the page."""
        page = self.folder / PAGE
        page.write_text(f"{page.read_text()}<!-- {text} -->\n")

    def until_healthy(self, text: str) -> float:
        """From now until the machine is healthy; its page must have the text. The machine goes."""
        began = time.monotonic()
        with subprocess.Popen(
            self.command("run", "web", "-p", "18080:8080"),
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            seconds, last = 0.0, ""
            for line in process.stdout or ():
                last = line
                if r" is healthy; " in line:
                    seconds = time.monotonic() - began
                    break
            page = fetched() if seconds else ""
            process.terminate()
            process.communicate(timeout=COMMAND_SECONDS)
        if text not in page:
            raise CannotMeasure(f"the page does not have {text!r}; {last.strip()}")
        return seconds


def fetched() -> str:
    """The page of the machine."""
    with urllib.request.urlopen("http://127.0.0.1:18080/", timeout=30) as answer:
        return str(answer.read().decode())


def environment() -> dict[str, str]:
    """Real machines, whatever this shell prefers."""
    return {**os.environ, "BAKEHOUSE_LOCAL_MACHINES": "qemu"}


@contextmanager
def built() -> Generator[Loop]:
    """A project whose recipe was built once, so that its layers are there."""
    able, words = machines.doctor()
    if not able:
        raise CannotMeasure(f"no real machines here: {machines.reason(words)}")
    with TemporaryDirectory(prefix="bench-build-") as folder:
        loop = Loop(Path(folder))
        try:
            loop.seconds("build", "web")
            yield loop
        finally:
            subprocess.run(
                loop.command("rm", "--all"), cwd=folder, env=environment(), check=False,
                stdout=sys.stderr,
            )  # fmt: skip


@cache
def measured() -> dict[str, float]:
    """All that one project is measured for."""
    with built() as loop:
        unchanged = loop.seconds("build", "web")
        loop.edit("an edit")
        healthy = loop.until_healthy("an edit")
        return {"unchanged": unchanged, "healthy": healthy, "whole": loop.seconds(*FORCED)}


FORCED = ("build", "web", "--force")


@cache
def bake_seconds() -> float:
    """The same recipe in Airflow, from the trigger to the end of the run."""
    with (
        TemporaryDirectory(prefix="bench-build-") as folder,
        redirect_stdout(sys.stderr),
        testbed(PROJECT, Path(folder), "qemu") as bed,
    ):
        began = time.time()
        run = bed.bake("bake__web", BAKE_DEADLINE, roll_out=False)
        if run.state != "success" or run.end is None:
            raise CannotMeasure(bed.explain(run))
        return run.end.timestamp() - began


def edit_to_healthy_seconds() -> Line:
    """An edit of a template, seen."""
    return line("s", measured()["healthy"], "<= 60")


def build_unchanged_seconds() -> Line:
    """Nothing to do."""
    return line("s", measured()["unchanged"], "<= 3")


def build_over_bake() -> Line:
    """What Airflow adds."""
    whole, bake = measured()["whole"], bake_seconds()
    seconds = {"build": round(whole, 1), "bake": round(bake, 1)}
    return line("ratio", whole / bake, "<= 1.0", seconds=seconds)


FIGURES: dict[str, Callable[[], Line]] = {
    figure.__name__: figure
    for figure in (edit_to_healthy_seconds, build_unchanged_seconds, build_over_bake)
}


def main(names: list[str]) -> int:
    """Measure; the exit status."""
    return show(names or FIGURES, lambda name: [FIGURES[name]()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
