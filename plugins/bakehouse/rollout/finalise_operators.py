"""The operators that finalise the formats of a fleet's data, once a person has approved it.

See docs/decisions/0107-finalising-is-a-dag-of-its-own.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import Field

from bakehouse.core.errors import PermanentError
from bakehouse.images.links import resource_name
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members
from bakehouse.rollout.approval import Decision
from bakehouse.rollout.events import MembersAnswered
from bakehouse.rollout.finalising import (
    Finalisation,
    MemberNow,
    finalisation,
    obstacles,
    unsaid,
)
from bakehouse.rollout.fleet_operator import DECISION, FleetOperator, now
from bakehouse.rollout.health import HEALTHY, explain
from bakehouse.rollout.instance_facts import started
from bakehouse.rollout.orders import Answer, Order
from bakehouse.rollout.params import FinaliseParams

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.fleet.model import Fleet

LIMIT = timedelta(minutes=10)  # of the order
APPROVAL_WITHIN = timedelta(days=1)


class FinaliseMemory(HoldMemory):
    """What the members have answered; None: they were not asked yet."""

    answers: dict[str, Answer] | None = None
    silent: dict[str, str] = Field(default={})


class FinalisingOperator(FleetOperator):
    """The base of what looks whether the fleet may be finalised now."""

    Memory = FinaliseMemory
    memory: FinaliseMemory

    def look(self) -> Finalisation | WaitFor:
        """Return what is to be finalised now, or the wait for the members' answers.

        Raises:
            PermanentError: Something speaks against it.
        """
        every, missing = self._members()
        soak = self.fleet.soak or timedelta(0)
        self._refuse(obstacles(every, missing, soak, now()))
        if self.memory.answers is None:
            return self._ask(Order.GATE, {member.name: member.zone for member in every})
        said = {name: answer.formats for name, answer in self.memory.answers.items()}
        self._refuse(unsaid(said, self.memory.silent))
        return finalisation(self.fleet.name, every[0], said, self._reads(every[0].image))

    @resumed_by(MembersAnswered)
    def answered(self, context: Context, event: MembersAnswered) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Continue with what the members say."""
        self.remember(answers=event.answers, silent=event.silent)
        return Again()

    def _members(self) -> tuple[list[MemberNow], list[str]]:
        found, missing = members.instances(self.compute, self.fleet.members)
        every: list[MemberNow] = []
        for instance, member in zip(found, members.fleet_members(self.compute, found), strict=True):
            health = members.health(self.compute, member.zone, member.name)
            is_well = health is not None and health.state == HEALTHY
            boot = member.boot
            every.append(
                MemberNow(
                    name=member.name,
                    zone=member.zone,
                    status=member.status,
                    image=resource_name(boot.image) if boot is not None else "",
                    image_id=boot.image_id if boot is not None else "",
                    started=started(instance),
                    ill="" if is_well else explain(health, health.image if health else "", None),
                )
            )
        return every, missing

    def _ask(
        self, order: Order, zones: dict[str, str], then: str = "answered", once: str = ""
    ) -> WaitFor:
        from bakehouse.rollout.ask_trigger import AskMembersTrigger, time_limit
        from bakehouse.rollout.handover import GATE_LIMIT

        limit = LIMIT.total_seconds() if order is Order.FINALISE else GATE_LIMIT
        trigger = AskMembersTrigger(
            members=zones, conn_id=self.gcp_conn_id, order=order.value, limit=limit, once=once
        )
        return WaitFor(trigger, then, time_limit(len(zones), limit))

    def _reads(self, image: str) -> Any:
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.planning import reads_of

        return reads_of(ledger_url(), image)

    def _refuse(self, wrong: list[str]) -> None:
        if wrong:
            raise PermanentError(
                f"the data of {self.fleet.name} are not finalised: {'; '.join(wrong)}. Nothing was"
                f" changed: trigger finalise__{self.fleet.name} again when it is so no more"
            )


class CheckFleet(FinalisingOperator):
    """Looks whether the whole fleet has soaked on one image, and what there is to finalise."""

    def reconcile(self, context: Context) -> Next:
        """Look, and skip the run if there is nothing to finalise."""
        self.params_of(context, FinaliseParams)
        found = self.look()
        if isinstance(found, WaitFor):
            return found
        if not found.formats:
            has = ", ".join(f"{name} {version}" for name, version in sorted(found.has.items()))
            raise AirflowSkipException(
                f"nothing to finalise: the data have what {found.image} can write ({has})"
            )
        self.log.info("%s: %s", found.image, found.in_words())
        return Done(found.model_dump(mode="json"))


class ApproveFinalise(FleetOperator, ApprovalOperator):
    """Asks in Airflow (Required Actions) whether the data are finalised: nothing goes back then."""

    def __init__(self, *, fleet: Fleet, **kwargs: Any) -> None:
        timeout = fleet.approval.timeout if fleet.approval else APPROVAL_WITHIN
        super().__init__(
            fleet=fleet,
            subject=f"{fleet.name}: finalise its data?",
            body="",
            fail_on_reject=True,
            response_timeout=timeout,
            **kwargs,
        )

    def reconcile(self, context: Context) -> Next:
        """Ask."""
        found = self.received(context, "check_fleet", Finalisation)
        self.subject = f"{found.fleet}: finalise {found.in_words()}?"
        self.body = (
            f"The whole fleet runs **{found.image}** and has soaked. **Approve** gives its data the"
            f" formats {found.in_words()}. There is no way back from that: images that cannot read"
            " them cannot be rolled out any more. **Reject** changes nothing."
        )
        self.log.info("%s\n%s", self.subject, self.body)
        self.notify(context, NotificationEvent.APPROVAL, "waits for an approval", self.subject)
        ApprovalOperator.execute(self, context)
        raise AssertionError("Airflow's operator parks the task")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Next:
        """Go on after an approval.

        Raises:
            PermanentError: It was rejected, or nobody answered in time.
        """
        try:
            answer = super().execute_complete(context, event)
        except HITLRejectException:
            self._end(f"{_name(event) or 'somebody'} has rejected it")
        except HITLTimeoutError:
            self._end("nobody has approved it in time")
        decision = Decision(stage=0, decision="approved", by=_name(answer))
        context["ti"].xcom_push(key=DECISION, value=decision.model_dump(mode="json"))
        self.log.info("approved by %s", decision.by or "somebody")
        return Done(decision.model_dump(mode="json"))

    def _end(self, why: str) -> NoReturn:
        raise PermanentError(f"the data of {self.fleet.name} are not finalised: {why}")


class FinaliseData(FinalisingOperator):
    """Gives one member the order to finalise, if all is still as it was approved."""

    def reconcile(self, context: Context) -> Next:
        """Look again, wait while a freeze holds the fleet, and give the order."""
        self.check_lease(context)
        wait = self.wait_while_held(
            context,
            self.fleet.name,
            windows=self.fleet.windows,
            at_most=self.fleet.held_at_most,
        )
        if wait is not None:
            self.remember(answers=None)  # what they say is older than the wait
            return wait
        found = self.look()
        if isinstance(found, WaitFor):
            return found
        approved = self.received(context, "check_fleet", Finalisation)
        if found.image_id != approved.image_id:
            self._refuse(
                [f"it was approved for {approved.image}, and the fleet runs {found.image} by now"]
            )
        if not found.formats:
            return self._record(context, found, Answer("", "", "", "ok"), "nobody")
        every, _ = self._members()
        leaders = {name for name, a in (self.memory.answers or {}).items() if a.leader}
        member = next((m for m in every if m.name in leaders), every[0])
        self.log.info("%s gets the order to finalise %s", member.name, found.in_words())
        once = f"{self.run_of(context)} {context['ti'].try_number}"
        return self._ask(Order.FINALISE, {member.name: member.zone}, "finalised", once)

    @resumed_by(MembersAnswered)
    def finalised(self, context: Context, event: MembersAnswered) -> Next:
        """Record what was finalised; fail if the member has not done it."""
        found = self.received(context, "check_fleet", Finalisation)
        for name, answer in event.answers.items():
            return self._record(context, found, answer, name)
        why = "; ".join(f"{name}: {text}" for name, text in event.silent.items())
        raise PermanentError(
            f"whether the data of {self.fleet.name} are finalised is not known: {why}. Trigger"
            f" finalise__{self.fleet.name} again: it says what the data have"
        )

    def _record(self, context: Context, found: Finalisation, answer: Answer, member: str) -> Done:
        from bakehouse.rollout.record_decisions import record_finalised

        told = context["ti"].xcom_pull(task_ids="approve_finalise", key=DECISION) or {}
        form = self.params_of(context, FinaliseParams)
        record_finalised(
            context,
            found,
            recipe=self.fleet.recipe,
            member=member,
            answer=answer,
            by=str(told.get("by", "")),
            why=form.why,
        )
        if not answer.is_ok or answer.state == "none":
            raise PermanentError(
                f"finalise of {member} has failed: {answer.line or answer.state}. The fleet runs"
                " on; see the answer in the log, and /usr/lib/bakehouse/finalise on the member"
            )
        self.log.info("%s: %s; %s", member, answer.line or "done", answer.formats or "")
        return Done({"image": found.image, "formats": answer.formats or found.has})


def _name(event: Any) -> str:
    by = event.get("responded_by_user") or {} if isinstance(event, dict) else {}
    user = by if isinstance(by, dict) else vars(by)
    return str(user.get("name") or user.get("id") or "")
