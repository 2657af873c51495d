"""Which kind of machines this computer can run, according to `localgce doctor`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.programs import PARENT_DEATH

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from devstack.record import Machines

GUEST = Path(__file__).with_name("instant_guest.py")
DOCTOR_SECONDS = 120.0  # it boots a probe to see whether KVM works


@dataclass(frozen=True)
class Choice:
    """The kind of machines that a stack runs."""

    machines: Machines
    why: str  # why it is not the kind that was wanted; empty otherwise

    @property
    def guest(self) -> Path | None:
        """The program of an instant machine; None for real machines."""
        return GUEST if self.machines == "instant" else None


def localgce(*arguments: str) -> list[str]:
    """The command line of localgce with these arguments."""
    return [sys.executable, str(Path(sys.executable).with_name("localgce")), *arguments]


def doctor(run: Callable[[Sequence[str]], tuple[int, str]] | None = None) -> tuple[bool, str]:
    """Whether real machines can run here, and the output of `localgce doctor`."""
    code, output = (run or _run)(localgce("doctor"))
    return code == 0, output


def choose(wanted: Machines, ask: Callable[[], tuple[bool, str]] = doctor) -> Choice:
    """The kind that is wanted, or instant machines with the reason."""
    if wanted == "instant":
        return Choice("instant", "")
    able, output = ask()
    return Choice("qemu", "") if able else Choice("instant", reason(output))


def reason(output: str) -> str:
    """What `localgce doctor` reports as missing, on one line."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    failed = [line.removeprefix("FAIL ") for line in lines if line.startswith("FAIL ")]
    return "; ".join(failed) or (lines or ["localgce doctor failed without output"])[-1]


def _run(command: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DOCTOR_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer from localgce doctor within {DOCTOR_SECONDS:.0f} s"
    return done.returncode, done.stdout


def make_public_image(progress: Callable[[str], None]) -> None:
    """Build debian-12 unless it is cached; raises RuntimeError with the last line of output."""
    with public_image_in_the_making() as made:
        made(progress)


@contextmanager
def public_image_in_the_making() -> Generator[Callable[[Callable[[str], None]], None]]:
    """Build debian-12, unless it is cached, beside what is done within; an error ends both.

    Yields a function that waits until the image is there, and says meanwhile what its program says;
    it raises RuntimeError with the last line of output.
    """
    with_us = [sys.executable, "-I", str(PARENT_DEATH), "--parent", str(os.getpid())]
    with subprocess.Popen(
        # SIGINT lets it end the programs that it runs, and not itself alone
        [*with_us, "--signal", "SIGINT", "--", *localgce("image")],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that Ctrl-C reaches it once, from here
    ) as process:

        def made(progress: Callable[[str], None]) -> None:
            last = ""
            for line in process.stdout or ():
                if line.strip():
                    last = line.strip()
                    progress(last)
            if process.wait() != 0:
                raise RuntimeError(f"the public image could not be made: {last}")

        try:
            yield made
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
