"""The base of a rollout's operators: the fleet, the tasks of its group, the fleet's lease."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import PermanentError
from bakehouse.fleet.stages import at_most
from bakehouse.images.names import run_label
from bakehouse.lease.lease import Lease, Owner
from bakehouse.operators.held_operator import HeldOperator
from bakehouse.rollout.approval import Decision, goes_back
from bakehouse.rollout.params import RolloutParams
from bakehouse.rollout.plan import RolloutPlan
from bakehouse.rollout.plan_parts import FleetRules
from bakehouse.rollout.strategies.swap import Swap

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

    from bakehouse.fleet.model import Fleet
    from bakehouse.images.links import Resource
    from bakehouse.notify.models import NotificationEvent
    from bakehouse.operators.reconcile import WaitFor
    from bakehouse.rollout.plan import Target

LEASE_TIME = timedelta(hours=12)  # renewed at each stage; matters only when Airflow forgot the run
STRANDED = "stranded"  # an XCom of plan_rollback: the members that it cannot roll back
STAYS = "stays"  # another: why nothing goes back, although a stage has failed; empty: it does
FAILED_IN_SOAK = "failed_in_soak"  # an XCom of verify_stage: the members that did not stay healthy
DECISION = "decision"  # an XCom of approve_stage: what a person has said, or that nobody has
PROGRESS = "progress"  # of select_members and replace: when the stage began, or has got on
SELECT_MEMBERS, REPLACE = "select_members_{}", "replace_{}"


class FleetOperator(HeldOperator):
    """A task of a rollout of `fleet`."""

    def __init__(self, *, fleet: Fleet, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fleet = fleet

    def near(self, task_id: str) -> str:
        """Return the full id of a task of the same group."""
        group, dot, _ = str(self.task_id).rpartition(".")
        return f"{group}{dot}{task_id}"

    def form(self, context: Context) -> RolloutParams:
        """Return the params of the run, which are another form's at the end of a bake.

        Raises:
            PermanentError: `conf` has unknown keys, or a value is not valid.
        """
        if context["ti"].dag_id.startswith("bake__"):
            return RolloutParams()
        return self.params_of(context, RolloutParams)

    def plan_of(self, context: Context) -> RolloutPlan:
        """Return the XCom of `plan`."""
        return self.received(context, self.near("plan"), RolloutPlan)

    def begun_plan(self, context: Context) -> RolloutPlan:
        """Return the plan, if this run carries it out. Raises AirflowSkipException."""
        made = self.plan_of(context)
        if made.plan_only:
            raise AirflowSkipException("this run only plans (plan_only): nothing is changed")
        return made

    def rules_of(self, made: RolloutPlan) -> FleetRules:
        """Return the rules that the plan has pinned; of an older version's plan the file's."""
        if made.rules is not None:
            return made.rules
        size = max(len(made.reported), len(made.changes))
        return FleetRules(
            stages=self.fleet.stages,
            max_unavailable=at_most(self.fleet.max_unavailable, size),
            on_failure=self.fleet.on_failure,
            halt_after=self.fleet.halt_after,
        )

    def last_stage(self, made: RolloutPlan) -> int:
        """Return the number of stages, of the plan or of the file if that has got more since."""
        return max(len(made.stages), len(self.fleet.stages))

    def picked(self, context: Context, stage: int) -> list[Swap]:
        """Return the XCom of `select_members_<stage>`; empty if the task has not run."""
        found = context["ti"].xcom_pull(task_ids=self.near(SELECT_MEMBERS.format(stage))) or []
        return [Swap.model_validate(swap) for swap in found]

    def holder(self, context: Context) -> Owner:
        """Return this run as the owner of a lease."""
        ti = context["ti"]
        return Owner(dag_id=ti.dag_id, run_id=ti.run_id)

    def run_of(self, context: Context) -> str:
        """Return the run label of this rollout's disks.

        It differs from the bake's, also in the same run: the bake's teardown deletes all resources
        with its label.
        """
        ti = context["ti"]
        return run_label(f"{ti.dag_id}/rollout/{self.fleet.name}", ti.run_id)

    def attested(self) -> Callable[[Resource], str | None]:
        """Return what says why an image is not the one that was signed."""
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.attested import attested_by

        return attested_by(ledger_url(), self.gcp_conn_id, self.log.warning)

    def lease(self) -> Lease:
        """Return the fleet's lease."""
        from bakehouse.history.location import ledger_url
        from bakehouse.lease.store import lease_name, lease_of

        return lease_of(ledger_url(), lease_name(self.fleet.name))

    def check_lease(self, context: Context) -> None:
        """Raise PermanentError if this run does not hold the fleet's lease."""
        if not self.lease().held_by(self.holder(context)):
            acquire = self.near("acquire_lease")
            raise PermanentError(
                f"this run does not hold the fleet's lease: clear {acquire} and downstream"
            )

    def wait_until_allowed(
        self, context: Context, image: Target, member: str = ""
    ) -> WaitFor | None:
        """Return the wait while a freeze holds the fleet, or no window is open; None if neither."""
        known = {"recipe": image.recipe, "image": image.name, "git_sha": image.git_sha}
        return self.wait_while_held(
            context,
            self.fleet.name,
            windows=self.fleet.windows,
            at_most=self.fleet.held_at_most,
            member=member,
            image=known,
        )

    def notify(self, context: Context, occasion: NotificationEvent, title: str, text: str) -> None:
        """Notify the channels of the fleet's file."""
        from bakehouse.notify.send import notify_from_task

        notify_from_task(context, self.fleet.notify, occasion, f"{self.fleet.name}: {title}", text)

    def decisions(self, context: Context) -> list[Decision]:
        """Return what people have said after the stages; one that timed out is in it too."""
        after = self.fleet.approval.after if self.fleet.approval else ()
        tasks = (self.near(f"approve_stage_{stage}") for stage in after)
        told = (context["ti"].xcom_pull(task_ids=task, key=DECISION) for task in tasks)
        return [Decision.model_validate(one) for one in told if one]

    def stays(self, context: Context) -> str:
        """Return why a rollout that has stopped does not go back; empty if it does."""
        said = self.decisions(context)
        on_timeout = self.fleet.approval.on_timeout if self.fleet.approval else "roll_back"
        on_failure = self.rules_of(self.plan_of(context)).on_failure
        if goes_back(said, on_failure, on_timeout):
            return ""
        if said and said[-1].decision == "timed_out":
            return f"{said[-1].in_words()} (on_timeout: halt)"
        return "on_failure: halt"

    def states(self, context: Context, *, own: bool = False) -> dict[str, str | None]:
        """Return the states of this run's tasks, of mapped ones as `<task id>_<map index>`.

        `own`: of this task alone, and its other map indexes.
        """
        ti = context["ti"]
        only = [str(self.task_id)] if own else None
        found = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=only)
        states: dict[str, str | None] = found.get(ti.run_id, {})
        return states


def states_of(states: dict[str, str | None], task_id: str) -> dict[str, str | None]:
    """Filter the states of one task, mapped or not."""
    return {
        name: state
        for name, state in states.items()
        if name == task_id or name.removeprefix(f"{task_id}_").isdigit()
    }


def max_tries(context: Context) -> int:
    """Return how often Airflow tries the task, without its first try."""
    return int(context["ti"].max_tries)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
