"""How many files of Bakehouse a bake crosses: one walk of its tasks with instant machines, traced.

An edge is a pair of files below `plugins/bakehouse`, one of whose functions calls a function of the
other directly; each pair counts once, and beside it every call. Importing is no call.
Prints one line of JSON a figure.

The walk is that of the tests, so another checkout can be traced by its own interpreter:

    cd OTHER && .venv/bin/python HERE/bench/trace_bake.py OTHER/tests/integration/bake/walk.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

WALK = Path("tests/integration/bake/walk.py")
RECIPE = "base: debian-cloud/debian-12\nscripts: web\nvars: {page: hello}\n"
RECIPE += "smoke: {metadata: {greeting: hi}, deadline: 20s}\n"
ENTRY = "<module>"

Edges = Counter[tuple[str, str]]


def main(walk: Path) -> None:
    """Walk a bake of a small repository to the promoted image, and the teardown."""
    with TemporaryDirectory(prefix="bench-trace-") as folder:
        root = Path(folder)
        os.environ["AIRFLOW_HOME"] = str(root / "airflow")
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        os.environ["AIRFLOW_VAR_BAKEHOUSE_LEDGER"] = f"file://{root}/ledger"
        with _served(root) as connections:
            os.environ.update(connections)
            run = _module(walk).Walk("loaf", "manual__traced", force=True)
            edges: Edges = Counter()
            with _traced(edges):
                run.through("promote_image")
                run.tear_down()
    files = {file for edge in edges for file in edge}
    print(
        json.dumps(
            {"name": "bake_file_edges", "value": len(edges), "unit": "pairs of files", "goal": None}
        )
    )
    print(
        json.dumps(
            {"name": "bake_file_calls", "value": edges.total(), "unit": "calls", "goal": None}
        )
    )
    print(json.dumps({"name": "bake_files", "value": len(files), "unit": "files", "goal": None}))


@contextmanager
def _served(root: Path) -> Generator[dict[str, str]]:
    """Compute Engine with instant machines and a repository; the connections that lead there."""
    try:
        from devstack.serving import GCE_PROJECT, serving
    except ImportError:  # before devstack was a package of its own
        from bakehouse.local.serving import GCE_PROJECT, serving  # type: ignore[import-not-found]
    with serving(root) as url:
        extra = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
        extra |= {"poll_interval": 0.2, "reads_per_minute": 60000}
        google = {"conn_type": "google_cloud_platform", "extra": extra}
        git = {"conn_type": "git", "host": str(_repository(root / "repository"))}
        yield {
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "AIRFLOW_CONN_BAKEHOUSE_REPO": json.dumps(git),
        }


def _repository(folder: Path) -> Path:
    shutil.copytree("include", folder / "include")
    (folder / "include/recipes/loaf.yaml").write_text(RECIPE)
    who = ("-c", "user.name=T", "-c", "user.email=t@example.com")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "A loaf")):
        subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)
    return folder


def _module(path: Path) -> ModuleType:
    tests = ModuleType("tests")  # site-packages has one of that name
    tests.__path__ = [str(Path("tests").resolve())]
    sys.modules["tests"] = tests
    spec = importlib.util.spec_from_file_location("traced_walk", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _traced(edges: Edges) -> Generator[None]:
    """In all threads that are started meanwhile, too."""
    ours = str(Path("plugins/bakehouse").resolve()) + os.sep

    def profile(frame: FrameType, event: str, _: Any) -> None:
        caller = frame.f_back
        if event != "call" or caller is None:
            return
        called, calling = frame.f_code.co_filename, caller.f_code.co_filename
        if called == calling or not (called.startswith(ours) and calling.startswith(ours)):
            return
        if frame.f_code.co_name != ENTRY and caller.f_code.co_name != ENTRY:
            edges[calling.removeprefix(ours), called.removeprefix(ours)] += 1

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WALK)
