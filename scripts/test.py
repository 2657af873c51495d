"""Runs the checks, each under a headline, and says at the end how each went.

scripts/test.py check            lint, types and units
scripts/test.py all              what `make test` runs
scripts/test.py parts [PART...]  what `make test-all` adds: all parts, or those named
scripts/test.py STAGE...         these stages

KEEP_GOING=1 runs the later stages after a failure too. What a part came to is kept in
.bakehouse/test-all.json, so that parts which run one by one add up.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
RECORD = PROJECT / ".bakehouse" / "test-all.json"
HARD_STOP = 90 * 60.0  # seconds, of all stages together
PART_STOP = 90 * 60.0  # of one part; it takes at most 30 minutes on two idle cores
LAST_WORDS = 180.0  # seconds for a stage that is interrupted to stop what it has started
CLOSING = re.compile(r"^=*\s*(\d+ \w+.* in [\d.]+s.*?)\s*=*$", re.MULTILINE)

DEVSTACK = (sys.executable, "-m", "devstack.cli")
PYTEST = (sys.executable, "-m", "pytest", "--durations=20", "--durations-min=5")
QUIET = (*PYTEST, "-q")  # a dot for each test; -v tells the name of each, which may take minutes
ON_ALL_CORES = ("-n", "logical", "--maxprocesses", "4")
TWO_STACKS = ("-n", "2", "--dist", "loadfile")  # each worker has an Airflow of its own
TWO_BAKES = ("-n", "2", "--dist", "load")  # each worker has a project and a localgce of its own
COOKBOOK = "tests/vm/cookbook"
SECRETS = "tests/vm/test_secrets.py"
# rollouts on real machines, each of which bakes and boots for more than ten minutes
FLEETS = (
    "tests/vm/test_declared_fleet.py",
    "tests/vm/test_managed_group.py",
    "tests/vm/test_second_try_and_render.py",
)
BROWSER = ("scripts/setup", "packages-browser.txt")  # tests of pages are skipped without one
KAFKA = ("scripts/setup", "packages-kafka.txt")  # tests of brokers are skipped without Java
INTEGRATION = "tests/integration"
SWEEP = "tests/integration/sweep"
NO_SWEEP = (f"--ignore={SWEEP}",)  # its cases are made from runs that it records when collected

Command = Sequence[str]


@dataclass(frozen=True)
class Stage:
    """Commands that run one after the other; the first that fails ends the stage."""

    name: str
    commands: Sequence[Command]
    beside: bool = False  # the others leave it a core: it begins first, and is told of last
    environment: Mapping[str, str] = field(default_factory=dict)


STAGES = (
    Stage("vm", [(*PYTEST, "-v", "-m", "ci", "tests/vm")], beside=True),
    Stage("kafka", [KAFKA, (*PYTEST, "-v", "-m", "not long", "tests/kafka")], beside=True),
    Stage(
        "lint",
        [
            (sys.executable, "-m", "ruff", "check", "."),
            (sys.executable, "-m", "ruff", "format", "--check", "."),
            (".venv/bin/lint-imports", "--no-logo"),
            (".venv/bin/lint-imports", "--no-logo", "--config", "localgce/.importlinter"),
        ],
    ),
    Stage(
        "types",
        [
            (sys.executable, "-m", "mypy", "plugins", "dags", "tests", "scripts", "devstack/src"),
            (sys.executable, "-m", "mypy", "localgce/src", "localgce/tests"),
        ],
    ),
    Stage("units", [(*QUIET, "tests/unit")]),
    Stage(
        "integration",
        [
            (
                *QUIET,
                *ON_ALL_CORES,
                "-m",
                "not chaos and not sweep and not long",
                "tests/integration",
            )
        ],
    ),
    Stage("rules", [(*QUIET, "tests/dags")]),
    Stage("localgce", [(*QUIET, *ON_ALL_CORES, "localgce/tests")]),
    Stage("flow", [BROWSER, (*PYTEST, "-v", *TWO_STACKS, "-m", "ci", "tests/flow")]),
)
CHECK = ("lint", "types", "units")

PARTS = (
    Stage(
        "vm",
        [
            (
                *PYTEST,
                "-v",
                *(f"--ignore={path}" for path in (COOKBOOK, SECRETS, *FLEETS)),
                "tests/vm",
            )
        ],
    ),
    Stage("vm-fleets", [(*PYTEST, "-v", *FLEETS)]),
    Stage("vm-secrets", [(*PYTEST, "-v", SECRETS)]),
    Stage("cookbook", [(*PYTEST, "-v", *TWO_BAKES, f"{COOKBOOK}/test_databases.py")]),
    Stage("cookbook-2", [(*PYTEST, "-v", *TWO_BAKES, f"{COOKBOOK}/test_apps.py")]),
    Stage("demo-kafka", [KAFKA, (*DEVSTACK, "demo-kafka")]),
    Stage("demo-kafka-bad-image", [KAFKA, (*DEVSTACK, "demo-kafka", "--bad-image")]),
    Stage("localgce-vm", [(*PYTEST, "-v", "-m", "vm", "localgce/tests")]),
    Stage("localgce-long", [(*PYTEST, "-v", "-m", "long", "localgce/tests")]),
    Stage(
        "chaos",
        [
            (*PYTEST, "-v", *TWO_STACKS, "-m", "chaos", "tests/flow"),
            (*QUIET, *ON_ALL_CORES, "-m", "chaos", *NO_SWEEP, INTEGRATION),
            (*QUIET, *ON_ALL_CORES, "-m", "chaos", "localgce/tests"),
        ],
    ),
    Stage(
        "integration-long",
        [(*QUIET, *ON_ALL_CORES, "-m", "long and not chaos", *NO_SWEEP, INTEGRATION)],
    ),
    Stage("flow", [BROWSER, (*PYTEST, "-v", *TWO_STACKS, "-m", "not chaos", "tests/flow")]),
    Stage(
        "distributed",
        [
            ("scripts/setup", "packages-distributed.txt"),
            (*PYTEST, "-v", "tests/distributed"),
            (*PYTEST, "-v", "tests/deployments"),
        ],
    ),
    Stage(
        "fuzz",
        [
            (
                *(*QUIET, *ON_ALL_CORES, "--hypothesis-profile", "long", "-m", "hypothesis"),
                *("--timeout", "1500"),
                *(*NO_SWEEP, "tests/unit", "tests/integration"),
            ),
            (*QUIET, *ON_ALL_CORES, "--timeout", "1500", "-m", "fuzz_long", "localgce/tests"),
        ],
    ),
    Stage("sweep", [(*QUIET, *ON_ALL_CORES, SWEEP)]),
    Stage("kafka", [KAFKA, (*PYTEST, "-v", "-m", "long", "tests/kafka")]),
)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended; `said` is how its tools closed."""

    state: str  # passed, skipped, failed or stopped
    seconds: float
    said: str = ""

    @property
    def good(self) -> bool:
        """Whether the stage does not fail the whole."""
        return self.state in {"passed", "skipped"}


class Run:
    """One stage, from the end of `after` on; what it writes may be held back until `show`."""

    def __init__(
        self, stage: Stage, deadline: float, *, shown: bool, after: Run | None = None
    ) -> None:
        self._stage, self._deadline, self._shown, self._after = stage, deadline, shown, after
        self._text: list[bytes] = []
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._run, name=stage.name, daemon=True)
        self._thread.start()

    def show(self) -> None:
        """What it has written, and from now on whatever it writes."""
        with self._lock:
            self._shown = True
            _write(b"".join(self._text))

    def wait(self) -> Outcome:
        """Wait until the stage has ended; returns its outcome."""
        self._thread.join()
        assert self._outcome is not None
        return self._outcome

    def runs_on(self, seconds: float) -> bool:
        """Whether it still runs, or waits to begin, these seconds from now."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def stop(self) -> None:
        """Interrupt it, as Ctrl-C would, and wait until it has stopped what it has started."""
        self._stopped = True
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
        self._thread.join(LAST_WORDS)
        if self._thread.is_alive() and process is not None:
            process.kill()
            self._thread.join()

    def last_line(self) -> str:
        """The last line that it wrote, empty when it wrote none."""
        lines = self._words().strip().splitlines()
        return lines[-1].strip() if lines else ""

    def _run(self) -> None:
        while not self._stopped and self._after is not None and self._after.runs_on(0.2):
            pass
        began = time.monotonic()
        code = 0
        for command in self._stage.commands:
            if self._stopped or (code := self._one(command)):
                break
        seconds = time.monotonic() - began
        said = CLOSING.findall(self._words())
        self._outcome = Outcome(self._state(code, said), seconds, "; ".join(said))

    def _one(self, command: Command) -> int:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **self._stage.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._process = process
        alarm = threading.Timer(self._deadline - time.monotonic(), self._time_is_over)
        alarm.daemon = True
        alarm.start()
        assert process.stdout is not None
        with process.stdout as output:
            self._read(process, output.fileno())
        alarm.cancel()
        return process.wait()

    def _read(self, process: subprocess.Popen[bytes], output: int) -> None:
        """To its end, or until the process has ended: what it left behind may hold the pipe."""
        while True:
            if not select.select([output], [], [], 1.0)[0]:
                if process.poll() is not None:
                    return
                continue
            if not (chunk := os.read(output, 65536)):
                return
            with self._lock:
                self._text.append(chunk)
                if self._shown:
                    _write(chunk)

    def _time_is_over(self) -> None:
        self._text.append(b"\nstopped: its time is over\n")
        threading.Thread(target=self.stop, daemon=True).start()

    def _state(self, code: int, said: Sequence[str]) -> str:
        if self._stopped:
            return "stopped"
        if code:
            return "failed"
        return "skipped" if said and not any("passed" in words for words in said) else "passed"

    def _words(self) -> str:
        return b"".join(self._text).decode(errors="replace")


def run(stages: Sequence[Stage], stop_after: float) -> dict[str, Outcome]:
    """Those beside the others run one after the other; what they say comes when all others end."""
    began = time.monotonic()
    deadline = began + stop_after
    outcomes: dict[str, Outcome] = {}
    front = [stage for stage in stages if not stage.beside or len(stages) == 1]
    beside: dict[str, Run] = {}
    before: Run | None = None
    for stage in stages:
        if stage not in front:
            beside[stage.name] = before = Run(stage, deadline, shown=False, after=before)
    current: Run | None = None
    try:
        for stage in front:
            _headline(stage.name)
            current = Run(stage, deadline, shown=True)
            outcomes[stage.name] = current.wait()
            for name, other in beside.items():
                print(f"    beside it, {name}: {other.last_line()[-90:] or 'waits'}", flush=True)
            if not outcomes[stage.name].good and not os.environ.get("KEEP_GOING"):
                break
        failed = not all(outcome.good for outcome in outcomes.values())
        if failed and not os.environ.get("KEEP_GOING"):
            _stop(beside.values())
        for name, other in beside.items():
            _headline(name)
            other.show()
            outcomes[name] = other.wait()
    except KeyboardInterrupt:
        _stop(filter(None, (current, *beside.values())))
        raise
    _summary(outcomes, time.monotonic() - began)
    return outcomes


def _stop(runs: Iterable[Run]) -> None:
    """The last first: none begins because the one before it has been stopped."""
    for one in reversed(list(runs)):
        one.stop()


def _headline(name: str) -> None:
    print(f"\n=== {name} {datetime.now():%H:%M:%S}", flush=True)


def _summary(outcomes: Mapping[str, Outcome], seconds: float) -> None:
    print("\n=== summary")
    for name, outcome in outcomes.items():
        state = outcome.state if outcome.good else outcome.state.upper()
        print(f"{state:8} {name:12} {outcome.seconds:5.0f} s  {outcome.said}".rstrip())
    print(f"{'':8} {'all':12} {seconds:5.0f} s", flush=True)


def _write(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


# -- the parts, and what is kept of them -----------------------------------------------------------


def run_parts(names: Sequence[str]) -> bool:
    """One part after the other; whether each of these has passed."""
    good = True
    for part in PARTS:
        if part.name not in names:
            continue
        commit, clean = _commit()
        (outcome,) = run([part], PART_STOP).values()
        _keep(part.name, outcome, commit, clean=clean)
        good = good and outcome.good
    _show_kept()
    return good


def _commit() -> tuple[str, bool]:
    """The commit that is checked out, and whether the work tree is that commit."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head, not _git("status", "--porcelain")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _kept() -> dict[str, dict[str, object]]:
    try:
        found: dict[str, dict[str, object]] = json.loads(RECORD.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _keep(name: str, outcome: Outcome, commit: str, *, clean: bool) -> None:
    kept = _kept()
    kept[name] = {
        "state": outcome.state,
        "commit": commit,
        "clean": clean,
        "when": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "seconds": round(outcome.seconds),
        "said": outcome.said,
    }
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _show_kept() -> None:
    """Every part, when it last ran and on which commit."""
    kept = _kept()
    head, clean = _commit()
    print(f"\n=== parts; the work tree is {head}{'' if clean else ' with changes'}")
    for part in PARTS:
        if (found := kept.get(part.name)) is None:
            print(f"{'not run':8} {part.name}")
            continue
        where = f"{found['commit']}{'' if found['clean'] else ' with changes'}"
        when = f"{found['when']} on {where}"
        print(f"{found['state']:8} {part.name:12} {found['seconds']:>5} s  {when}  {found['said']}")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the named stages or parts; returns the exit code."""
    known = {stage.name: stage for stage in STAGES}
    what, *names = arguments or ["all"]
    if what == "parts":
        wanted = names or [part.name for part in PARTS]
        unknown = set(wanted) - {part.name for part in PARTS}
    elif what in {"all", "check"}:
        wanted, unknown = list(CHECK if what == "check" else known), set(names)
    else:
        wanted, unknown = [what, *names], {what, *names} - known.keys()
    if unknown:
        choice = (part.name for part in PARTS) if what == "parts" else ("all", "check", *known)
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(choice)}", file=sys.stderr)
        return 2
    if what == "parts":
        return 0 if run_parts(wanted) else 1
    outcomes = run([known[name] for name in wanted], HARD_STOP)
    return 0 if len(outcomes) == len(wanted) and all(o.good for o in outcomes.values()) else 1


def listen() -> None:
    """End as with Ctrl-C on SIGTERM too, and on SIGINT where a shell ignores it, in the background.

    The stages inherit that: they are stopped by SIGINT.
    """
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)


if __name__ == "__main__":
    listen()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
