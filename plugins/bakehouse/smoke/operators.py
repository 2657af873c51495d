"""The operator of the smoke test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.builder_slot import has_slot, take_slot
from bakehouse.bake.candidate import Candidate
from bakehouse.bake.plan import BakePlan
from bakehouse.bake.recipe_source import GIT, RecipeSource
from bakehouse.bake.zone_fallback import ZoneMemory, next_zone
from bakehouse.cloud.events import MachineSettled, OperationEnded
from bakehouse.core.errors import PermanentError, TransientError, ZoneUnavailable
from bakehouse.core.time import format_utc
from bakehouse.images import labels
from bakehouse.images.labels import run_filter
from bakehouse.images.links import labels_of, zone_of
from bakehouse.lease.events import SlotTaken
from bakehouse.operators.base import BakehouseOperator
from bakehouse.operators.links import ImageLink, MachineLink, SerialLink
from bakehouse.operators.reconcile import (
    Again,
    Done,
    Next,
    Wait,
    WaitFor,
    WaitForOperation,
    resumed_by,
    wait_for,
)
from bakehouse.smoke import machine
from bakehouse.smoke.evaluation import SmokeResult, evaluate_smoke_test

if TYPE_CHECKING:
    from airflow.sdk import Context


AFTER_THE_DEADLINE = timedelta(minutes=15)  # the trigger ends by itself; this is the backstop


class SmokeMemory(ZoneMemory):
    """The memory of smoke_test: the VM that it waits for."""

    vm: BuilderVm | None = None


class SmokeTest(BakehouseOperator):
    """Boots a VM from the candidate, reports each check, deletes the VM -> SmokeResult.

    A failed candidate is labelled and fails the run; only a lost VM is retried.
    """

    operator_extra_links = (MachineLink(), SerialLink(), ImageLink())

    Memory = SmokeMemory
    memory: SmokeMemory
    try_costs_a_machine = True

    def __init__(self, *, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.git_conn_id = git_conn_id

    def reconcile(self, context: Context) -> Next:
        """Create the VM unless it exists, and wait for its report."""
        plan = self.received(context, "plan_bake", BakePlan)
        if self.memory.concluded:
            return self._reject(plan)
        candidate = self.received(context, "create_image", Candidate)
        vm = self._vm(context, plan)
        self.link_machine(vm.zone, vm.name)
        self.link_image(candidate.name, kind=plan.kind)
        if self.compute.instance(vm.zone, vm.name) is None:
            self._delete_others(context, plan, vm)
            wait = take_slot(self, context, plan) or self._boot(context, plan, candidate, vm)
            if wait is not None:
                return wait
        return self._until_reported(plan, vm)

    @resumed_by(SlotTaken)
    def slot_taken(self, context: Context, event: SlotTaken) -> Next:
        """Continue after the wait for a builder slot."""
        return has_slot(event, self.received(context, "plan_bake", BakePlan))

    def recover(self, context: Context, error: ZoneUnavailable) -> Again:
        """Use the next zone within this try."""
        return next_zone(self, self.received(context, "plan_bake", BakePlan).zones, error)

    @resumed_by(OperationEnded)
    def created(self, context: Context, event: OperationEnded) -> Next:
        """Wait for the report of the VM that now exists."""
        self.require_success(event)
        plan = self.received(context, "plan_bake", BakePlan)
        return self._until_reported(plan, self._vm(context, plan))

    @resumed_by(MachineSettled)
    def reported(self, context: Context, event: MachineSettled) -> Next:
        """Continue when the VM has reported, or its deadline has passed."""
        plan = self.received(context, "plan_bake", BakePlan)
        vm, observed = self.memory.vm, event.observed
        if vm is None:
            raise TransientError("the smoke VM of this wait is unknown")
        result = evaluate_smoke_test(observed, plan.smoke.boot_time_limit)
        failed = result is not None and not result.ok and not result.says_nothing
        if not (failed and plan.keep_builder):
            self.request_deletion(context, vm.zone, vm.name)
        if result is None or result.says_nothing:
            raise TransientError(result.message if result else f"{observed.name} did not report")
        self._report(context, plan, result)
        if not result.ok:
            message = f"{result.reason.text}: {result.message}"
            self.remember(concluded=observed.with_tail(message))
            return self._reject(plan)
        return Done(result.model_dump(mode="json"))

    def _vm(self, context: Context, plan: BakePlan) -> BuilderVm:
        return machine.smoke_vm(plan, context["ti"].try_number, self.memory.zones_tried)

    def _until_reported(self, plan: BakePlan, vm: BuilderVm) -> WaitFor:
        from bakehouse.smoke.triggers import SmokeTrigger

        self.remember(vm=vm)
        deadline = plan.smoke.deadline
        self.log.info("waiting for the checks of %s, at most %s", vm.name, deadline)
        trigger = SmokeTrigger(
            conn_id=self.gcp_conn_id,
            zone=vm.zone,
            name=vm.name,
            nonce=plan.provenance.nonce(vm.name),
            deadline=(datetime.now(UTC) + deadline).timestamp(),
        )
        return WaitFor(trigger, "reported", deadline + AFTER_THE_DEADLINE)

    def _boot(
        self, context: Context, plan: BakePlan, candidate: Candidate, vm: BuilderVm
    ) -> Wait | None:
        from bakehouse.recipe.render import smoke_metadata

        bundle = RecipeSource(self.git_conn_id).bundle_of(plan)
        metadata = smoke_metadata(bundle.rendered, plan.provenance.nonce(vm.name))
        body = machine.insert_body(plan, candidate, vm, metadata, datetime.now(UTC))
        self.log.info("booting %s in %s from %s", vm.name, vm.zone, candidate.name)
        request = self.request_id(context, f"insert {vm.name}")
        operation = self.compute.insert_instance(vm.zone, body, request)
        return wait_for(operation, f"create {vm.name} in {vm.zone}", "created")

    def _delete_others(self, context: Context, plan: BakePlan, vm: BuilderVm) -> None:
        mine = f"{run_filter(plan.run)} AND labels.{labels.ROLE}={labels.SMOKE}"
        for other in self.compute.instances_everywhere(mine):
            found = BuilderVm(name=str(other["name"]), zone=zone_of(other))
            if found != vm:
                self.request_deletion(context, found.zone, found.name)

    def _report(self, context: Context, plan: BakePlan, result: SmokeResult) -> None:
        from bakehouse.smoke.record import record_verdict

        for check in result.checks:
            (self.log.info if check.ok else self.log.error)("check %s", check)
        if result.ready_seconds is not None:
            self.log.info("ready %.1f s after power-on", result.ready_seconds)
        record_verdict(context, plan, result)
        if not result.ok:
            from bakehouse.smoke.signing import sign_failed

            candidate = self.received(context, "create_image", Candidate)
            sign_failed(plan, candidate, self.compute.project, result, self.gcp_conn_id)

    def _keep(self) -> WaitForOperation | None:
        """Label the VM as failed, as a builder that is kept."""
        vm = self.memory.vm
        found = self.compute.instance(vm.zone, vm.name) if vm else None
        if vm is None or found is None or labels_of(found).get(labels.STATE) == labels.FAILED:
            return None
        until = labels.expires(found)
        when = format_utc(until) if until is not None else "somebody deletes it"
        self.log.warning("%s in %s is kept until %s", vm.name, vm.zone, when)
        operation = self.compute.label_instance(vm.zone, found, {labels.STATE: labels.FAILED})
        return WaitForOperation(operation, f"label {vm.name} {labels.FAILED}")

    def _reject(self, plan: BakePlan) -> WaitForOperation:
        """Label the image as failed, then fail; it stays for `image.keep.failed`.

        One that was promoted before, and is only tested again, keeps its state: taking it out of
        use is a person's decision (the DAG `revoke`).
        """
        if plan.keep_builder and (wait := self._keep()):
            return wait
        image = self.image_client(plan.kind).get(plan.image_name)
        state = labels_of(image or {}).get(labels.STATE)
        if state in labels.FINAL:
            raise PermanentError(f"{plan.image_name} is {state} and fails: {self.memory.concluded}")
        if image is None or state == labels.FAILED:
            raise PermanentError(f"{plan.image_name} is not promoted: {self.memory.concluded}")
        until = datetime.now(UTC) + plan.image.keep.failed
        self.log.info("%s is kept for inspection until %s", plan.image_name, format_utc(until))
        changes = {labels.STATE: labels.FAILED, labels.EXPIRES: labels.expiry(until)}
        operation = self.image_client(plan.kind).label(image, changes)
        return WaitForOperation(operation, f"label {plan.image_name} {labels.FAILED}")
