"""What Compute Engine would refuse of one recipe, across its fields, and can be known before. Pure.

`make validate` and plan_bake read it. What concerns one field is in the model; sizes of metadata
are checked where a recipe is rendered; the base image, in bake/base_image.py.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.images.links import project_of, region_of, resource_name
from bakehouse.recipe.base import BaseFamily, BaseImage
from bakehouse.recipe.duration import JITTER, format_duration
from bakehouse.recipe.known_names import (
    BASE_DISK_GB,
    MULTI_REGIONS,
    unknown_machine_type,
    unknown_region,
    unknown_zone,
)
from bakehouse.recipe.secret_references import CLOUD_PLATFORM, in_the_open, malformed
from bakehouse.schedule.cron import shortest_period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from bakehouse.recipe.model import Builder, Recipe

Loc = tuple[str | int, ...]
ARM, X86 = "ARM64", "X86_64"

# Source: Compute Engine, "Machine families" and "Hyperdisk: machine support", as of 2026-11. Series
# that are not named here take every disk type of a recipe, as far as we know.
_HYPERDISK_ONLY = frozenset(
    ["n4", "n4a", "n4d", "c4", "c4a", "c4d", "m4", "x4", "a4", "a4x", "h4d", "g4"]
)
_NO_STANDARD = frozenset(["c3", "c3d", "z3", "m3", "a3", "g2"])
_ONLY_BALANCED = frozenset(["h3"])
_NO_HYPERDISK = frozenset(["e2", "f1", "g1", "n1", "n2", "n2d", "t2d", "t2a", "c2", "c2d", "a2"])
_ARM_SERIES = frozenset(["t2a", "c4a", "n4a", "a4x"])

_REGION_OF_PATH = re.compile(r"(?:^|/)regions/(?P<region>[^/]+)/")
_KEY_REGION = re.compile(r"/locations/(?P<region>[a-z]+-[a-z]+[0-9]+)/")  # not global, not us


_DAY = timedelta(days=1)
_NEWER = "If Google has it, say `builder: {unlisted: true}`"


class Problem(NamedTuple):
    """A field of a recipe, what is wrong with it, and the remedy."""

    loc: Loc
    problem: str
    remedy: str


def problems_of(recipe: Recipe) -> list[Problem]:
    """List what Compute Engine would refuse of this recipe."""
    builder = recipe.builder
    return [
        *_names(recipe),
        *_base_disk(recipe),
        *_jitter(recipe),
        *_disk_type(builder),
        *_architecture(recipe),
        *_network(builder),
        *_regions(builder),
        *_key(recipe),
        *_scopes(builder),
        *needless_not_secret(recipe.not_secret, recipe.vars, "is no var"),
        *(
            Problem(("smoke", "metadata", key), wrong, "Correct it")
            for key, wrong in malformed(recipe.smoke.metadata)
        ),
    ]


def secrets_in_the_open(recipe: Recipe) -> list[Problem]:
    """List vars that are named as secrets are: a var is in the manifest, and in the builder.

    `smoke.metadata` are not among them: the smoke test needs no real secret.
    """
    readers = "the file, the builder or the history"
    remedy = "Fetch it when an instance boots, by metadata secret://NAME"
    return list(open_secrets(("vars",), recipe.vars, recipe.not_secret, readers, remedy))


def open_secrets(
    place: Loc, values: Mapping[str, object], not_secret: Collection[str], readers: str, remedy: str
) -> Iterator[Problem]:
    """Find values at `place` that are named as secrets are and that `readers` can read."""
    problem = f"is in the open: who may read {readers} can read it"
    for name in in_the_open(values):
        if name not in not_secret:
            told = f"{remedy}; if it is no secret, say `not_secret: [{name}]`"
            yield Problem((*place, name), problem, told)


def needless_not_secret(
    not_secret: Iterable[str], known: Collection[str], problem: str
) -> Iterator[Problem]:
    """Find names that are said to be no secret, and that nothing has."""
    for index, name in enumerate(not_secret):
        if name not in known:
            yield Problem(("not_secret", index), problem, "Correct the name, or remove it")


def series_of(machine_type: str) -> str:
    """Return the series of a machine type: `c3` of `c3-standard-4`, n1 of `custom-2-4096`."""
    series = machine_type.partition("-")[0]
    return "n1" if series == "custom" else series


def architecture_of(machine_type: str) -> str:
    """Return the architecture of a machine type's processors, as images name it."""
    return ARM if series_of(machine_type) in _ARM_SERIES else X86


def _names(recipe: Recipe) -> Iterator[Problem]:
    """Names of Google's that are not on our lists; `unlisted` says that they are newer."""
    builder, location = recipe.builder, recipe.image.storage_location
    if builder.unlisted:
        return
    if found := unknown_machine_type(builder.machine_type):
        yield Problem(("builder", "machine_type"), found[0], f"{found[1]}. {_NEWER}")
    for index, zone in enumerate(builder.zones):
        if found := unknown_zone(zone):
            yield Problem(("builder", "zones", index), found[0], f"{found[1]}. {_NEWER}")
    if location and location not in MULTI_REGIONS and (found := unknown_region(location)):
        yield Problem(("image", "storage_location"), found[0], f"{found[1]}. {_NEWER}")


def _base_disk(recipe: Recipe) -> Iterator[Problem]:
    """By the project of a public image; plan_bake knows the size of any image."""
    base, given = recipe.base, recipe.builder.disk_gb
    if not isinstance(base, BaseFamily | BaseImage) or recipe.builder.unlisted:
        return
    least = BASE_DISK_GB.get(base.project, 0)
    if given < least:
        problem = f"is {given}, but images of {base.project} have {least} GB or more"
        yield Problem(("builder", "disk_gb"), problem, f"Set it to {least} or more")


def _jitter(recipe: Recipe) -> Iterator[Problem]:
    """A run that starts after the next one is due would never be of its own night."""
    jitter = recipe.jitter
    if jitter is None:
        return
    if jitter > _DAY:
        problem = "is longer than a day"
        yield Problem(("jitter",), problem, "Shorten it: runs start within it, such as 15m")
    elif (
        recipe.schedule
        and jitter != JITTER
        and jitter > (period := shortest_period(recipe.schedule))
    ):
        problem = f"is longer than the {format_duration(period)} between two runs of the schedule"
        yield Problem(("jitter",), problem, f"Set it to {format_duration(period)} or less")


def disk_types_of(machine_type: str) -> list[str]:
    """Return the disk types that machines of this type take, as far as we know."""
    series = series_of(machine_type)
    allowed = ["pd-balanced", "pd-ssd", "pd-standard", "hyperdisk-balanced"]
    if series in _HYPERDISK_ONLY:
        return ["hyperdisk-balanced"]
    if series in _ONLY_BALANCED:
        return ["pd-balanced", "hyperdisk-balanced"]
    if series in _NO_STANDARD:
        allowed.remove("pd-standard")
    elif series in _NO_HYPERDISK:
        allowed.remove("hyperdisk-balanced")
    return allowed


def _disk_type(builder: Builder) -> Iterator[Problem]:
    given, allowed = builder.disk_type, disk_types_of(builder.machine_type)
    if given not in allowed:
        problem = f"is {given}, which machines of the type {builder.machine_type} cannot have"
        yield Problem(("builder", "disk_type"), problem, f"Choose one of: {', '.join(allowed)}")


def _architecture(recipe: Recipe) -> Iterator[Problem]:
    """By the name of a public image; plan_bake knows that of any image."""
    base, machine_type = recipe.base, recipe.builder.machine_type
    if not isinstance(base, BaseFamily | BaseImage) or not base.project.endswith("-cloud"):
        return
    name = base.family if isinstance(base, BaseFamily) else base.image
    of_image, of_machine = (ARM if "arm64" in name else X86), architecture_of(machine_type)
    if of_image != of_machine:
        problem = f"is an image for {of_image}; {machine_type} is {of_machine}"
        yield Problem(("base",), problem, f"Choose an image for {of_machine}, or another machine")


def _network(builder: Builder) -> Iterator[Problem]:
    network, subnetwork = builder.network, builder.subnetwork
    projects = {project_of(link) for link in (network, subnetwork) if link} - {None}
    if network and subnetwork and len(projects) > 1:
        problem = f"is in another project than the subnetwork {resource_name(subnetwork)}"
        remedy = "Remove it: the network is that of the subnetwork"
        yield Problem(("builder", "network"), problem, remedy)


def _regions(builder: Builder) -> Iterator[Problem]:
    told = _REGION_OF_PATH.search(builder.subnetwork or "")
    for index, zone in enumerate(builder.zones):
        if told and region_of(zone) != told["region"]:
            problem = f"is not in {told['region']}, the region of the subnetwork"
            remedy = "Remove it, or give the subnetwork's name without a region"
            yield Problem(("builder", "zones", index), problem, remedy)


def _key(recipe: Recipe) -> Iterator[Problem]:
    told = _KEY_REGION.search(recipe.image.kms_key or "")
    if told is None:
        return
    elsewhere = [zone for zone in recipe.builder.zones if region_of(zone) != told["region"]]
    if elsewhere:
        problem = f"is a key of {told['region']}, which disks in {elsewhere[0]} cannot use"
        remedy = f"Use a key of {region_of(elsewhere[0])} or a multi-region, or other zones"
        yield Problem(("image", "kms_key"), problem, remedy)


def _scopes(builder: Builder) -> Iterator[Problem]:
    if builder.scopes and builder.service_account is None:
        remedy = "Add service_account, or remove the scopes"
        yield Problem(("builder", "scopes"), "have no service account", remedy)
    if builder.apt_auth and builder.service_account is None:
        remedy = "Add service_account, an account that may read the secrets"
        yield Problem(("builder", "apt_auth"), "needs the builder's service account", remedy)
    elif builder.apt_auth and CLOUD_PLATFORM not in builder.all_scopes:
        problem = "lack cloud-platform, which the secrets of apt_auth need"
        yield Problem(("builder", "scopes"), problem, f"Add {CLOUD_PLATFORM}, or remove scopes")
