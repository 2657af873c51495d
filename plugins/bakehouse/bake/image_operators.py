"""The operators from a stopped disk to a labelled candidate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.bake import candidate
from bakehouse.bake.candidate import Built, Do
from bakehouse.bake.plan import BakePlan
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import labels_of
from bakehouse.operators.base import BakehouseOperator
from bakehouse.operators.links import ImageLink
from bakehouse.operators.reconcile import Again, Done, Next, Wait, WaitForOperation, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context


class CreateImage(BakehouseOperator):
    """Creates a candidate image, without a family, from the stopped disk -> Candidate."""

    operator_extra_links = (ImageLink(),)

    def reconcile(self, context: Context) -> Next:
        """Use the existing image, create it, or replace one of another disk."""
        plan = self.received(context, "plan_bake", BakePlan)
        built = self.received(context, "wait_for_shutdown", Built)
        self.link_image(plan.image_name, kind=plan.kind)
        image = self.image_client(plan.kind).get(plan.image_name)
        source = self._source(plan, built)
        do = candidate.next_step(plan, image, source)
        if do is Do.ADOPT and image is not None:
            return Done(self._made(plan, built, context, image))
        if do is Do.CREATE and source is not None:
            strip = self._strip(context, built, source) if plan.kind == MACHINE_IMAGE else None
            return strip or self._create(context, plan, built, source) or Again()
        if do is Do.REPLACE:
            return self._replace(context, plan) or Again()
        raise _cannot(do, plan, built)

    def _source(self, plan: BakePlan, built: Built) -> Mapping[str, Any] | None:
        """Return the builder's disk, or for a machine image the builder."""
        zone, name = built.builder.zone, built.builder.name
        machine = plan.kind == MACHINE_IMAGE
        return self.compute.instance(zone, name) if machine else self.compute.disk(zone, name)

    def _strip(self, context: Context, built: Built, machine: Mapping[str, Any]) -> Wait | None:
        """Remove from the builder what instances of a machine image must not inherit.

        That is its metadata (they would install again) and its maximum run time.
        """
        zone, name = built.builder.zone, built.builder.name
        if machine["metadata"].get("items"):
            body = candidate.BARE_METADATA
            operation = self.compute.set_metadata(zone, dict(machine), dict(body))
            return wait_for(operation, f"clear the metadata of {name}")
        if "maxRunDuration" in machine["scheduling"]:
            request = self.request_id(context, f"clear the maximum run time of {name}")
            body = dict(candidate.LASTING)
            operation = self.compute.set_scheduling(zone, name, body, request)
            return wait_for(operation, f"clear the maximum run time of {name}")
        return None

    def _create(
        self, context: Context, plan: BakePlan, built: Built, source: Mapping[str, Any]
    ) -> Wait | None:
        body = candidate.insert_body(plan, source, datetime.now(UTC))
        body["labels"] |= candidate.facts_labels(built)
        self.log.info("creating %s %s from %s", _words(plan), plan.image_name, source["name"])
        doing = f"create image {plan.image_name}"
        request = self.request_id(context, doing, of=str(source["id"]))
        operation = self.image_client(plan.kind).insert(body, request)
        return wait_for(operation, doing)

    def _replace(self, context: Context, plan: BakePlan) -> Wait | None:
        self.log.warning("deleting image %s: it was not created from this disk", plan.image_name)
        doing = f"delete image {plan.image_name}"
        request = self.request_id(context, doing)
        operation = self.image_client(plan.kind).delete(plan.image_name, request)
        return wait_for(operation, doing)

    def _made(
        self, plan: BakePlan, built: Built, context: Context, image: Mapping[str, Any]
    ) -> dict[str, Any]:
        from bakehouse.bake.ledger_records import record_bake

        made = candidate.candidate(image)
        self.log.info("image %s is READY (id %s, %d GB)", made.name, made.id, made.size_gb)
        record_bake(context, plan, made, built)
        return made.model_dump(mode="json")


class LabelImage(BakehouseOperator):
    """Checks the image's commit and adds missing labels -> Candidate."""

    operator_extra_links = (ImageLink(),)

    def reconcile(self, context: Context) -> Next:
        """Add missing labels."""
        plan = self.received(context, "plan_bake", BakePlan)
        built = self.received(context, "wait_for_shutdown", Built)
        self.link_image(plan.image_name, kind=plan.kind)
        image = self.image_client(plan.kind).get(plan.image_name)
        if image is None:
            raise PermanentError(
                f"{plan.image_name} does not exist any more: clear create_image and downstream"
            )
        made = candidate.candidate(image)
        if made.git_sha != plan.commit.sha:
            raise PermanentError(
                f"{made.name} has the git-sha {made.git_sha or 'nothing'} instead of"
                f" {plan.commit.sha}: delete it, and clear wait_for_shutdown and downstream"
            )
        wanted = candidate.facts_labels(built)
        known = labels_of(image)
        if any(known.get(key) != value for key, value in wanted.items()):
            operation = self.image_client(plan.kind).label(image, wanted)
            return WaitForOperation(operation, f"label image {made.name}")
        told = ", ".join(f"{key} {value}" for key, value in wanted.items())
        self.log.info("%s has commit %s; %s", made.name, made.git_sha, told or "nothing to add")
        return Done(made.model_dump(mode="json"))


def _words(plan: BakePlan) -> str:
    return plan.kind.replace("_", " ")


def _cannot(do: Do, plan: BakePlan, built: Built) -> PermanentError | TransientError:
    if do is Do.WAIT:
        return TransientError(f"image {plan.image_name} is being created or deleted")
    if do is Do.NOT_OURS:
        return PermanentError(
            f"an image {plan.image_name} exists that this run did not create: rename or delete it"
        )
    return PermanentError(
        f"{built.builder.name} or its disk does not exist any more, nor an image of"
        " it: clear wait_for_shutdown and downstream"
    )
