"""Evaluate a smoke test from the report of its VM. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bakehouse.bake.shutdown import GuestError
from bakehouse.core.problems import problems_of
from bakehouse.core.reasons import Reason

if TYPE_CHECKING:
    from datetime import timedelta

    from bakehouse.cloud.machine_observation import MachineObservation


class Check(BaseModel):
    """One check of the smoke test."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    ok: bool
    description: str = ""
    hint: str = ""
    detail: str = ""

    def __str__(self) -> str:
        mark = "passed" if self.ok else "FAILED"
        text = ": ".join(part for part in (self.description, self.detail) if part)
        hint = f" (hint: {self.hint})" if self.hint and not self.ok else ""
        return f"{mark}  {self.name}{'  ' + text if text else ''}{hint}"


class Report(BaseModel):
    """The report of the VM, by serial line or guest attribute `smoke`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    result: str
    checks: tuple[Check, ...] = ()
    ready_seconds: float | None = None
    error: Any = Field(default=None)
    note: str = ""  # what else the verdict must say, such as that the machine was simulated


class SmokeResult(BaseModel):
    """The result for one candidate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    message: str
    checks: tuple[Check, ...] = ()
    ready_seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the candidate may be promoted."""
        return self.reason is Reason.SMOKE_PASSED

    @property
    def says_nothing(self) -> bool:
        """Whether the VM was lost, which says nothing about the image."""
        return self.reason in {Reason.VANISHED, Reason.STOPPED_SILENTLY}


def evaluate_smoke_test(
    observed: MachineObservation, boot_time_limit: timedelta
) -> SmokeResult | None:
    """Evaluate the test; None while there is something to wait for."""
    report = _report(observed)
    if report is not None:
        return _of_report(report, boot_time_limit)
    if observed.status is None:
        return SmokeResult(
            reason=Reason.VANISHED,
            message=f"{observed.name} does not exist any more: {_why_gone(observed)}",
        )
    if not observed.alive:
        return SmokeResult(
            reason=Reason.STOPPED_SILENTLY, message=f"{observed.name} is {observed.status}"
        )
    if observed.late:
        return SmokeResult(reason=Reason.SILENT, message=f"{observed.name}: {_silence(observed)}")
    return None


def _of_report(report: Report, limit: timedelta) -> SmokeResult:
    told: dict[str, Any] = {"checks": report.checks, "ready_seconds": report.ready_seconds}
    failed = [check.name for check in report.checks if not check.ok]
    if report.result != "ok" or failed:
        what = f"failed: {', '.join(failed)}" if failed else f"failed: {_text(report.error)}"
        return SmokeResult(reason=Reason.SMOKE_FAILED, message=what, **told)
    ready, most = report.ready_seconds, limit.total_seconds()
    if ready is not None and ready > most:
        message = f"ready after {ready:.0f} s, boot_time_limit is {most:.0f} s"
        return SmokeResult(reason=Reason.BOOT_TOO_SLOW, message=message, **told)
    count = len(report.checks)
    passed = f"{count} check{'' if count == 1 else 's'} passed"
    message = f"{passed}; {report.note}" if report.note else passed
    return SmokeResult(reason=Reason.SMOKE_PASSED, message=message, **told)


def _report(observed: MachineObservation) -> Report | None:
    line = next((said for said in reversed(observed.said) if "result" in said), None)
    attribute = observed.attributes.get("smoke")
    told = line if line is not None else _parsed(attribute) if attribute else None
    if told is None:
        return None
    try:
        return Report.model_validate(told)
    except ValidationError as broken:
        return Report(result="failed", error=f"its report is invalid: {problems_of(broken)}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"result": "failed", "error": f"its report is not JSON: {text[:200]}"}


def _silence(observed: MachineObservation) -> str:
    health = observed.attributes.get("health")
    return f"no result until its deadline, health: {health}" if health else Reason.SILENT.text


def _why_gone(observed: MachineObservation) -> str:
    if not observed.instance_events:
        return Reason.VANISHED.text
    newest = observed.instance_events[0]
    return newest.error or f"{newest.kind} by {newest.by or 'Compute Engine'}"


def _text(error: Any) -> str:
    if isinstance(error, Mapping):
        try:
            return str(GuestError.model_validate(error))
        except ValidationError:
            return ", ".join(f"{key} {value}" for key, value in error.items())
    return str(error or "no check was reported")
