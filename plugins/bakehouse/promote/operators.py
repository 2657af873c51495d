"""The operators that promote a tested image and publish it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.bake.candidate import Built, Candidate
from bakehouse.bake.plan import BakePlan
from bakehouse.bake.recipe_source import GIT
from bakehouse.cloud.events import OperationEnded
from bakehouse.core.errors import PermanentError
from bakehouse.images import labels
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import image_of
from bakehouse.images.revocation import refusal_to_use
from bakehouse.images.selection import newest_two, previous
from bakehouse.notify.models import Channel, NotificationEvent
from bakehouse.operators.base import BakehouseOperator, is_backfill, rolls_out
from bakehouse.operators.held_operator import HeldOperator
from bakehouse.operators.links import ImageLink
from bakehouse.operators.reconcile import Done, Next, WaitForOperation, resumed_by
from bakehouse.promote.promotion import (
    Promotion,
    needs_family,
    needs_state,
    promotion,
)
from bakehouse.schedule.image_asset import image_asset
from bakehouse.smoke.evaluation import SmokeResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class PromoteImage(HeldOperator):
    """Signs the image, then sets the family, then the label -> Candidate.

    No untested image is ever the newest, and no image without its statements.
    """

    operator_extra_links = (ImageLink(),)

    def __init__(
        self, *, notify: Sequence[Channel] = (), git_conn_id: str = GIT, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.notify = tuple(notify)
        self.git_conn_id = git_conn_id

    def reconcile(self, context: Context) -> Next:
        """Sign, set the family, then the label, then record and notify."""
        plan = self.received(context, "plan_bake", BakePlan)
        if plan.layer is not None or plan.commit.work_tree:
            raise PermanentError("an image of a local build is not promoted: it may have layers")
        tested = self.received(context, "label_image", Candidate)
        wanted = promotion(plan.family, history=plan.history, kind=plan.kind)
        self.link_image(tested.name, kind=plan.kind)
        image = self.image_client(plan.kind).get(tested.name)
        if image is None or str(image["id"]) != tested.id:
            raise PermanentError(f"{tested.name} does not exist any more: nothing to promote")
        begins = needs_family if wanted.family is not None else needs_state
        if not plan.history and begins(image, wanted):
            known = {"recipe": plan.recipe, "image": tested.name, "git_sha": plan.commit.sha}
            wait = self.wait_while_held(context, tested.name, image=known)
            if wait is not None:
                return wait
        if (refused := refusal_to_use(image) or self._base_refused(plan)) is not None:
            raise PermanentError(f"not promoted: {refused}; trigger another bake instead")
        self._sign(context, plan, tested, image)
        if needs_family(image, wanted):
            self.log.info("adding %s to family %s", tested.name, wanted.family)
            request = self.request_id(context, f"family of {tested.name}")
            body = {"family": wanted.family}
            operation = self.compute.patch_image(tested.name, body, request)
            return WaitForOperation(operation, f"promote {tested.name}")
        if needs_state(image, wanted):
            changes = {labels.STATE: wanted.state, labels.EXPIRES: None}
            operation = self.image_client(plan.kind).label(image, changes)
            return WaitForOperation(operation, f"label {tested.name} {wanted.state}", "labelled")
        return Done(self._promoted(context, plan, tested))

    @resumed_by(OperationEnded)
    def labelled(self, context: Context, event: OperationEnded) -> Next:
        """Record and notify; the label was the last change."""
        self.require_success(event)
        plan = self.received(context, "plan_bake", BakePlan)
        return Done(self._promoted(context, plan, self.received(context, "label_image", Candidate)))

    def _sign(
        self, context: Context, plan: BakePlan, tested: Candidate, image: dict[str, Any]
    ) -> None:
        """Write the signed statements unless they are there, and compare the image with them."""
        from bakehouse.promote.signing import ImageSigner

        signer = ImageSigner(plan, self.compute.project, self.gcp_conn_id, self.git_conn_id)
        built = self.received(context, "wait_for_shutdown", Built)
        smoke = self.received(context, "smoke_test", SmokeResult)
        written = signer.sign(tested, built, smoke)
        verdict = signer.verify(image)
        if written is not None:
            self.log.info("%s: %s, in %s", tested.name, verdict.reason, written)

    def _base_refused(self, plan: BakePlan) -> str | None:
        """Return why the base image is refused; it may have been revoked during the bake."""
        named = image_of(plan.base_image.self_link, self.compute.project)
        if named is None or named.project != self.compute.project:
            return None  # another project's: not ours to revoke
        base = self.compute.image(named.name)
        return refusal_to_use(base) if base is not None else None

    def _promoted(self, context: Context, plan: BakePlan, tested: Candidate) -> dict[str, Any]:
        from bakehouse.bake.ledger_records import record_covers
        from bakehouse.history.bake_events import PromotionDetail
        from bakehouse.notify.send import notify_from_task
        from bakehouse.promote.record import record_promotion

        wanted = promotion(plan.family, history=plan.history, kind=plan.kind)
        where = _where(plan, wanted)
        self.log.info("%s is %s: %s", tested.name, where, wanted.reason.text)
        before, changes = (None, None) if plan.history else self._changes(plan, tested.name)
        detail = PromotionDetail(
            family=wanted.family, image_id=tested.id, previous=before, changes=changes
        )
        record_promotion(context, plan, wanted.reason, detail)
        if plan.history:
            record_covers(context, plan, tested.name)
        if not plan.history:
            title = f"{tested.name} is promoted"
            text = f"{where}; commit {plan.commit.sha}"
            notify_from_task(context, self.notify, NotificationEvent.PROMOTION, title, text)
        return tested.model_dump(mode="json")

    def _changes(self, plan: BakePlan, name: str) -> tuple[str | None, str | None]:
        """Return the previous promoted image and a summary of the difference."""
        from bakehouse.history.diff import diff_images, summarize
        from bakehouse.history.location import ledger_url
        from bakehouse.history.manifest_store import ManifestNotFound, read_manifest

        before = previous(self._promoted_ones(plan), name)
        if before is None:
            self.log.info("it is the first promoted image of %s", plan.recipe)
            return None, None
        try:
            old, new = (read_manifest(ledger_url(), image) for image in (before, name))
            words = summarize(diff_images(before, old, name, new))
        except ManifestNotFound as missing:
            words = f"unknown, {missing}"
        self.log.info("against %s: %s", before, words)
        return before, words

    def _promoted_ones(self, plan: BakePlan) -> list[dict[str, Any]]:
        """List the family's images, or the recipe's promoted machine images."""
        if plan.kind == MACHINE_IMAGE:
            mine = f"labels.{labels.RECIPE}={plan.recipe} AND labels.{labels.STATE}"
            return self.image_client(plan.kind).list(f"{mine}={labels.PROMOTED}")
        return self.compute.images(f"family={plan.family}")


class PublishImage(BakehouseOperator):
    """Emits the asset event of the promoted image, one partition for each image.

    Skipped in a backfill, which must not roll out.
    """

    operator_extra_links = (ImageLink(),)

    def __init__(self, *, recipe: str, **kwargs: Any) -> None:
        self.asset = image_asset(recipe)
        super().__init__(outlets=[self.asset], **kwargs)

    def reconcile(self, context: Context) -> Next:
        """Emit the event; repeating it for the same image uses the same partition."""
        plan = self.received(context, "plan_bake", BakePlan)
        image = self.received(context, "promote_image", Candidate)
        self.link_image(image.name, kind=plan.kind)
        if is_backfill(context):
            raise AirflowSkipException(f"a backfill sends no asset event for {image.name}")
        event: dict[str, Any] = {
            "image": image.name,
            "image_id": image.id,
            "self_link": image.self_link,
            "family": plan.family,
            "git_sha": plan.commit.sha,
            "roll_out": rolls_out(context),
        }
        events = context["outlet_events"][self.asset]
        events.extra.update(event)
        events.add_partitions(image.name)
        self._remember(context, plan)
        self.log.info("published %s to asset %s", image.name, self.asset.name)
        return Done(event)

    def _remember(self, context: Context, plan: BakePlan) -> None:
        """Store the family's newest images for the asset's page and the forms, as a cache.

        Labels and ledger are the truth, and are what is written here, so a task that is cleared
        long after does not turn it back.
        """
        from bakehouse.history.image_choices import offer

        images = self.image_client(plan.kind).list(f"labels.{labels.RECIPE}={plan.recipe}")
        offer(plan.recipe, images)
        found = newest_two(images)
        store = context["asset_state_store"][self.asset]
        for key, image in zip(("current_image", "previous_image"), found, strict=False):
            known = image["labels"]
            store.set(
                key,
                {
                    "name": image["name"],
                    "id": str(image["id"]),
                    "git_sha": known.get(labels.GIT_SHA, ""),
                    "created": image["creationTimestamp"],
                },
            )


def _where(plan: BakePlan, wanted: Promotion) -> str:
    if plan.history:
        return "an image of the history"
    if wanted.family is None:
        return f"the newest machine image of {plan.recipe}"
    return f"the newest of family {wanted.family}"
