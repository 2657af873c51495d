"""Classify how a builder ended. Pure.

Success must be reported: a VM that stops without the result `ok` has failed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bakehouse.core.reasons import Reason

if TYPE_CHECKING:
    from bakehouse.cloud.machine_observation import MachineObservation
    from bakehouse.cloud.operations import InstanceEvent

STOPPED = frozenset({"TERMINATED", "STOPPED"})
_BY_COMPUTE_ENGINE = {
    "compute.instances.preempted": Reason.PREEMPTED,
    "compute.instances.hostError": Reason.HOST_LOST,
    "compute.instances.terminateOnHostMaintenance": Reason.HOST_LOST,
}
_BY_SOMEBODY = frozenset({"stop", "suspend", "delete"})
_SYSTEM = "system"  # who does what Compute Engine does by itself


class GuestError(BaseModel):
    """Where the install script failed, as the guest reports it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    script: str = "install.sh"
    line: int | None = None
    command: str = ""
    exit_code: int | None = None
    message: str = ""

    def __str__(self) -> str:
        where = f"{self.script} line {self.line}" if self.line else self.script
        what = f": `{self.command}`" if self.command else ""
        how = f" exited with {self.exit_code}" if self.exit_code is not None else ""
        return f"{where}{what}{how}" + (f": {self.message}" if self.message else "")


class Shutdown(BaseModel):
    """The classified end of one builder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    message: str
    error: GuestError | None = None

    @property
    def ok(self) -> bool:
        """Whether its disk may become an image."""
        return self.reason is Reason.FINISHED

    @property
    def hopeless(self) -> bool:
        """Whether another builder would fail in the same way."""
        return self.reason is Reason.INSTALL_FAILED

    @property
    def lost(self) -> bool:
        """Whether the VM was taken away: another zone may have capacity."""
        return self.reason in {Reason.PREEMPTED, Reason.HOST_LOST, Reason.VANISHED}


def classify_shutdown(observed: MachineObservation) -> Shutdown | None:
    """Classify the end; None while there is something to wait for."""
    said = observed.result or observed.attributes.get("result")
    if said == "failed":
        taken = _taken_away(observed)
        if taken is not None:
            return taken  # whatever broke, broke while the machine was being taken away
        error = _error(observed)
        return Shutdown(reason=Reason.INSTALL_FAILED, message=str(error), error=error)
    if said == "ok" and observed.status in STOPPED:
        return Shutdown(
            reason=Reason.FINISHED, message=f"{observed.name} reported ok and powered off"
        )
    if observed.alive:
        return _silent(observed, said) if observed.late else None
    return _lost(observed)


def _silent(observed: MachineObservation, said: str | None) -> Shutdown:
    stage = observed.last("stage") or observed.attributes.get("stage") or "none"
    what = (
        "reported ok but did not power off" if said else f"reported no result (last stage: {stage})"
    )
    return Shutdown(reason=Reason.SILENT, message=f"{observed.name} {what} until its deadline")


def _lost(observed: MachineObservation) -> Shutdown:
    """Classify a VM that stopped without success, by who stopped it."""
    taken = _taken_away(observed)
    if taken is not None:
        return taken
    gone = observed.status is None
    for event in observed.instance_events:
        if event.kind in _BY_SOMEBODY:
            mine = Reason.VANISHED if gone else Reason.STOPPED_BY_SOMEBODY
            over = event.by.split("@")[0] == _SYSTEM
            return _ended(observed, Reason.RUN_TIME_OVER if over else mine, event)
    return _ended(observed, Reason.VANISHED if gone else Reason.STOPPED_SILENTLY)


def _taken_away(observed: MachineObservation) -> Shutdown | None:
    """Whether Compute Engine took the VM away, whatever happened to it afterwards."""
    for event in observed.instance_events:
        if event.kind in _BY_COMPUTE_ENGINE:
            return _ended(observed, _BY_COMPUTE_ENGINE[event.kind], event)
    return None


def _ended(
    observed: MachineObservation, reason: Reason, how: InstanceEvent | None = None
) -> Shutdown:
    ended = "is gone" if observed.status is None else f"is {observed.status}"
    by = f" by {how.by}" if how and how.by else ""
    told = f" ({how.kind}{by})" if how else ""
    return Shutdown(reason=reason, message=f"{observed.name} {ended}{told}")


def _error(observed: MachineObservation) -> GuestError:
    """Return the error of the serial line, else of the guest attribute, else an unknown error."""
    told: Any = observed.last("error")
    if told is None and "error" in observed.attributes:
        try:
            told = json.loads(observed.attributes["error"])
        except ValueError:
            told = {"message": observed.attributes["error"]}
    try:
        return GuestError.model_validate(told or {})
    except ValidationError:
        return GuestError(message=str(told))
