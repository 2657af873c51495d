"""Stacks of Airflow whose programs have the wheel, and nothing of the checkout."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.wheel.conftest import Installed, installed, project
from tests.support.paths import PROJECT

from devstack.airflow_api import Airflow
from devstack.gce_api import Compute
from devstack.machines import GUEST
from devstack.serving import GCE_PROJECT
from devstack.stack import Stack
from devstack.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["installed", "project"]  # fixtures

HERE = Path(__file__).parent
SECONDS = 1800
UP = 900.0  # seconds
# the stack's own programs; localgce is reached over HTTP only
PROGRAMS = (PROJECT / "devstack/src", PROJECT / "localgce/src")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@dataclass(frozen=True)
class Deployment:
    """A running stack."""

    stack: Stack
    airflow: Airflow
    compute: Compute


@contextmanager
def deployed(
    wheel: Installed, project: Path, state: Path, **settings: str
) -> Generator[Deployment]:
    """Run every program of Airflow with the wheel; `plugins/` is empty, and not in PYTHONPATH."""
    assert list((project / "plugins").iterdir()) == []
    program = wheel.folder / "bin" / "localgce"
    if not program.exists():
        shutil.copy2(Path(sys.executable).with_name("localgce"), program)
    own = {"PYTHONPATH": ":".join(map(str, PROGRAMS)), **settings}
    with pytest.MonkeyPatch.context() as patched:
        # what the stack starts its programs with
        patched.setattr(sys, "executable", str(wheel.folder / "bin" / "python"))
        stack = Stack(
            project, state, "instant", GUEST, topology=Topology(settings=own), progress=print
        )
        stack.start(deadline=UP)
        record = stack.record
        airflow = Airflow(record.airflow_url, stack.user, stack.password)
        compute = Compute(record.gce_url, record.gce_project)
        try:
            yield Deployment(stack, airflow, compute)
        finally:
            airflow.close()
            compute.close()
            left = stack.stop()
            assert left == []


def connect(project: Path, repository: str) -> None:
    """Write the connections of the project: the stack's own Compute Engine, and the repository."""
    settings = project / "airflow_settings.yaml"
    text = settings.read_text().replace("my-project", GCE_PROJECT)
    settings.write_text(text.replace("conn_host: .", f"conn_host: {repository}"))
