"""The operators of the builder: create it, wait until it has powered off, delete it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from bakehouse.bake import builder
from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.builder_slot import has_slot
from bakehouse.bake.candidate import Built
from bakehouse.bake.ensure_builder import EnsureBuilder
from bakehouse.bake.need import content_lease
from bakehouse.bake.packages import kernel_of, manifest_of
from bakehouse.bake.plan import BakePlan
from bakehouse.bake.recipe_source import GIT
from bakehouse.bake.shutdown import Shutdown, classify_shutdown
from bakehouse.bake.zone_fallback import ZoneMemory, next_zone
from bakehouse.cloud.events import MachineSettled
from bakehouse.core.errors import PermanentError, TransientError, ZoneUnavailable
from bakehouse.core.time import format_utc, parse_timestamp
from bakehouse.images import labels
from bakehouse.images.labels import run_filter
from bakehouse.images.links import labels_of, zone_of
from bakehouse.lease import builder_slots
from bakehouse.lease.events import SlotTaken
from bakehouse.operators.base import BakehouseOperator
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import (
    Again,
    Done,
    Next,
    Wait,
    WaitFor,
    WaitForOperation,
    resumed_by,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow.sdk import Context

    from bakehouse.cloud.calls import Resource
    from bakehouse.cloud.machine_observation import MachineObservation
    from bakehouse.operators.reconcile import Ask

AFTER_THE_DEADLINE = timedelta(minutes=15)  # the trigger ends by itself; this is the backstop


class CreateBuilder(BakehouseOperator):
    """Creates the builder of this try -> BuilderVm."""

    operator_extra_links = (MachineLink(), SerialLink())
    Memory = ZoneMemory
    memory: ZoneMemory
    try_costs_a_machine = True

    def __init__(self, *, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.git_conn_id = git_conn_id

    def reconcile(self, context: Context) -> Next:
        """Create the builder unless it exists."""
        plan = self.received(context, "plan_bake", BakePlan)
        attempt = str(context["ti"].try_number)
        wanted = builder.builder_at(plan, attempt, self.memory.zones_tried)
        found = EnsureBuilder(self, self.git_conn_id)(context, plan, wanted)
        return Done(found.model_dump(mode="json")) if isinstance(found, BuilderVm) else found

    @resumed_by(SlotTaken)
    def slot_taken(self, context: Context, event: SlotTaken) -> Next:
        """Continue after the wait for a builder slot."""
        return has_slot(event, self.received(context, "plan_bake", BakePlan))

    def recover(self, context: Context, error: ZoneUnavailable) -> Again:
        """The next zone within this try."""
        return next_zone(self, self.received(context, "plan_bake", BakePlan).zones, error)


class ShutdownMemory(ZoneMemory):
    """What wait_for_shutdown remembers: the builder that it waits for."""

    vm: BuilderVm | None = None


class WaitForShutdown(BakehouseOperator, BaseSensorOperator):
    """Waits until the builder has powered off, and classifies the result -> Built.

    The first try after a clear waits for the builder of create_builder, if it still exists. Any
    other try creates a builder of its own.
    """

    operator_extra_links = (MachineLink(), SerialLink())
    Memory = ShutdownMemory
    memory: ShutdownMemory
    try_costs_a_machine = True

    def __init__(self, *, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.git_conn_id = git_conn_id

    def execute(self, context: Context) -> Any:
        """Reconcile instead of poking: the task waits in a trigger."""
        return BakehouseOperator.execute(self, context)

    def reconcile(self, context: Context) -> Next:
        """Wait for the builder; create it if necessary."""
        plan = self.received(context, "plan_bake", BakePlan)
        if self.memory.vm is not None and self.memory.concluded:
            return self._keep(self.memory.vm)
        vm = self._builder(context, plan)
        return self._until_off(plan, vm) if isinstance(vm, BuilderVm) else vm

    @resumed_by(SlotTaken)
    def slot_taken(self, context: Context, event: SlotTaken) -> Next:
        """Continue after the wait for a builder slot."""
        return has_slot(event, self.received(context, "plan_bake", BakePlan))

    def recover(self, context: Context, error: ZoneUnavailable) -> Again:
        """The next zone within this try, unless a builder was taken away."""
        return next_zone(self, self.received(context, "plan_bake", BakePlan).zones, error)

    @resumed_by(MachineSettled)
    def settled(self, context: Context, event: MachineSettled) -> Next:
        """Continue when the builder has ended: classify how."""
        plan = self.received(context, "plan_bake", BakePlan)
        vm, observed = self.memory.vm, event.observed
        if vm is None:
            raise TransientError("the builder of this wait is unknown")
        self.link_machine(vm.zone, vm.name)
        shutdown = classify_shutdown(observed)
        if shutdown is None:
            raise TransientError(f"{vm.name} had stopped and is running again")
        if not shutdown.ok:
            return self._give_up(context, plan, vm, shutdown, observed)
        return Done(self._built(plan, vm, observed).model_dump(mode="json"))

    def _until_off(self, plan: BakePlan, vm: BuilderVm) -> WaitFor:
        from bakehouse.bake.triggers import ShutdownTrigger

        self.remember(vm=vm)
        until = parse_timestamp(vm.created) + plan.patience
        self.log.info(
            "waiting until %s has powered off, at most until %s", vm.name, format_utc(until)
        )
        trigger = ShutdownTrigger(
            conn_id=self.gcp_conn_id,
            zone=vm.zone,
            name=vm.name,
            nonce=plan.provenance.nonce(vm.name),
            deadline=until.timestamp(),
        )
        return WaitFor(trigger, "settled", plan.patience + AFTER_THE_DEADLINE)

    def _builder(self, context: Context, plan: BakePlan) -> BuilderVm | Wait:
        ti = context["ti"]
        first = ti.try_number - (ti.max_tries - (self.retries or 0)) <= 1
        told = ti.xcom_pull(task_ids="create_builder")
        given = BuilderVm.model_validate(told) if told else None
        if first and given:
            if builder.adopts(self.compute.instance(given.zone, given.name)):
                return given
            self.log.warning("%s does not exist any more, creating another builder", given.name)
        zone = given.zone if given else None
        wanted = builder.builder_at(plan, f"w{ti.try_number}", self.memory.zones_tried, zone)
        return EnsureBuilder(self, self.git_conn_id)(context, plan, wanted)

    def _give_up(
        self,
        context: Context,
        plan: BakePlan,
        vm: BuilderVm,
        shutdown: Shutdown,
        observed: MachineObservation,
    ) -> WaitForOperation:
        """Raise the error with reason, script, line and the last serial lines.

        A builder that is kept is labelled first.

        The ledger gets no serial lines, since they may contain secrets.
        """
        from bakehouse.bake.ledger_records import record_builder_failed

        self.log.error("%s: %s", shutdown.reason.text, shutdown.message)
        message = observed.with_tail(f"{shutdown.reason.text}: {shutdown.message}")
        record_builder_failed(context, plan, vm, shutdown)
        if plan.keep_builder and observed.status is not None and not shutdown.lost:
            self.remember(concluded=message)
            return self._keep(vm)
        self.request_deletion(context, vm.zone, vm.name)
        if shutdown.hopeless:
            raise PermanentError(message)
        raise (ZoneUnavailable if shutdown.lost else TransientError)(message)

    def _keep(self, vm: BuilderVm) -> WaitForOperation:
        """Label the builder as failed, so that no later try uses it, then fail."""
        found = self.compute.instance(vm.zone, vm.name)
        if found is None or not builder.adopts(found):
            raise PermanentError(self.memory.concluded)
        until = labels.expires(found)
        when = format_utc(until) if until is not None else "somebody deletes it"
        self.log.warning("%s in %s is kept until %s", vm.name, vm.zone, when)
        changes = {labels.STATE: labels.FAILED}
        operation = self.compute.label_instance(vm.zone, found, changes)
        return WaitForOperation(operation, f"label {vm.name} {labels.FAILED}")

    def _built(self, plan: BakePlan, vm: BuilderVm, observed: MachineObservation) -> Built:
        from bakehouse.bake.ledger_records import write_sbom
        from bakehouse.history.manifest import digest
        from bakehouse.history.timeline import in_words, timeline

        seconds = round((datetime.now(UTC) - parse_timestamp(vm.created)).total_seconds())
        self.log.info("%s installed and powered off, %d s after it was created", vm.name, seconds)
        manifest = manifest_of(observed)
        if manifest is None:
            self.log.warning(
                "its manifest could not be read: the packages of the image are unknown"
            )
            return Built(builder=vm, seconds=seconds)
        packages = manifest.packages
        if self._is_signed(plan):
            self.log.warning("%s is promoted: its SBOM stays as it was signed", plan.image_name)
        else:
            where = write_sbom(plan, manifest, self.compute.project)
            self.log.info("%d packages, listed in %s", len(packages), where)
        moments = [parse_timestamp(at) if at else None for at in (observed.power_on, observed.off)]
        steps = timeline(manifest, *moments)
        if steps:
            self.log.info("timeline of %s: %s", vm.name, in_words(steps))
        return Built(
            builder=vm,
            seconds=seconds,
            packages=len(packages),
            manifest_digest=digest(packages),
            kernel=kernel_of(manifest),
            timeline=steps,
        )

    def _is_signed(self, plan: BakePlan) -> bool:
        """Whether the run's image is promoted already, so that a new builder changes nothing of it.

        Compute Engine is asked only where there are statements of the name.
        """
        from bakehouse.history.attestation_store import AttestationStore
        from bakehouse.history.location import ledger_url

        if not AttestationStore(ledger_url()).ids(plan.image_name):
            return False
        image = self.image_client(plan.kind).get(plan.image_name)
        return labels_of(image or {}).get(labels.STATE) in labels.FINAL


_NAMES = {labels.BUILDER: "builder", labels.SMOKE: "smoke machine"}


class DeleteBuilder(BakehouseOperator):
    """The teardown: deletes every VM and disk with the run's label, of all tries.

    Then it releases the run's builder slot and the lease of its content. A builder that failed
    stays until it expires when the recipe or the form asks for it.
    """

    def reconcile(self, context: Context) -> Next:
        """Delete VMs, then disks. A deletion that was refused or has failed is another try's."""
        plan = self.received(context, "plan_bake", BakePlan)
        if self._has_asked_for_nothing(context, plan):
            self.log.info("this run has never asked for a VM, so none is looked for")
            self._release_content(context, plan)
            return Done()
        kept = self._kept(context, plan)  # the role of the VM that failed
        wait = self.carry_out(
            self._machine_deletions(context, plan, kept), self._disk_deletions(context, plan, kept)
        )
        if wait is not None:
            return wait
        but = f", except the {_NAMES[kept]} that is kept" if kept else ""
        self.log.info("no VM and no disk of run %s is left%s", plan.run, but)
        self._release(context, plan)
        return Done()

    def _has_asked_for_nothing(self, context: Context, plan: BakePlan) -> bool:
        """Whether no try of any task of this run can have made a VM: a night's runs without news.

        A run that bakes looks in any case. The plan alone proves nothing: it may be of a clear,
        after which another run has baked the content.
        """
        from bakehouse.history.location import ledger_url
        from bakehouse.history.machine_requests import MachineRequests

        if plan.bake:
            return False
        return MachineRequests(ledger_url()).rule_out(plan.run, context["dag_run"].run_after)

    def _machine_deletions(
        self, context: Context, plan: BakePlan, kept: str | None
    ) -> Iterator[tuple[str, Ask]]:
        found = self.compute.instances_everywhere(run_filter(plan.run))
        return self._deletions(context, found, kept, self.compute.delete_instance, "")

    def _disk_deletions(
        self, context: Context, plan: BakePlan, kept: str | None
    ) -> Iterator[tuple[str, Ask]]:
        """Delete those that no VM took along; they are listed when the VMs are gone."""
        found = self.compute.disks_everywhere(run_filter(plan.run))
        yield from self._deletions(context, found, kept, self.compute.delete_disk, "disk ")

    def _deletions(
        self,
        context: Context,
        found: Iterable[Resource],
        kept: str | None,
        delete: Callable[[str, str, str], Resource | None],
        kind: str,
    ) -> Iterator[tuple[str, Ask]]:
        for resource in found:
            if labels.is_runs_own(resource) and labels_of(resource).get(labels.ROLE) != kept:
                zone, name = zone_of(resource), str(resource["name"])
                self.log.info("deleting %s%s in %s", kind, name, zone)
                request = self.request_id(context, f"delete {kind}{name}")
                yield f"delete {kind}{name} in {zone}", partial(delete, zone, name, request)

    def _kept(self, context: Context, plan: BakePlan) -> str | None:
        """The role of the VM that is kept: of the builder or the smoke test, whichever failed."""
        if not plan.keep_builder:
            return None
        pull = context["ti"].xcom_pull
        if not pull(task_ids="wait_for_shutdown"):
            return labels.BUILDER
        if pull(task_ids="smoke_test"):
            return None
        asked = f"{run_filter(plan.run)} AND labels.{labels.ROLE}={labels.SMOKE}"
        states = [
            labels_of(vm).get(labels.STATE) for vm in self.compute.instances_everywhere(asked)
        ]
        return labels.SMOKE if labels.FAILED in states else None

    def _release(self, context: Context, plan: BakePlan) -> None:
        for slot in builder_slots.release(context, self.compute.project):
            self.log.info("builder slot %d is free", slot)
        self._release_content(context, plan)

    def _release_content(self, context: Context, plan: BakePlan) -> None:
        content_lease(plan).release(builder_slots.owner_of(context), datetime.now(UTC))
