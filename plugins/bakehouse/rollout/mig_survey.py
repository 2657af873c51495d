"""Judge a managed instance group before a rollout, and plan its move. Pure.

Everything that would make the update fail, or do something that nobody asked for, is found here,
before the first instance is replaced, and told at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bakehouse.fleet.group_rules import LIMITS, too_few
from bakehouse.images import labels
from bakehouse.images.links import Resource, labels_of, path_of, resource_name
from bakehouse.rollout.mig_plan import (
    PROACTIVE,
    RECREATE,
    GroupPlan,
    NewTemplate,
    Version,
    limit,
    policy_of,
    same,
    stages_of,
    template_name,
    version_of,
    versions_of,
    zones_of,
)
from bakehouse.rollout.mig_progress import SHOWN, Managed
from bakehouse.rollout.mig_templates import GUEST_ATTRIBUTES, boot_of, describe, described

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bakehouse.fleet.model import Fleet
    from bakehouse.rollout.plan import Target

BY_FAMILY = ("family", "imageFamilyViews")


@dataclass(frozen=True)
class GroupFacts:
    """What was read of a group."""

    group: Resource
    instances: tuple[Managed, ...]
    templates: Mapping[str, Resource | None]  # of its versions and its instances, by path
    images: Mapping[str, Resource | None]  # by the link in a template
    boot_images: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The id and URL of the image that each instance's boot disk was made from, where asked for."""
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of instances, by name
    configs: Sequence[Resource] = ()  # per-instance configs
    reports: frozenset[str] = frozenset()  # names of images that instances have reported
    project_speaks: bool = False  # the project's metadata enables guest attributes


@dataclass(frozen=True)
class Judged:
    """The plan of a group; without one, the group is on the image, or there are refusals."""

    plan: GroupPlan | None = None
    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # what a person should know, and that stops nothing


def judge(facts: GroupFacts, fleet: Fleet, run: str, image: Target, expires: str) -> Judged:
    """Plan the move of a group, or say why there is none."""
    group = facts.group
    versions, policy = _as_begun(facts, run)
    base = _base(versions)
    template = facts.templates.get(base.template)
    if template is None:
        text = f"its template {resource_name(base.template)} does not exist any more"
        return Judged(refusals=(f"{text}: there is nothing to copy",))
    refusals = list(_refusals(facts, fleet, base, template))
    if refusals:
        return Judged(refusals=tuple(refusals))
    if _is_on_image(facts, versions, template, image):
        return Judged()
    old_id, old_link, closed = _old_image(facts, base, template)
    recreate = is_stateful(facts) or policy.get("replacementMethod") == RECREATE
    size = int(group["targetSize"])
    rolling = _rolling(policy, fleet, size, recreate=recreate)
    goal = template_name(image.name, run, str(group["name"]), image.id)
    where = "/".join(path_of(base.template).split("/")[:2])
    told = {
        labels.RECIPE: image.recipe,
        "run": run,
        "role": labels.TEMPLATE,
        labels.FLEET: fleet.name,
        "group": group["name"],
        labels.EXPIRES: expires,
        "versions": [version.body() for version in versions],
        "policy": policy,
        "rolling": rolling,
    }
    new = NewTemplate(
        name=goal,
        base=base.template,
        image=image.self_link,
        disk_gb=image.disk_gb,
        description=describe({**told, "image": image.id, labels.GIT_SHA: image.git_sha}),
    )
    pinned: tuple[NewTemplate, ...] = ()
    if _by_family(template) and old_id:
        name = template_name(resource_name(old_link), run, str(group["name"]), old_id)
        pinned = (
            NewTemplate(
                name=name,
                base=base.template,
                image=old_link,
                description=describe({**told, "image": old_id, "versions": [], "policy": {}}),
            ),
        )
    speaks = facts.project_speaks or _enables_guest_attributes(template)
    plan = GroupPlan(
        name=str(group["name"]),
        zone=resource_name(group.get("zone") or group["region"]),
        id=str(group["id"]),
        size=size,
        templates=(new, *pinned),
        goal=f"{where}/global/instanceTemplates/{goal}",
        versions=versions,
        base=base,
        policy=policy,
        rolling=rolling,
        stages=stages_of(fleet.stages, size),
        speaks=speaks,
        reported=bool(old_link) and resource_name(old_link) in facts.reports,
        unstable=_unstable(facts),
        closed=closed,
        old_image=old_link,
        old_image_id=old_id,
    )
    return Judged(plan, remarks=tuple(_remarks(facts, plan, closed)))


def is_stateful(facts: GroupFacts) -> bool:
    """Whether the group keeps disks, addresses or metadata of its instances."""
    kept = (facts.group.get("statefulPolicy") or {}).get("preservedState") or {}
    return any(kept.values()) or bool(facts.configs)


def _as_begun(facts: GroupFacts, run: str) -> tuple[tuple[Version, ...], dict[str, Any]]:
    """Return versions and policy of when nobody had changed them.

    A run that plans again finds what it had pinned in its own template. After a run that did not
    end, the policy is still the one that it had set, and its template knows the group's own.
    """
    versions, policy = versions_of(facts.group), policy_of(facts.group)
    for version in versions:
        said = described(facts.templates.get(version.template) or {})
        if said.get("run") == run and said.get("versions"):
            return tuple(map(version_of, said["versions"])), dict(said["policy"])
        if said.get("policy") and _but_type(policy) == _but_type(said["rolling"]):
            policy = dict(said["policy"])
    return versions, policy


def _but_type(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in policy.items() if key != "type"}


def _base(versions: Sequence[Version]) -> Version:
    """Return the version of the instances that no other version counts."""
    return next((v for v in versions if v.target is None), versions[-1])


def _refusals(facts: GroupFacts, fleet: Fleet, base: Version, template: Resource) -> Iterable[str]:
    name = resource_name(base.template)
    boot = boot_of(template.get("properties") or {})
    if boot is None or boot.get("source"):
        yield f"its template {name} names no image: its boot disk is not made of one"
    device = str((boot or {}).get("deviceName") or "persistent-disk-0")
    kept = (facts.group.get("statefulPolicy") or {}).get("preservedState") or {}
    if device in (kept.get("disks") or {}):
        yield (
            f"its stateful policy keeps the boot disk ({device}), so no instance would ever get"
            " another image: take the boot disk out of the policy"
        )
    for config in facts.configs:
        disks = (config.get("preservedState") or {}).get("disks") or {}
        if device in disks:
            yield (
                f"the per-instance config of {config['name']} keeps its boot disk ({device}), so it"
                " would never get another image: take the boot disk out of it"
            )
    held = {name: told[labels.HOLD] for name, told in facts.labels.items() if labels.HOLD in told}
    for member, who in sorted(held.items()):
        yield (
            f"{member} has the label {labels.HOLD} (by {who or 'somebody'}), and a group cannot"
            " leave out one instance: remove the label, or abandon the instance"
        )
    yield from _of_region(facts, fleet)
    recreates = is_stateful(facts) or policy_of(facts.group).get("replacementMethod") == RECREATE
    if recreates and fleet.max_surge != 0:
        kind = "stateful" if is_stateful(facts) else "of replacementMethod RECREATE"
        yield (
            f"it is {kind}, so no instance can be made beside an old one: remove max_surge from"
            f" include/fleets/{fleet.name}.yaml"
        )
    yield from _left_behind(facts)


def _of_region(facts: GroupFacts, fleet: Fleet) -> Iterable[str]:
    """Find where the file and a regional group differ, and what Compute Engine would refuse."""
    there, told = zones_of(facts.group), sorted(fleet.members.zones)
    if there != told:
        yield (
            f"its zones are {', '.join(there)}, but include/fleets/{fleet.name}.yaml names"
            f" {', '.join(told)}: say zones: [{', '.join(there)}]"
        )
    size = int(facts.group["targetSize"])
    for name in LIMITS:
        number = limit(getattr(fleet, name), size)["fixed"]
        if rule := too_few(number, len(there)):
            yield f"{name} is {number} of {size} instances, but {rule}: say {name}: {len(there)}"


def _left_behind(facts: GroupFacts) -> Iterable[str]:
    """Find good instances of templates that the group has left: an update would take them all."""
    current = {version.template for version in versions_of(facts.group)}
    ours = {path for path, t in facts.templates.items() if described(t or {})}
    behind = sorted(
        one.name for one in facts.instances if one.is_quiet and one.template not in current | ours
    )
    if behind:
        yield (
            f"{len(behind)} of its instances ({', '.join(behind[:SHOWN])}) have another template"
            " than its versions name, and the first stage would move them all: finish that update"
            " first (gcloud compute instance-groups managed rolling-action start-update)"
        )


def _is_on_image(
    facts: GroupFacts, versions: Sequence[Version], template: Resource, image: Target
) -> bool:
    """Whether the group makes all its instances of the image already, and has done so."""
    link = source_image(template)
    if len(versions) > 1 or _by_family(template) or not same(versions_of(facts.group), versions):
        return False
    if any(one.template != versions[0].template or one.error for one in facts.instances):
        return False
    told = facts.images.get(link)
    known = str(told["id"]) if told is not None else str(described(template).get("image", ""))
    return known == image.id


def _old_image(facts: GroupFacts, base: Version, template: Resource) -> tuple[str, str, str]:
    """Return id and URL of the image of now, and why nothing can be made of it any more."""
    link = source_image(template)
    if _by_family(template):
        of_base = [
            facts.boot_images[one.name]
            for one in facts.instances
            if one.template == base.template and one.name in facts.boot_images
        ]
        if not of_base:
            return "", "", "its template names a family, and no instance says which image it means"
        (most, _) = Counter(of_base).most_common(1)[0]
        return *most, ""
    image = facts.images.get(link)
    if image is None:
        return "", link, f"its image {resource_name(link)} does not exist any more"
    return str(image["id"]), str(image["selfLink"]), ""


def _rolling(
    policy: Mapping[str, Any], fleet: Fleet, size: int, *, recreate: bool
) -> dict[str, Any]:
    """Return the update policy of the rollout: the group's own, but for what an update needs."""
    surge = {"fixed": 0} if recreate else limit(fleet.max_surge, size)
    rolling = {
        **policy,
        "type": PROACTIVE,
        "minimalAction": "REPLACE",
        # unset it allows all; what a patch has set cannot be taken out again
        **({"mostDisruptiveAllowedAction": "REPLACE"} if _is_restricted(policy) else {}),
        "maxSurge": surge,
        "maxUnavailable": limit(fleet.max_unavailable, size),
    }
    return {**rolling, "replacementMethod": RECREATE} if recreate else rolling


def _is_restricted(policy: Mapping[str, Any]) -> bool:
    return str(policy.get("mostDisruptiveAllowedAction", "REPLACE")) != "REPLACE"


def _unstable(facts: GroupFacts) -> str:
    unquiet = [one for one in facts.instances if not one.is_quiet]
    return "; ".join(f"{one.name} is {one.doing}" for one in unquiet[:SHOWN])


def _remarks(facts: GroupFacts, plan: GroupPlan, closed: str) -> Iterable[str]:
    if closed:
        yield f"the way back is closed: {closed}"
    if plan.unstable:
        yield f"the group is not stable now: {plan.unstable}"
    if not plan.speaks:
        yield (
            f"its instances say nothing of their health: {GUEST_ATTRIBUTES}=TRUE is neither in its"
            " template nor in the project's metadata; only the group's own checks count"
        )
    if (facts.group.get("status") or {}).get("autoscaler"):
        yield "it has an autoscaler, which may change its size between the stages"
    if len(plan.templates) > 1:
        yield (
            f"its template names an image family; the way back is the template"
            f" {plan.templates[1].name}, with the image that the instances run"
        )


def source_image(template: Resource) -> str:
    """Return the link of the image in a template; empty if it names none."""
    boot = boot_of(template.get("properties") or {}) or {}
    return str((boot.get("initializeParams") or {}).get("sourceImage", ""))


def is_by_family(link: str) -> bool:
    """Whether a link names the newest image of a family."""
    return any(part in BY_FAMILY for part in link.split("/")[:-1])


def _by_family(template: Resource) -> bool:
    return is_by_family(source_image(template))


def _enables_guest_attributes(template: Resource) -> bool:
    metadata = (template.get("properties") or {}).get("metadata") or {}
    return enables_guest_attributes(metadata)


def enables_guest_attributes(metadata: Resource) -> bool:
    """Whether metadata lets instances write guest attributes."""
    items = {i["key"]: str(i.get("value", "")) for i in metadata.get("items") or [] if i}
    return items.get(GUEST_ATTRIBUTES, "").upper() in {"TRUE", "1", "YES", "Y"}


def holds(instances: Iterable[Resource]) -> dict[str, Mapping[str, str]]:
    """Return the labels of instances, by name."""
    return {str(instance["name"]): labels_of(instance) for instance in instances}
