"""How a builder ended, from what is known of it. Pure: facts in, verdict out.

Success must be said: a machine that stops without having said `ok` has failed.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bakehouse.bake.builder import BuilderVm
from bakehouse.cloud.facts import Facts
from bakehouse.cloud.operations import Happening
from bakehouse.reasons import Reason

STOPPED = frozenset({"TERMINATED", "STOPPED"})
_BY_COMPUTE_ENGINE = {
    "compute.instances.preempted": Reason.PREEMPTED,
    "compute.instances.hostError": Reason.HOST_LOST,
    "compute.instances.terminateOnHostMaintenance": Reason.HOST_LOST,
}
_BY_SOMEBODY = frozenset({"stop", "suspend", "delete"})
_SYSTEM = "system"  # who does what Compute Engine does by itself


class GuestError(BaseModel):
    """Where the install script failed, in the guest's own words."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    script: str = "install.sh"
    line: int | None = None
    command: str = ""
    exit_code: int | None = None
    message: str = ""

    def __str__(self) -> str:
        where = self.script if self.line is None else f"{self.script} line {self.line}"
        what = f": `{self.command}`" if self.command else ""
        how = f" exited with {self.exit_code}" if self.exit_code is not None else ""
        return f"{where}{what}{how}" + (f": {self.message}" if self.message else "")


class Shutdown(BaseModel):
    """The verdict over one builder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    message: str
    error: GuestError | None = None

    @property
    def ok(self) -> bool:
        """Its disk may become an image."""
        return self.reason is Reason.FINISHED

    @property
    def hopeless(self) -> bool:
        """Another builder would fail in the same way."""
        return self.reason is Reason.INSTALL_FAILED

    @property
    def lost(self) -> bool:
        """Taken away: another zone may leave it alone."""
        return self.reason in {Reason.PREEMPTED, Reason.HOST_LOST, Reason.VANISHED}


def judge(facts: Facts) -> Shutdown | None:
    """The verdict, or None while there is something to wait for."""
    said = facts.result or facts.attributes.get("result")
    if said == "failed":
        taken = _taken_away(facts)
        if taken is not None:
            return taken  # whatever broke, broke while the machine was being taken away
        error = _error(facts)
        return Shutdown(reason=Reason.INSTALL_FAILED, message=str(error), error=error)
    if said == "ok" and facts.status in STOPPED:
        return Shutdown(reason=Reason.FINISHED, message=f"{facts.name} said ok and powered off")
    if facts.alive:
        return _silent(facts, said) if facts.late else None
    return _lost(facts)


def failed_builder(vm: BuilderVm, verdict: Shutdown) -> dict[str, Any]:
    """What the ledger keeps of a builder that failed."""
    error = verdict.error.model_dump(mode="json") if verdict.error else None
    return {"builder": vm.name, "zone": vm.zone, "message": verdict.message, "error": error}


def _silent(facts: Facts, said: str | None) -> Shutdown:
    stage = facts.last("stage") or facts.attributes.get("stage") or "none"
    what = "said ok but did not power off" if said else f"said no result (last stage: {stage})"
    return Shutdown(reason=Reason.SILENT, message=f"{facts.name} {what} until its deadline")


def _lost(facts: Facts) -> Shutdown:
    """Not running and no success said: who ended it?"""
    taken = _taken_away(facts)
    if taken is not None:
        return taken
    gone = facts.status is None
    for happening in facts.happenings:
        if happening.kind in _BY_SOMEBODY:
            mine = Reason.VANISHED if gone else Reason.STOPPED_BY_SOMEBODY
            over = happening.by.split("@")[0] == _SYSTEM
            return _ended(facts, Reason.RUN_TIME_OVER if over else mine, happening)
    return _ended(facts, Reason.VANISHED if gone else Reason.STOPPED_SILENTLY)


def _taken_away(facts: Facts) -> Shutdown | None:
    """By Compute Engine itself, whatever was done to the machine afterwards."""
    for happening in facts.happenings:
        if happening.kind in _BY_COMPUTE_ENGINE:
            return _ended(facts, _BY_COMPUTE_ENGINE[happening.kind], happening)
    return None


def _ended(facts: Facts, reason: Reason, how: Happening | None = None) -> Shutdown:
    ended = "is gone" if facts.status is None else f"is {facts.status}"
    by = f" by {how.by}" if how and how.by else ""
    told = f" ({how.kind}{by})" if how else ""
    return Shutdown(reason=reason, message=f"{facts.name} {ended}{told}")


def _error(facts: Facts) -> GuestError:
    """The serial line's error, else the attribute's, else that nothing is known."""
    told: Any = facts.last("error")
    if told is None and "error" in facts.attributes:
        try:
            told = json.loads(facts.attributes["error"])
        except ValueError:
            told = {"message": facts.attributes["error"]}
    try:
        return GuestError.model_validate(told or {})
    except ValidationError:
        return GuestError(message=str(told))
