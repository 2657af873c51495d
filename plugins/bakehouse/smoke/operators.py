"""The candidate boots once on a machine of its own and proves itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.builder_slot import BuilderSlotOperator
from bakehouse.bake.candidate import Candidate
from bakehouse.bake.plan import BakePlan
from bakehouse.bake.recipe_source import RecipeSource
from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.images import labels
from bakehouse.images.labels import run_filter
from bakehouse.images.links import zone_of
from bakehouse.operators.base import format_utc
from bakehouse.operators.links import ImageLink, MachineLink, SerialLink
from bakehouse.smoke import machine
from bakehouse.smoke.evaluation import SmokeResult, evaluate_smoke_test

if TYPE_CHECKING:
    from airflow.sdk import Context

AFTER_THE_DEADLINE = timedelta(minutes=15)  # the trigger ends by itself; this is the backstop


class SmokeTest(BuilderSlotOperator):
    """Boots the candidate, reports each check, deletes the machine -> SmokeResult.

    A failed candidate is labelled so and ends the run; only a lost machine is tried again.
    """

    operator_extra_links = (MachineLink(), SerialLink(), ImageLink())

    def act(self, context: Context) -> Any:
        from bakehouse.smoke.triggers import SmokeTrigger

        plan = self.received(context, "plan_bake", BakePlan)
        candidate = self.received(context, "label_image", Candidate)
        vm = machine.smoke_vm(plan, context["ti"].try_number, self.zones_tried)
        nonce = plan.provenance.nonce(vm.name)
        self.shows_machine(vm.zone, vm.name)
        self.shows_image(candidate.name, kind=plan.kind)
        if self.compute.instance(vm.zone, vm.name) is None:
            self._delete_others(context, plan, vm)
            self.take_slot(context, plan)
            self._boot(context, plan, candidate, vm, nonce)
        deadline = plan.smoke.deadline
        self.log.info("waiting for the checks of %s, at most %s", vm.name, deadline)
        trigger = SmokeTrigger(
            conn_id=self.gcp_conn_id,
            zone=vm.zone,
            name=vm.name,
            nonce=nonce,
            deadline=(datetime.now(UTC) + deadline).timestamp(),
        )
        limit = plan.smoke.boot_time_limit.total_seconds()
        backstop = deadline + AFTER_THE_DEADLINE
        self.wait_for(
            trigger, "reported", backstop, vm=vm.model_dump(mode="json"), boot_time_limit=limit
        )

    def reported(
        self, context: Context, event: dict[str, Any], vm: dict[str, Any], boot_time_limit: float
    ) -> dict[str, Any]:
        """The machine has said what there is to say."""
        plan = self.received(context, "plan_bake", BakePlan)
        smoke_machine, observed = (
            BuilderVm.model_validate(vm),
            MachineObservation.model_validate(event["facts"]),
        )
        verdict = evaluate_smoke_test(observed, timedelta(seconds=boot_time_limit))
        self._delete(context, smoke_machine)
        if verdict is None or verdict.says_nothing:
            raise TransientError(verdict.message if verdict else f"{observed.name} said nothing")
        self._report(context, plan, verdict)
        if not verdict.ok:
            self._reject(context, plan, verdict, observed)
        return verdict.model_dump(mode="json")

    def _boot(
        self, context: Context, plan: BakePlan, candidate: Candidate, vm: BuilderVm, nonce: str
    ) -> None:
        from bakehouse.recipe.render import smoke_metadata

        bundle = RecipeSource(self.git_conn_id).bundle_of(plan)
        metadata = smoke_metadata(bundle.rendered, nonce)
        body = machine.insert_body(plan, candidate, vm, metadata, datetime.now(UTC))
        self.log.info("booting %s in %s from %s", vm.name, vm.zone, candidate.name)
        request = self.request_id(context, f"insert {vm.name}")
        operation = self.compute.insert_instance(vm.zone, body, request)
        self.await_operation(operation, f"create {vm.name} in {vm.zone}")

    def _delete_others(self, context: Context, plan: BakePlan, vm: BuilderVm) -> None:
        mine = f"{run_filter(plan.run)} AND labels.{labels.ROLE}={labels.SMOKE}"
        for other in self.compute.instances_everywhere(mine):
            found = BuilderVm(name=str(other["name"]), zone=zone_of(other))
            if found != vm:
                self._delete(context, found)

    def _delete(self, context: Context, vm: BuilderVm) -> None:
        """BakeParams for here; delete_builder makes sure."""
        self.log.info("deleting %s in %s", vm.name, vm.zone)
        request = self.request_id(context, f"delete {vm.name}")
        self.compute.delete_instance(vm.zone, vm.name, request)

    def _report(self, context: Context, plan: BakePlan, verdict: SmokeResult) -> None:
        from bakehouse.smoke.record import record_verdict

        for check in verdict.checks:
            (self.log.info if check.ok else self.log.error)("check %s", check)
        if verdict.ready_seconds is not None:
            self.log.info("ready %.1f s after power on", verdict.ready_seconds)
        record_verdict(context, plan, verdict)

    def _reject(
        self, context: Context, plan: BakePlan, verdict: SmokeResult, observed: MachineObservation
    ) -> NoReturn:
        """The image stays for its keep time, marked: never promoted, never newest of a family.

        One that was promoted before, and is only tested again, keeps its state: taking it out of
        use is a person's decision (the DAG `revoke`).
        """
        image = self.made(plan.kind).get(plan.image_name)
        state = ((image or {}).get("labels") or {}).get(labels.STATE)
        if state in labels.FINAL:
            said = f"{plan.image_name} is {state} and fails now: {verdict.message}"
            raise PermanentError(observed.with_tail(said))
        if image is not None:
            until = datetime.now(UTC) + plan.image.keep.failed
            expires = str(int(until.timestamp()))
            changes = {labels.STATE: labels.FAILED, labels.EXPIRES: expires}
            self.made(plan.kind).label(image, changes)
            self.log.info("%s stays for a look until %s", plan.image_name, format_utc(until))
        said = f"{plan.image_name} is not promoted: {verdict.reason.text}: {verdict.message}"
        raise PermanentError(observed.with_tail(said))
