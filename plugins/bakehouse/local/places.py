"""Where local builds keep their files: below `.bakehouse/local/` of the project. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ".bakehouse/local"


@dataclass(frozen=True)
class Places:
    """The folder of one kind of local machines, or of one connection to Google Cloud."""

    project: Path
    kind: str  # qemu, instant or on-CONNECTION

    @property
    def folder(self) -> Path:
        """Everything below it can be deleted while no server runs."""
        return self.project / LOCAL / self.kind

    @property
    def state(self) -> Path:
        """The state folder of localgce."""
        return self.folder / "gce"

    @property
    def server(self) -> Path:
        """The process and the address of the running localgce."""
        return self.folder / "server.json"

    @property
    def server_log(self) -> Path:
        """What localgce says."""
        return self.folder / "localgce.log"

    @property
    def lock(self) -> Path:
        """Held while a server is started or stopped."""
        return self.folder / "lock"

    @property
    def runs(self) -> Path:
        """One file for each run that may have left something."""
        return self.folder / "runs"

    @property
    def layers(self) -> Path:
        """One file for each layer of an install: what it was made of."""
        return self.folder / "layers"

    @property
    def ledger(self) -> Path:
        """The ledger of local builds; no other reads it."""
        return self.folder / "ledger"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME of a build's process."""
        return self.folder / "airflow"

    def make(self) -> None:
        """Create the folders; only their user can read them."""
        for folder in (self.folder, self.state, self.runs, self.layers, self.airflow_home):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        ignored = self.folder.parent / ".gitignore"  # else git calls the work tree dirty
        if not ignored.exists():
            ignored.write_text("*\n")
