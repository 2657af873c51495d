"""What a night of many recipes costs, seen from outside; the figures are night.py's.

A real Airflow on this computer (one process of each kind, SQLite), instant machines, and one apt
archive on loopback. All recipes are due in the same minute.
"""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil
from figures import CannotMeasure

from bakehouse.images import labels
from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.bundle import Bundle
from bakehouse.recipe.git.open import open_repository
from bakehouse.recipe.render import render
from devstack.processes import PROGRAM, marked
from devstack.programs import GCE
from devstack.testbed import Testbed, testbed
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

PROJECT = Path(__file__).resolve().parent.parent
NAMES = "bake__night-%"
INSTALL_SECONDS = 60  # of each builder
MACHINE_SECONDS = INSTALL_SECONDS + 2 * 0.2  # and the boots of builder and smoke machine
UNTIL_DUE = 60.0  # seconds, in which the DAG processor finds the schedules
ONE_BAKE = 600.0  # seconds for a run on its own
PER_RECIPE = 60.0  # seconds of a night that each recipe may take, of all cores together
PACKAGES = {"bash": "5.2.15", "libc6": "2.36"}  # versions that instant machines report
RECIPE = """base: debian-cloud/debian-12
scripts: web
vars:
  page: {page}
  instant_install_seconds: {install}
  instant_sources: {archive}/debian bookworm main
smoke: {{metadata: {{greeting: hello}}}}
schedule: {minute} {hour} * * *
timezone: UTC
jitter: 1s
"""


@dataclass(frozen=True)
class Rows:
    """What Airflow's database holds."""

    by_table: Counter[str]
    bytes: int


@dataclass(frozen=True)
class Night:
    """One night of all recipes."""

    recipes: int
    wall: float  # seconds from when they were due until the last run has ended
    processor: float  # seconds of all processes of Airflow meanwhile
    late: list[float]  # seconds from due until the first task of each run has started
    calls: Counter[str]  # of Compute Engine, by method
    fetched: Counter[str]  # of the archive, by name of file
    left: Rows  # in Airflow's database, of this night


@dataclass
class Nights:
    """What was measured with so many recipes; nights that no figure asks for are not run."""

    unchanged: Night
    changed: Night | None = None
    kept_rows: dict[str, int] = field(default_factory=dict)  # behind `airflow db clean`


def nights(recipes: int, *, changed: bool) -> Nights:
    """Measured once, on a stack of its own; raises CannotMeasure, each time."""
    found = _nights(recipes, changed)
    if isinstance(found, CannotMeasure):
        raise found
    return found


@cache
def _nights(recipes: int, changed: bool) -> Nights | CannotMeasure:
    try:
        with (
            TemporaryDirectory(prefix="bench-night-") as folder,
            redirect_stdout(sys.stderr),
            archive() as served,
            testbed(PROJECT, Path(folder), "instant") as bed,
        ):
            return _Bench(bed, recipes, served).measured(changed=changed)
    except (RuntimeError, DeadlineExceeded, subprocess.CalledProcessError) as error:
        return CannotMeasure(f"{recipes} recipes: {error}")


class _Bench:
    """One stack with so many recipes."""

    def __init__(self, bed: Testbed, recipes: int, served: Archive) -> None:
        self.bed, self.recipes, self.served = bed, recipes, served
        self.home = bed.stack.layout.airflow_home

    def measured(self, *, changed: bool) -> Nights:
        """A night without news, then, if asked for, one in which each recipe has changed."""
        self.write("first", install=0)
        self.bed.commit("Recipes that are due one night")
        self.bed.parse_until("bake__web", lambda: self.known() == self.recipes, "the recipes")
        self.seed()
        found = Nights(self.night(self.write("first", install=0)))
        if found.unchanged.calls["compute.instances.insert"]:
            raise CannotMeasure(f"the night without news made machines: {found.unchanged.calls}")
        if changed:
            due = self.write("second", install=INSTALL_SECONDS)
            self.bed.commit("All recipes have changed")
            found.changed = self.night(due)
            builders = found.changed.calls["compute.instances.insert"]
            if builders < 2 * self.recipes:
                raise CannotMeasure(f"{builders} machines of {self.recipes} changed recipes")
        found.kept_rows = self.cleaned()
        return found

    def write(self, page: str, install: int) -> datetime:
        """Have all recipes due in one minute; returns it."""
        soon = datetime.now(UTC) + timedelta(seconds=UNTIL_DUE)
        due = soon.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for number in range(self.recipes):
            text = RECIPE.format(
                page=f"{page} {number}",
                install=install,
                archive=self.served.url,
                minute=due.minute,
                hour=due.hour,
            )
            self.bed.write(f"include/recipes/night-{number}.yaml", text)
        return due

    def known(self, due: datetime | None = None) -> int:
        """How many of their DAGs Airflow has, due then."""
        query = "select next_dagrun_create_after from dag where dag_id like ? and not is_stale"
        found = self.read(query, NAMES)
        return sum(
            1 for (when,) in found if due is None or str(when)[:16] == f"{due:%Y-%m-%d %H:%M}"
        )

    def seed(self) -> None:
        """Give each recipe an image of its content: that of the first one under other labels."""
        dag = "bake__night-0"
        run = self.bed.bake(dag, ONE_BAKE)
        if run.state != "success":
            raise CannotMeasure(self.bed.explain(run))
        self.bed.airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": True})
        image = self.bed.compute.newest_of("night-0")
        manifests = self.home / "ledger" / "manifests"
        manifest = (manifests / f"{image['name']}.spdx.json").read_text(encoding="utf-8")
        for number in range(1, self.recipes):
            name = image["name"].replace("night-0", f"night-{number}", 1)
            key = self.content_key(number, image["labels"][labels.BASE_IMAGE_ID])
            own = {labels.RECIPE: f"night-{number}", labels.CONTENT_KEY: key}
            body = {
                "name": name,
                "family": f"night-{number}",
                "sourceImage": image["selfLink"],
                "labels": {**image["labels"], **own},
            }
            self.bed.compute.call("POST", "global/images", json=body)
            target = manifests / f"{name}.spdx.json"
            target.write_text(manifest.replace(image["name"], name), encoding="utf-8")

    def content_key(self, number: int, base: str) -> str:
        """Of the recipe as it is committed."""
        with open_repository(self.bed.project) as repository:
            commit = repository.resolve("HEAD")
            recipe = recipe_at(repository, commit.sha, f"night-{number}")
            rendered = render(recipe, commit, scripts_at(repository, commit.sha, recipe), {}, None)
        return Bundle(rendered, base).content_key

    def night(self, due: datetime) -> Night:
        """Wait for the minute and until all runs have ended."""
        self.bed.parse_until(
            "bake__web", lambda: self.known(due) == self.recipes, f"all to be due at {due:%H:%M}"
        )
        before, path = self.rows(), f"/dags?dag_id_pattern={NAMES.replace('%', '%25')}"
        self.bed.airflow.call("PATCH", path, json={"is_paused": False})
        self.bed.compute.forget()
        self.served.fetched.clear()
        wait_until(lambda: time.time() >= due.timestamp(), 300, "the night", every=0.5)
        spent = processor_seconds(self.bed)
        deadline = ONE_BAKE + self.recipes * PER_RECIPE
        wait_until(lambda: self.ended(due) == self.recipes, deadline, "all runs to end", every=2.0)
        spent = processor_seconds(self.bed) - spent
        self.bed.airflow.call("PATCH", path, json={"is_paused": True})
        runs = self.read(
            "select r.state, r.end_date, min(t.start_date) from dag_run r join task_instance t"
            " on t.dag_id = r.dag_id and t.run_id = r.run_id and t.task_id = 'resolve_commit'"
            " where r.dag_id like ? and r.run_after >= ? group by r.dag_id",
            NAMES,
            f"{due:%Y-%m-%d %H:%M}",
        )
        if failed := [state for state, *_ in runs if state != "success"]:
            raise CannotMeasure(f"{len(failed)} of {self.recipes} runs failed")
        after = self.rows()
        found = Night(
            recipes=self.recipes,
            wall=max(_epoch(end) for _, end, _ in runs) - due.timestamp(),
            processor=spent,
            late=[_epoch(start) - due.timestamp() for *_, start in runs],
            calls=Counter(str(r["method"]) for r in self.bed.compute.requests()["requests"]),
            fetched=Counter(self.served.fetched),
            left=Rows(after.by_table - before.by_table, after.bytes - before.bytes),
        )
        print(found)  # of a long bench, before its end
        return found

    def ended(self, due: datetime) -> int:
        """How many runs of the night have ended."""
        query = (
            "select count(*) from dag_run where dag_id like ? and run_after >= ?"
            " and state in ('success', 'failed')"
        )
        return int(self.read(query, NAMES, f"{due:%Y-%m-%d %H:%M}")[0][0])

    def cleaned(self) -> dict[str, int]:
        """Clean the database while a bake waits, which must end well; what stays of old runs."""
        airflow, dag = self.bed.airflow, "bake__night-0"
        old = datetime.now(UTC)
        run_id = airflow.trigger(dag, {"force": True, "vars": {"instant_install_seconds": 60}})
        airflow.wait_for_task(dag, run_id, "wait_for_shutdown", ["deferred"], ONE_BAKE)
        # a DAG that was not parsed since then would be taken for one that is gone
        unparsed = "select count(*) from dag where not is_stale and last_parsed_time < ?"
        as_text = f"{old:%Y-%m-%d %H:%M:%S.%f}"
        self.bed.parse_until("bake__web", lambda: not self.read(unparsed, as_text)[0][0], "a parse")
        subprocess.run(
            [Path(sys.executable).with_name("airflow"), "db", "clean", "--yes", "--skip-archive",
             "--clean-before-timestamp", old.isoformat()],
            env=self.bed.stack.environment(), check=True, stdout=sys.stderr,
        )  # fmt: skip
        ended = airflow.wait(dag, run_id, ONE_BAKE)
        if ended.state != "success":
            raise CannotMeasure(
                f"a run fails when the database is cleaned: {self.bed.explain(ended)}"
            )
        again = self.bed.bake(dag, ONE_BAKE)
        if again.state != "success":
            raise CannotMeasure(f"the run after the cleaning: {self.bed.explain(again)}")
        query = "select count(*) from {} where dag_id like ? and run_id not in (?, ?)"
        tables = ("dag_run", "task_instance", "task_instance_history", "xcom")
        return {
            table: int(self.read(query.format(table), NAMES, run_id, again.run_id)[0][0])
            for table in tables
        }

    def rows(self) -> Rows:
        """What the database holds now."""
        tables = self.read("select name from sqlite_master where type = 'table'")
        counts = {
            name: int(self.read(f'select count(*) from "{name}"')[0][0]) for (name,) in tables
        }
        (pages,), (size,), (free,) = (
            self.read(f"pragma {what}")[0] for what in ("page_count", "page_size", "freelist_count")
        )
        return Rows(Counter(counts), (int(pages) - int(free)) * int(size))

    def read(self, query: str, *values: str) -> list[Any]:
        """From Airflow's database, beside its processes."""
        where = f"file:{self.home / 'airflow.db'}?mode=ro"
        with closing(sqlite3.connect(where, uri=True, timeout=60)) as database:
            return list(database.execute(query, values))


def processor_seconds(bed: Testbed) -> float:
    """Processor time of all of Airflow since its start, with children that have ended."""
    return sum(
        sum(process.cpu_times()[:4])
        for process in marked(bed.stack.layout.state)
        if _program_of(process) != GCE
    )


def _program_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(PROGRAM)
    except psutil.Error:
        return GCE  # it has just ended: its parent counts it


def _epoch(text: str) -> float:
    """A moment as SQLite has it, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Archive:
    """An apt archive with one suite, and what was fetched from it."""

    def __init__(self) -> None:
        index = "\n".join(
            f"Package: {name}\nArchitecture: amd64\nVersion: {version}\n"
            for name, version in PACKAGES.items()
        )
        packed = gzip.compress(index.encode())
        path, folder = "main/binary-amd64/Packages.gz", "/debian/dists/bookworm"
        release = (
            "Suite: bookworm\nCodename: bookworm\nArchitectures: amd64\nSHA256:\n"
            f" {sha256(packed).hexdigest()} {len(packed)} {path}\n"
        )
        self.fetched: list[str] = []
        self._files = {f"{folder}/Release": release.encode(), f"{folder}/{path}": packed}
        self._files[f"{folder}/InRelease"] = _signed(release)
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                archive.fetched.append(self.path.rpartition("/")[2])
                data = archive._files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.server_port}"


def _signed(text: str) -> bytes:
    """As InRelease is; only apt, on a builder, checks the signature."""
    head, tail = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n",
        "\n-----BEGIN PGP SIGNATURE-----",
    )
    return f"{head}{text}{tail}\n\niQ==\n-----END PGP SIGNATURE-----\n".encode()


@contextmanager
def archive() -> Generator[Archive]:
    """Serve it."""
    served = Archive()
    threading.Thread(target=served.server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        served.server.shutdown()
        served.server.server_close()
