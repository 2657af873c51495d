"""The builder's life: made, waited for while it installs, and deleted whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from bakehouse.bake import builder, labels
from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.candidate import Built
from bakehouse.bake.operators import GitStep
from bakehouse.bake.packages import kernel_of, packages_of
from bakehouse.bake.plan import BakePlan
from bakehouse.bake.shutdown import Shutdown, judge
from bakehouse.cloud.facts import Facts
from bakehouse.cloud.owner import of_run, zone_of
from bakehouse.errors import StopEverything, TryAgain
from bakehouse.step import Step, clock

if TYPE_CHECKING:
    from airflow.sdk import Context

AFTER_THE_DEADLINE = timedelta(minutes=15)  # the trigger ends by itself; this is the backstop


class BuilderStep(GitStep):
    """A step that may have to make a builder."""

    def ensure_builder(self, context: Context, plan: BakePlan, attempt: str) -> BuilderVm:
        """The builder of this attempt: the run's others are deleted, it is made if absent."""
        vm = builder.builder_at(plan, attempt)
        self.resource_page = self.compute.instance_page(vm.zone, vm.name)
        found = self.compute.instance(vm.zone, vm.name)
        if found is None:
            self._delete_others(context, plan, vm)
            body = self._insert_body(plan, vm)
            request = self.request_id(context, f"insert {vm.name}")
            self.log.info("creating builder %s in %s from %s", *_told(vm, plan))
            operation = self.compute.insert_instance(vm.zone, body, request)
            self.await_operation(operation, f"create {vm.name} in {vm.zone}")
            found = self.compute.instance(vm.zone, vm.name)
        if found is None:
            raise TryAgain(f"{vm.name} was created and is gone again")
        created = str(found["creationTimestamp"])
        self.log.info("builder %s (id %s) is %s", vm.name, found["id"], found["status"])
        return vm.model_copy(update={"id": str(found["id"]), "created": created})

    def _insert_body(self, plan: BakePlan, vm: BuilderVm) -> dict[str, Any]:
        from bakehouse.recipe.facts import BaseFacts, ImageFacts
        from bakehouse.recipe.render import builder_metadata

        rendered = self.rendered(plan)
        facts = ImageFacts(
            recipe=plan.recipe,
            image=plan.image_name,
            git_sha=plan.commit.sha,
            content_key=plan.content_key,
            base_image=BaseFacts(name=plan.base_image.name, id=plan.base_image.id),
            vars=rendered.recipe.vars,
            services=rendered.recipe.services,
            run=plan.run,
        )
        try:
            metadata = builder_metadata(rendered, facts, labels.nonce(plan, vm.name))
        except ValueError as too_big:
            raise StopEverything(str(too_big)) from too_big
        return builder.insert_body(plan, rendered.recipe, vm, metadata, datetime.now(UTC))

    def _delete_others(self, context: Context, plan: BakePlan, vm: BuilderVm) -> None:
        """A dead builder must neither be waited for nor become an image."""
        mine = f"{of_run(plan.run)} AND labels.{labels.ROLE}={labels.BUILDER}"
        for other in self.compute.instances_everywhere(mine):
            if other["name"] != vm.name:
                zone = zone_of(other)
                self.log.info("deleting %s in %s, of an earlier try", other["name"], zone)
                request = self.request_id(context, f"delete {other['name']}")
                self.compute.delete_instance(zone, str(other["name"]), request)


class CreateBuilder(BuilderStep):
    """Makes the builder of this try -> BuilderVm."""

    def act(self, context: Context) -> dict[str, Any]:
        plan = self.received(context, "plan_bake", BakePlan)
        vm = self.ensure_builder(context, plan, str(context["ti"].try_number))
        return vm.model_dump(mode="json")


class WaitForShutdown(BuilderStep, BaseSensorOperator):
    """Senses that the builder has powered off, and judges how -> Built.

    At the first try since it was cleared it waits for the builder of create_builder, if that still
    stands; in any other case for one that it makes itself.
    """

    def execute(self, context: Context) -> Any:
        """Not the sensor's poking: it waits in a trigger."""
        return Step.execute(self, context)

    def act(self, context: Context) -> Any:
        from bakehouse.bake.triggers import ShutdownTrigger

        plan = self.received(context, "plan_bake", BakePlan)
        vm = self._builder(context, plan)
        until = datetime.fromisoformat(vm.created) + plan.patience
        self.log.info("waiting until %s is off, at most until %s", vm.name, clock(until))
        trigger = ShutdownTrigger(
            conn_id=self.gcp_conn_id,
            zone=vm.zone,
            name=vm.name,
            nonce=labels.nonce(plan, vm.name),
            deadline=until.timestamp(),
        )
        backstop = plan.patience + AFTER_THE_DEADLINE
        self.wait_for(trigger, "at_rest", backstop, vm=vm.model_dump(mode="json"))

    def at_rest(
        self, context: Context, event: dict[str, Any], vm: dict[str, Any]
    ) -> dict[str, Any]:
        """The builder has come to rest: what its disk is worth."""
        plan = self.received(context, "plan_bake", BakePlan)
        machine, facts = BuilderVm.model_validate(vm), Facts.model_validate(event["facts"])
        self.resource_page = self.compute.instance_page(machine.zone, machine.name)
        verdict = judge(facts)
        if verdict is None:
            raise TryAgain(f"{machine.name} came to rest, and then it moved again")
        if not verdict.ok:
            self._give_up(context, machine, verdict, facts)
        return self._built(plan, machine, facts).model_dump(mode="json")

    def _builder(self, context: Context, plan: BakePlan) -> BuilderVm:
        ti = context["ti"]
        first = ti.try_number - (ti.max_tries - (self.retries or 0)) <= 1
        given = context["ti"].xcom_pull(task_ids="create_builder")
        if first and given is not None:
            vm = BuilderVm.model_validate(given)
            if builder.adopts(self.compute.instance(vm.zone, vm.name)):
                return vm
            self.log.warning("%s is not there any more, making another", vm.name)
        return self.ensure_builder(context, plan, f"w{ti.try_number}")

    def _give_up(self, context: Context, vm: BuilderVm, verdict: Shutdown, facts: Facts) -> None:
        for line in facts.tail:
            self.log.error("%s", line)
        self.log.error("%s: %s", verdict.reason.text, verdict.message)
        self.log.info("deleting %s", vm.name)
        self.compute.delete_instance(
            vm.zone, vm.name, self.request_id(context, f"delete {vm.name}")
        )
        what = f"{verdict.reason.text}: {verdict.message}"
        raise (StopEverything if verdict.hopeless else TryAgain)(what)

    def _built(self, plan: BakePlan, vm: BuilderVm, facts: Facts) -> Built:
        from bakehouse.bake.record import write_manifest
        from bakehouse.history.manifest import digest

        seconds = round((datetime.now(UTC) - datetime.fromisoformat(vm.created)).total_seconds())
        self.log.info("%s installed and powered off, %d s after it was created", vm.name, seconds)
        packages = packages_of(facts)
        if packages is None:
            self.log.warning("its package list could not be read: the image's labels lack it")
            return Built(builder=vm, seconds=seconds)
        where = write_manifest(plan.image_name, packages)
        self.log.info("%d packages, listed in %s", len(packages), where)
        return Built(
            builder=vm,
            seconds=seconds,
            packages=len(packages),
            manifest_digest=digest(packages),
            kernel=kernel_of(packages),
        )


class DeleteBuilder(Step):
    """The teardown: every machine and disk that carries the run's label, of whatever try."""

    def act(self, context: Context) -> None:
        plan = self.received(context, "plan_bake", BakePlan)
        mine = of_run(plan.run)
        names: dict[str, list[str]] = {}
        for machine in self.compute.instances_everywhere(mine):
            names.setdefault(zone_of(machine), []).append(str(machine["name"]))
        if names:
            self._delete_machines(context, names)
        for disk in self.compute.disks_everywhere(mine):
            self._delete_disk(context, zone_of(disk), str(disk["name"]))
        self.log.info("no machine and no disk of run %s is left", plan.run)

    def again(self, context: Context, event: dict[str, Any]) -> None:
        """After waiting: disks are left, or nothing."""
        if event["left"]:
            raise TryAgain(f"still there: {', '.join(event['left'])}")
        self.act(context)

    def _delete_machines(self, context: Context, names: dict[str, list[str]]) -> None:
        from bakehouse.cloud.triggers import GoneTrigger

        for zone, machines in names.items():
            for name in machines:
                self.log.info("deleting %s in %s", name, zone)
                self.compute.delete_instance(zone, name, self.request_id(context, f"delete {name}"))
        deadline = datetime.now(UTC) + timedelta(minutes=10)
        trigger = GoneTrigger(
            conn_id=self.gcp_conn_id, machines=names, deadline=deadline.timestamp()
        )
        self.wait_for(trigger, "again", timedelta(minutes=20))

    def _delete_disk(self, context: Context, zone: str, name: str) -> None:
        self.log.info("deleting disk %s in %s", name, zone)
        request = self.request_id(context, f"delete disk {name}")
        self.await_operation(self.compute.delete_disk(zone, name, request), f"delete disk {name}")


def _told(vm: BuilderVm, plan: BakePlan) -> tuple[str, str, str]:
    return vm.name, vm.zone, plan.base_image.name
