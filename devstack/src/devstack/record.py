"""The record of a stack: what runs and where it answers, for whoever finds the state folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from devstack.private_file import write_private
from devstack.topology import Topology

if TYPE_CHECKING:
    from devstack.layout import Layout

Machines = Literal["qemu", "instant"]


@dataclass(frozen=True)
class Record:
    """What a running stack is and where it answers; written before anything is started."""

    project: str
    machines: Machines
    gce_project: str
    airflow_port: int
    gce_port: int
    owner_pid: int | None  # it ends with this process; None: it stays (`make up`)
    topology: Topology = field(default_factory=Topology)

    @property
    def airflow_url(self) -> str:
        """The address of Airflow."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def gce_url(self) -> str:
        """The address of localgce."""
        return f"http://127.0.0.1:{self.gce_port}"

    def write(self, layout: Layout) -> None:
        """Write the record; only its user can read it."""
        write_private(layout.record, json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(layout: Layout) -> Record | None:
        """None where no stack was started, or where the file is not a record."""
        try:
            found = json.loads(layout.record.read_text(encoding="utf-8"))
            return Record(**{**found, "topology": Topology(**found.get("topology", {}))})
        except (OSError, ValueError, TypeError, AttributeError):
            return None
