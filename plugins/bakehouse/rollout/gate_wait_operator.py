"""The base of what replaces a member: its outcome, and the record of its wait for a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history.wait_events import WaitDetail
from bakehouse.operators import waits
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.reconcile import Again
from bakehouse.operators.waits import begin_wait, end_wait
from bakehouse.rollout.fleet_operator import FleetOperator
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.states import REACHED, State
from bakehouse.rollout.strategies.swap import Swap, outcome_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.rollout.second_try import Cause


class GateMemory(HoldMemory):
    """Since when a gate keeps this try from its member, and what it says."""

    closed_first: AwareDatetime | None = None  # of this try: a gate that flaps gains no time
    closed_since: AwareDatetime | None = None
    closed: str = ""
    by_members: bool = False  # not by the member's own gate, but by others that are down


class GateWaitOperator(FleetOperator):
    """Waits for the gate of one member as long as the fleet says.

    Args:
        swap: A Swap as JSON, from `select_members` or `plan_rollback`.
        **kwargs: Of `FleetOperator`.
    """

    Memory = GateMemory
    memory: GateMemory

    def __init__(self, *, swap: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.swap = swap

    def push_outcome(
        self, context: Context, swap: Swap, state: str, why: str, cause: Cause | None = None
    ) -> MemberOutcome:
        """Hand the outcome on to the verdict; a later try replaces it.

        That of a success is the value of the task.
        """
        outcome = outcome_of(swap, state, why, cause)
        if state not in REACHED:
            context["ti"].xcom_push("outcome", outcome.model_dump(mode="json"))
        return outcome

    def wait_for_gate(self, context: Context, swap: Swap, why: str) -> Again:
        """Record that the member waits for a gate, and ask on until the gate's deadline.

        Raises:
            PermanentError: The gate was closed for too long.
        """
        from bakehouse.rollout.record import record_member

        now, known = waits.now(), self.memory
        first, since = known.closed_first or now, known.closed_since or now
        self.remember(closed_first=first, closed_since=since, closed=why)
        detail = WaitDetail(what=self.fleet.name, member=swap.member, since=since, why=why)
        if why != known.closed:
            self.log.warning("waiting since %s: %s", format_utc(since), why)
            begin_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
        gate = self.fleet.gate
        if now >= first + gate.deadline:
            end_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
            told = f"{why}. It has waited since {format_utc(first)}. Hint: {gate.hint}"
            outcome = self.push_outcome(context, swap, State.BLOCKED, told)
            record_member(context, swap, State.BLOCKED, told, None)
            raise PermanentError(in_words(outcome))
        return Again()

    def end_gate_wait(self, context: Context, swap: Swap, why: str) -> None:
        """Record that the member waits no longer, if it has waited."""
        since = self.memory.closed_since
        if since is None:
            return
        self.log.info("waited since %s: %s", format_utc(since), why)
        detail = WaitDetail(what=self.fleet.name, member=swap.member, since=since, why=why)
        end_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
        self.remember(closed="", closed_since=None, by_members=False)


def _image_of(swap: Swap) -> dict[str, str]:
    image = swap.image
    return {"recipe": image.recipe, "image": image.name, "git_sha": image.git_sha}
