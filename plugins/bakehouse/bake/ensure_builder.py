"""Ensure that the builder of an attempt exists, and no other builder of the run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.bake import builder
from bakehouse.bake.builder_slot import take_slot
from bakehouse.bake.package_snapshot import archive_url
from bakehouse.bake.recipe_source import RecipeSource
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.images import labels
from bakehouse.images.labels import run_filter
from bakehouse.images.links import zone_of
from bakehouse.operators.reconcile import Wait, wait_for

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.bake.builder import BuilderVm
    from bakehouse.bake.plan import BakePlan
    from bakehouse.operators.base import BakehouseOperator


class EnsureBuilder:
    """The first step of create_builder and wait_for_shutdown.

    Args:
        operator: The task, whose log, connection and request ids are used.
        git_conn_id: The connection from which a deleted bundle is rendered again.
    """

    def __init__(self, operator: BakehouseOperator, git_conn_id: str) -> None:
        self.operator, self.git_conn_id = operator, git_conn_id

    def __call__(self, context: Context, plan: BakePlan, vm: BuilderVm) -> BuilderVm | Wait:
        """Return the builder with its id, or what to wait for first.

        Raises:
            TransientError: It was created and does not exist any more.
        """
        operator = self.operator
        operator.link_machine(vm.zone, vm.name)
        found = operator.compute.instance(vm.zone, vm.name)
        if found is None:
            wait = (
                self._delete_others(context, plan, vm)
                or take_slot(operator, context, plan)
                or self._insert(context, plan, vm)
            )
            if wait is not None:
                return wait
            found = operator.compute.instance(vm.zone, vm.name)
        if found is None:
            raise TransientError(f"{vm.name} was created and does not exist any more")
        created = str(found["creationTimestamp"])
        operator.log.info("builder %s (id %s) is %s", vm.name, found["id"], found["status"])
        return vm.model_copy(update={"id": str(found["id"]), "created": created})

    def _insert(self, context: Context, plan: BakePlan, vm: BuilderVm) -> Wait | None:
        operator = self.operator
        base = plan.layer.image if plan.layer else plan.base_image.name
        body = self._insert_body(plan, vm)
        request = operator.request_id(context, f"insert {vm.name}")
        operator.log.info("creating builder %s in %s from %s", vm.name, vm.zone, base)
        operation = operator.compute.insert_instance(vm.zone, body, request)
        return wait_for(operation, f"create {vm.name} in {vm.zone}")

    def _insert_body(self, plan: BakePlan, vm: BuilderVm) -> dict[str, Any]:
        from bakehouse.recipe.facts import BaseFacts, ImageFacts
        from bakehouse.recipe.render import builder_metadata

        rendered = RecipeSource(self.git_conn_id).bundle_of(plan).rendered
        facts = ImageFacts(
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
            metadata = builder_metadata(rendered, facts, plan.provenance.nonce(vm.name), url)
        except ValueError as too_big:
            raise PermanentError(str(too_big)) from too_big
        metadata |= builder.special_metadata(plan)
        return builder.insert_body(plan, vm, metadata, datetime.now(UTC))

    def _delete_others(self, context: Context, plan: BakePlan, vm: BuilderVm) -> Wait | None:
        """Delete the run's other builders."""
        operator = self.operator
        mine = f"{run_filter(plan.run)} AND labels.{labels.ROLE}={labels.BUILDER}"
        for other in operator.compute.instances_everywhere(mine):
            name, zone = str(other["name"]), zone_of(other)
            if labels.is_runs_own(other) and (name, zone) != (vm.name, vm.zone):
                operator.log.info("deleting %s in %s, of an earlier try", name, zone)
                request = operator.request_id(context, f"delete {name} in {zone}")
                gone = operator.compute.delete_instance(zone, name, request)
                wait = operator.unfinished(wait_for(gone, f"delete {name} in {zone}"))
                if wait is not None:
                    return wait
        return None
