"""A server of a test's own, the repository that it bakes from, and what leads its tasks there."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from devstack.gce_api import Compute
from devstack.serving import GCE_PROJECT, serving

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class Served(NamedTuple):
    """A localgce with instant machines; the folder has `repository`, and the ledger of its runs."""

    compute: Compute
    url: str
    folder: Path

    @contextmanager
    def connected(self, poll_interval: float) -> Generator[pytest.MonkeyPatch]:
        """Connections lead to the server; what is patched besides is undone with them."""
        with pytest.MonkeyPatch.context() as environment:
            connect(environment, self.url, self.folder / "repository", poll_interval=poll_interval)
            environment.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{self.folder}/ledger")
            yield environment


@contextmanager
def served_from(folder: Path) -> Generator[Served]:
    """Start one that keeps its state in the folder."""
    with serving(folder) as url, closing(Compute(url, GCE_PROJECT)) as compute:
        yield Served(compute, url, folder)


def commit_all(folder: Path, message: str) -> None:
    """Make a repository of a folder, with one commit of everything in it."""
    git = ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run([*git, *arguments], check=True)


def connect(
    environment: pytest.MonkeyPatch, url: str, repository: Path, *, poll_interval: float
) -> None:
    """Set Airflow's connections of Google Cloud and of git; images are signed by a key beside it.

    Tests of other servers have connections of the same name, whose clients a thread may still hold.
    """
    google = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
    google |= {"poll_interval": poll_interval, "reads_per_minute": 600_000}
    connections = {
        "GOOGLE_CLOUD_DEFAULT": {"conn_type": "google_cloud_platform", "extra": google},
        "BAKEHOUSE_REPO": {"conn_type": "git", "host": str(repository)},
    }
    for name, connection in connections.items():
        environment.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    environment.setattr("bakehouse.cloud.compute_hook._hooks", threading.local())
    key = repository.parent / "bakehouse" / "signing-key.pem"
    environment.setattr("bakehouse.history.signing_keys.default_key_file", lambda: key)
