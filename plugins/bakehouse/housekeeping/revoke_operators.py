"""The operators of a revocation: find the image, revoke it, mark its descendants, name members."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.housekeeping.drift import Member, members
from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.housekeeping.params import RevokeParams
from bakehouse.images import labels
from bakehouse.images import revocation as revoke
from bakehouse.images.image_kinds import CUSTOM_IMAGE, kind_of
from bakehouse.images.links import labels_of
from bakehouse.images.names import is_name_or_id
from bakehouse.images.revocation import Revocation, RevokedImage, revoked_image
from bakehouse.images.selection import DeprecationState, deprecation_state, newest_of_family
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.notify.models import Channel, NotificationEvent
from bakehouse.operators.reconcile import Done, Next, WaitForOperation
from bakehouse.recipe.model import Keep
from bakehouse.retire.retirement import deprecation_body, obsolescence_body

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.operators.reconcile import Ask

Resource = dict[str, Any]


class FindImage(InventoryOperator):
    """Finds the image of the form, and all images built on it -> Revocation."""

    def reconcile(self, context: Context) -> Next:
        """Find the image, and all images built on it."""
        form = self.params_of(context, RevokeParams)
        wanted = form.image.strip()
        image = self._find(wanted)
        if image is None:
            raise PermanentError(self._not_there(wanted))
        refused = revoke.refusal_to_revoke(image)
        if refused is not None:
            raise PermanentError(refused)
        built = revoke.descendants(str(image["id"]), own_images(self))
        revoked = Revocation(
            image=revoked_image(image),
            why=form.why.strip(),
            descendants=tuple(revoked_image(child) for child in built),
        )
        self.log.info("%s (id %s): %s", revoked.image.name, revoked.image.id, revoked.why)
        for child in revoked.descendants:
            self.log.info("built on it: %s of recipe %s", child.name, child.recipe)
        return Done(revoked.model_dump(mode="json"))

    def _find(self, wanted: str) -> Resource | None:
        if not is_name_or_id(wanted):
            raise PermanentError(f"{wanted!r} is neither an image's name nor an id")
        return self.compute.image(wanted) or self.compute.machine_image(wanted)

    def _not_there(self, wanted: str) -> str:
        from difflib import get_close_matches

        known = [str(image["name"]) for image in own_images(self)]
        near = get_close_matches(wanted, known, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"no image {wanted} exists in {self.compute.project}{hint}"


class RevokeImage(InventoryOperator):
    """Sets the label, which stops rollouts, then OBSOLETE, which stops everybody -> name."""

    def reconcile(self, context: Context) -> Next:
        """Set the label, then make the image obsolete."""
        revoked = self.received(context, "find_image", Revocation)
        kind = revoked.image.kind
        self.link_image(revoked.image.name, kind=kind)
        image = self.image_client(kind).get(revoked.image.name)
        if image is None or str(image["id"]) != revoked.image.id:
            raise PermanentError(f"{revoked.image.name} does not exist any more: nothing to revoke")
        doing = f"revoke {revoked.image.name}"
        wanted = {labels.STATE: labels.REVOKED}
        if not wanted.items() <= labels_of(image).items():
            changes = {**wanted, labels.EXPIRES: None}
            return WaitForOperation(self.image_client(kind).label(image, changes), doing)
        if kind == CUSTOM_IMAGE and deprecation_state(image) not in revoke.NOTHING_IS_MADE_OF:
            wait = self.carry_out([(doing, self._obsolete(context, image))])
            if wait is not None:
                return wait
        self._record(context, revoked)
        return Done(revoked.image.name)

    def _obsolete(self, context: Context, image: Resource) -> Ask:
        newest = newest_of_family(self.compute.images(labels.OURS), image.get("family"))
        link = str(newest["selfLink"]) if newest else ""
        grace = grace_of(self, labels_of(image)[labels.RECIPE])
        when = context["dag_run"].run_after
        return deprecation(self, context, image, obsolescence_body(image, when, grace, link))

    def _record(self, context: Context, revoked: Revocation) -> None:
        from bakehouse.history.image_choices import withdraw
        from bakehouse.housekeeping.record import record_revoked

        self.log.info("%s is revoked: %s", revoked.image.name, revoked.why)
        record_revoked(context, revoked)
        withdraw([revoked.image.name])


class MarkDescendants(InventoryOperator):
    """Labels and deprecates all images that are built on the revoked one -> Revocation.

    It lists them again, since a bake may have ended in the meantime.
    """

    def reconcile(self, context: Context) -> Next:
        """Label and deprecate all images built on it."""
        revoked = self.received(context, "find_image", Revocation)
        images = own_images(self)
        found = revoke.descendants(revoked.image.id, images)
        mark = {labels.REVOKED_BASE: revoked.image.id}
        unmarked = [i for i in found if not mark.items() <= labels_of(i).items()]
        marked = self.carry_out(
            (f"mark {i['name']}", partial(self.image_client(kind_of(i)).label, dict(i), mark))
            for i in unmarked
        )
        current = own_images(self) if unmarked else images
        wait = marked or self.carry_out(self._deprecations(context, revoked, current))
        if wait is not None:
            return wait
        for child in found:
            self._record(context, revoked, revoked_image(child))
        every = revoked.model_copy(update={"descendants": tuple(revoked_image(i) for i in found)})
        return Done(every.model_dump(mode="json"))

    def _deprecations(
        self, context: Context, revoked: Revocation, images: list[Resource]
    ) -> list[tuple[str, Ask]]:
        asked: list[tuple[str, Ask]] = []
        for child in revoke.descendants(revoked.image.id, images):
            active = deprecation_state(child) == DeprecationState.ACTIVE
            if kind_of(child) == CUSTOM_IMAGE and active:
                newest = newest_of_family(images, child.get("family"))
                link = str(newest["selfLink"]) if newest else ""
                grace = grace_of(self, labels_of(child).get(labels.RECIPE, ""))
                body = deprecation_body(context["dag_run"].run_after, grace, link)
                ask = deprecation(self, context, dict(child), body)
                asked.append((f"deprecate {child['name']}", ask))
        return asked

    def _record(self, context: Context, revoked: Revocation, child: RevokedImage) -> None:
        from bakehouse.history.image_choices import withdraw
        from bakehouse.housekeeping.record import record_marked

        self.log.info("%s is marked: %s", child.name, Reason.REVOKED_BASE.text)
        record_marked(context, revoked, child)
        withdraw([child.name])


class NameMembers(InventoryOperator):
    """The members of fleets that run any of them -> [{fleet, member, zone, image}].

    No member is changed: what to move them to is a person's decision.
    """

    def reconcile(self, context: Context) -> Next:
        """List the members, and notify."""
        revoked = self.received(context, "mark_descendants", Revocation)
        inventory, now = read_own_inventory(self.compute), datetime.now(UTC)
        named: list[dict[str, Any]] = []
        channels: list[Channel] = []
        for fleet in self.fleets:
            running = [m for m in members(fleet, inventory, now) if revoked.reaches(m.image_id)]
            named += [self._name(context, revoked, fleet.name, member) for member in running]
            channels += fleet.notify if running else ()
        bake = ", ".join(revoke.recipes_to_bake(revoked))
        self.log.info("%d members run it; to bake again: %s", len(named), bake)
        self._notify(context, revoked, named, channels)
        return Done(named)

    def _name(
        self, context: Context, revoked: Revocation, fleet: str, member: Member
    ) -> dict[str, Any]:
        from bakehouse.housekeeping.record import record_runs_revoked

        found = revoked.reaches(member.image_id) or revoked.image
        told = {"fleet": fleet, "member": member.name, "zone": member.zone, "image": found.name}
        self.log.warning("%(fleet)s: %(member)s in %(zone)s runs %(image)s", told)
        record_runs_revoked(context, revoked, fleet, member, found)
        return told

    def _notify(
        self,
        context: Context,
        revoked: Revocation,
        named: list[dict[str, Any]],
        channels: list[Channel],
    ) -> None:
        concerned = set(revoke.recipes_to_bake(revoked))
        told = [c for r in self.recipes if r.name in concerned for c in r.notify]
        who = ", ".join(f"{m['fleet']}/{m['member']}" for m in named) or "no member of a fleet"
        title = f"{revoked.image.name} is revoked"
        text = f"{revoked.why}. Members that run it: {who}"
        self.notify(context, [*told, *channels], NotificationEvent.REVOKE, title, text)


def own_images(operator: InventoryOperator) -> list[Resource]:
    """Return all images of Bakehouse, of both kinds.

    Machine images have the same labels, but cannot be deprecated.
    """
    compute = operator.compute
    return [*compute.images(labels.OURS), *compute.machine_images(labels.OURS)]


def grace_of(operator: InventoryOperator, recipe: str) -> timedelta:
    """Return how long an obsolete image of the recipe stays before it is deleted."""
    keeps = {known.name: known.image.keep for known in operator.recipes}
    return keeps.get(recipe, Keep()).grace


def deprecation(
    operator: InventoryOperator, context: Context, image: Resource, body: dict[str, str]
) -> Ask:
    """Return the call of images.deprecate with this body."""
    request = operator.request_id(context, f"{body['state']} {image['id']}")
    return partial(operator.compute.deprecate_image, str(image["name"]), body, request)
