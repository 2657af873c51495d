"""The builder's life: made, waited for while it installs, and deleted whatever happens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from bakehouse.bake import builder
from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.builder_slot import BuilderSlotOperator
from bakehouse.bake.candidate import Built
from bakehouse.bake.need import content_lease
from bakehouse.bake.package_snapshot import archive_url
from bakehouse.bake.packages import kernel_of, manifest_of
from bakehouse.bake.plan import BakePlan
from bakehouse.bake.recipe_source import RecipeSource
from bakehouse.bake.shutdown import Shutdown, classify_shutdown
from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.core.errors import PermanentError, TransientError, ZoneUnavailable
from bakehouse.images import labels
from bakehouse.images.labels import run_filter
from bakehouse.images.links import zone_of
from bakehouse.lease import builder_slots as builders
from bakehouse.operators.base import BakehouseOperator, format_utc
from bakehouse.operators.links import MachineLink, SerialLink

if TYPE_CHECKING:
    from airflow.sdk import Context

AFTER_THE_DEADLINE = timedelta(minutes=15)  # the trigger ends by itself; this is the backstop


class BuilderOperator(BuilderSlotOperator):
    """A step that may have to make a builder."""

    operator_extra_links = (MachineLink(), SerialLink())

    def ensure_builder(
        self, context: Context, plan: BakePlan, attempt: str, given: str | None = None
    ) -> BuilderVm:
        """The builder of this attempt: the run's others are deleted, it is made if absent.

        `given` is the zone of the one that create_builder has made.
        """
        vm = builder.builder_at(plan, attempt, self.zones_tried, given)
        self.shows_machine(vm.zone, vm.name)
        found = self.compute.instance(vm.zone, vm.name)
        if found is None:
            self._delete_others(context, plan, vm)
            self.take_slot(context, plan)
            self._insert(context, plan, vm)
            found = self.compute.instance(vm.zone, vm.name)
        if found is None:
            raise TransientError(f"{vm.name} was created and is gone again")
        created = str(found["creationTimestamp"])
        self.log.info("builder %s (id %s) is %s", vm.name, found["id"], found["status"])
        return vm.model_copy(update={"id": str(found["id"]), "created": created})

    def _insert(self, context: Context, plan: BakePlan, vm: BuilderVm) -> None:
        body = self._insert_body(plan, vm)
        request = self.request_id(context, f"insert {vm.name}")
        self.log.info("creating builder %s in %s from %s", *_told(vm, plan))
        operation = self.compute.insert_instance(vm.zone, body, request)
        self.await_operation(operation, f"create {vm.name} in {vm.zone}")

    def _insert_body(self, plan: BakePlan, vm: BuilderVm) -> dict[str, Any]:
        from bakehouse.recipe.facts import BaseFacts, ImageFacts
        from bakehouse.recipe.render import builder_metadata

        rendered = RecipeSource(self.git_conn_id).bundle_of(plan).rendered
        observed = ImageFacts(
            recipe=plan.recipe,
            image=plan.image_name,
            git_sha=plan.commit.sha,
            content_key=plan.content_key,
            base_image=BaseFacts(name=plan.base_image.name, id=plan.base_image.id),
            vars=dict(rendered.vars),
            services=rendered.services,
            run=plan.run,
        )
        try:
            url = archive_url() if plan.snapshot else ""
            metadata = builder_metadata(rendered, observed, plan.provenance.nonce(vm.name), url)
        except ValueError as too_big:
            raise PermanentError(str(too_big)) from too_big
        return builder.insert_body(plan, vm, metadata, datetime.now(UTC))

    def _delete_others(self, context: Context, plan: BakePlan, vm: BuilderVm) -> None:
        """A dead builder must neither be waited for, nor become an image, nor run beside this."""
        mine = f"{run_filter(plan.run)} AND labels.{labels.ROLE}={labels.BUILDER}"
        for other in self.compute.instances_everywhere(mine):
            name, zone = str(other["name"]), zone_of(other)
            if labels.is_runs_own(other) and (name, zone) != (vm.name, vm.zone):
                self.log.info("deleting %s in %s, of an earlier try", name, zone)
                request = self.request_id(context, f"delete {name} in {zone}")
                gone = self.compute.delete_instance(zone, name, request)
                self.await_operation(gone, f"delete {name} in {zone}")


class CreateBuilder(BuilderOperator):
    """Makes the builder of this try -> BuilderVm."""

    def act(self, context: Context) -> dict[str, Any]:
        plan = self.received(context, "plan_bake", BakePlan)
        vm = self.ensure_builder(context, plan, str(context["ti"].try_number))
        return vm.model_dump(mode="json")


class WaitForShutdown(BuilderOperator, BaseSensorOperator):
    """Senses that the builder has powered off, and judges how -> Built.

    At the first try since it was cleared it waits for the builder of create_builder, if that still
    stands; in any other case for one that it makes itself.
    """

    def execute(self, context: Context) -> Any:
        """Not the sensor's poking: it waits in a trigger."""
        return BakehouseOperator.execute(self, context)

    def act(self, context: Context) -> Any:
        from bakehouse.bake.triggers import ShutdownTrigger

        plan = self.received(context, "plan_bake", BakePlan)
        vm = self._builder(context, plan)
        until = datetime.fromisoformat(vm.created) + plan.patience
        self.log.info("waiting until %s is off, at most until %s", vm.name, format_utc(until))
        trigger = ShutdownTrigger(
            conn_id=self.gcp_conn_id,
            zone=vm.zone,
            name=vm.name,
            nonce=plan.provenance.nonce(vm.name),
            deadline=until.timestamp(),
        )
        backstop = plan.patience + AFTER_THE_DEADLINE
        self.wait_for(trigger, "at_rest", backstop, vm=vm.model_dump(mode="json"))

    def at_rest(
        self, context: Context, event: dict[str, Any], vm: dict[str, Any]
    ) -> dict[str, Any]:
        """The builder has come to rest: what its disk is worth."""
        plan = self.received(context, "plan_bake", BakePlan)
        machine, observed = (
            BuilderVm.model_validate(vm),
            MachineObservation.model_validate(event["facts"]),
        )
        self.shows_machine(machine.zone, machine.name)
        verdict = classify_shutdown(observed)
        if verdict is None:
            raise TransientError(f"{machine.name} came to rest, and then it moved again")
        if not verdict.ok:
            self._give_up(context, plan, machine, verdict, observed)
        return self._built(plan, machine, observed).model_dump(mode="json")

    def _builder(self, context: Context, plan: BakePlan) -> BuilderVm:
        ti = context["ti"]
        first = ti.try_number - (ti.max_tries - (self.retries or 0)) <= 1
        told = context["ti"].xcom_pull(task_ids="create_builder")
        given = BuilderVm.model_validate(told) if told else None
        if first and given:
            if builder.adopts(self.compute.instance(given.zone, given.name)):
                return given
            self.log.warning("%s is not there any more, making another", given.name)
        return self.ensure_builder(
            context, plan, f"w{ti.try_number}", given.zone if given else None
        )

    def _give_up(
        self,
        context: Context,
        plan: BakePlan,
        vm: BuilderVm,
        verdict: Shutdown,
        observed: MachineObservation,
    ) -> NoReturn:
        """The error says it all: why, where in which script, and the machine's last lines.

        The ledger has no such lines: nobody knows what an install script prints.
        """
        from bakehouse.bake.ledger_records import record_builder_failed

        self.log.error("%s: %s", verdict.reason.text, verdict.message)
        told = observed.with_tail(f"{verdict.reason.text}: {verdict.message}")
        record_builder_failed(context, plan, vm, verdict)
        if plan.keep_builder and observed.status is not None and not verdict.lost:
            self._keep(plan, vm)
            raise PermanentError(told)
        self.log.info("deleting %s", vm.name)
        self.compute.delete_instance(
            vm.zone, vm.name, self.request_id(context, f"delete {vm.name}")
        )
        raise (PermanentError if verdict.hopeless else _next_try(verdict))(told)

    def _keep(self, plan: BakePlan, vm: BuilderVm) -> None:
        """Marked as failed, so that no later try adopts it."""
        found = self.compute.instance(vm.zone, vm.name)
        if found is not None:
            self.compute.label_instance(vm.zone, found, {labels.STATE: labels.FAILED})
            until = datetime.fromtimestamp(int(found["labels"][labels.EXPIRES]), UTC)
            self.log.warning("%s in %s is kept, until %s", vm.name, vm.zone, format_utc(until))

    def _built(self, plan: BakePlan, vm: BuilderVm, observed: MachineObservation) -> Built:
        from bakehouse.bake.ledger_records import write_sbom
        from bakehouse.history.manifest import digest

        seconds = round((datetime.now(UTC) - datetime.fromisoformat(vm.created)).total_seconds())
        self.log.info("%s installed and powered off, %d s after it was created", vm.name, seconds)
        manifest = manifest_of(observed)
        if manifest is None:
            self.log.warning(
                "its manifest could not be read: nobody will know what is in the image"
            )
            return Built(builder=vm, seconds=seconds)
        packages = manifest.packages
        where = write_sbom(plan, manifest, self.compute.project)
        self.log.info("%d packages, listed in %s", len(packages), where)
        return Built(
            builder=vm,
            seconds=seconds,
            packages=len(packages),
            manifest_digest=digest(packages),
            kernel=kernel_of(manifest),
        )


class DeleteBuilder(BakehouseOperator):
    """The teardown: every machine and disk that carries the run's label, of whatever try; then
    the run's slot among the builders, and its hold on the content that it baked.

    A builder that failed stays until it expires when the recipe or the form asks for it.
    """

    def act(self, context: Context) -> None:
        plan = self.received(context, "plan_bake", BakePlan)
        mine = run_filter(plan.run)
        kept = self._kept(context, plan)
        machines = self._machines(mine, kept)
        self._delete_machines(context, machines)
        if machines and (left := self._machines(mine, kept)):  # one that was off is gone by now
            self._wait_until_gone(left)
        for disk in self.compute.disks_everywhere(mine):
            if labels.is_runs_own(disk) and not (kept and is_builder(disk)):
                self._delete_disk(context, zone_of(disk), str(disk["name"]))
        self.log.info("no machine and no disk of run %s is left%s", plan.run, _but(kept))
        self._let_go(context, plan)

    def _machines(self, mine: str, kept: bool) -> dict[str, list[str]]:
        """Those of the run that have to go, by zone."""
        names: dict[str, list[str]] = {}
        for machine in self.compute.instances_everywhere(mine):
            if labels.is_runs_own(machine) and not (kept and is_builder(machine)):
                names.setdefault(zone_of(machine), []).append(str(machine["name"]))
        return names

    def _kept(self, context: Context, plan: BakePlan) -> bool:
        return plan.keep_builder and not context["ti"].xcom_pull(task_ids="wait_for_shutdown")

    def _let_go(self, context: Context, plan: BakePlan) -> None:
        for slot in builders.release(context, self.compute.project):
            self.log.info("builders' slot %d is free", slot)
        content_lease(plan).release(builders.owner_of(context), datetime.now(UTC))

    def again(self, context: Context, event: dict[str, Any]) -> None:
        """After waiting: disks are left, or nothing."""
        if event["left"]:
            raise TransientError(f"still there: {', '.join(event['left'])}")
        self.act(context)

    def _delete_machines(self, context: Context, names: dict[str, list[str]]) -> None:
        for zone, machines in names.items():
            for name in machines:
                self.log.info("deleting %s in %s", name, zone)
                self.compute.delete_instance(zone, name, self.request_id(context, f"delete {name}"))

    def _wait_until_gone(self, names: dict[str, list[str]]) -> NoReturn:
        from bakehouse.cloud.triggers import GoneTrigger

        deadline = datetime.now(UTC) + timedelta(minutes=10)
        trigger = GoneTrigger(
            conn_id=self.gcp_conn_id, machines=names, deadline=deadline.timestamp()
        )
        self.wait_for(trigger, "again", timedelta(minutes=20))

    def _delete_disk(self, context: Context, zone: str, name: str) -> None:
        self.log.info("deleting disk %s in %s", name, zone)
        request = self.request_id(context, f"delete disk {name}")
        self.await_operation(self.compute.delete_disk(zone, name, request), f"delete disk {name}")


def is_builder(resource: Mapping[str, Any]) -> bool:
    """A builder, or its disk."""
    return (resource.get("labels") or {}).get(labels.ROLE) == labels.BUILDER


def _but(kept: bool) -> str:
    return ", but for the builder that is kept" if kept else ""


def _next_try(verdict: Shutdown) -> type[TransientError]:
    return ZoneUnavailable if verdict.lost else TransientError


def _told(vm: BuilderVm, plan: BakePlan) -> tuple[str, str, str]:
    return vm.name, vm.zone, plan.base_image.name
