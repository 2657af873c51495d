"""Say which members of a fleet do not exist, and what was probably meant. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from bakehouse.images.links import Resource, labels_of, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bakehouse.fleet.members import Members

    Known = tuple[str, str, Mapping[str, str]]  # name, zone, labels

SHOWN = 3


def missing_members(
    wanted: Members, missing: Sequence[str], everywhere: Iterable[Resource]
) -> list[str]:
    """Return one sentence for each listed member without an instance, or for labels of nobody.

    Args:
        wanted: the members of the fleet's file.
        missing: the listed names without an instance; of labels nothing unless they match nobody.
        everywhere: all instances of the project.
    """
    known = [(str(i["name"]), zone_of(i), labels_of(i)) for i in everywhere]
    zones = ", ".join(wanted.zones)
    if wanted.labels is not None:
        return [_of_labels(wanted.labels, zones, known)]
    return [_of_name(name, wanted, zones, known) for name in missing]


def _of_name(name: str, wanted: Members, zones: str, known: Sequence[Known]) -> str:
    elsewhere = sorted(zone for other, zone, _ in known if other == name)
    if elsewhere:
        return f"{name} does not exist in {zones}, but in {', '.join(elsewhere)}"
    listed = set(wanted.names or ())
    here = sorted({n for n, zone, _ in known if zone in wanted.zones} - listed)
    all_others = sorted({n for n, _, _ in known} - listed)
    alike = near(name, here) or near(name, all_others)
    meant = f"; did you mean {' or '.join(alike)}?" if alike else ""
    return f"{name} does not exist in {zones}{meant}"


def _of_labels(labels: Mapping[str, str], zones: str, known: Sequence[Known]) -> str:
    told = ", ".join(f"{key}={value}" for key, value in labels.items())
    elsewhere = [f"{n} in {zone}" for n, zone, has in known if labels.items() <= has.items()]
    if elsewhere:
        return f"no instance in {zones} has the labels {told}, but {_some(elsewhere)}"
    values: list[str] = []
    for key, value in labels.items():
        there = sorted({f"{key}={has[key]}" for _, _, has in known if key in has})
        keys = sorted({k for _, _, has in known for k in has})
        values += [pair for pair in there if pair != f"{key}={value}"] or (
            [f"{k}=…" for k in near(key, keys)] if not there else []
        )
    meant = f"; instances have {_some(values)}" if values else ""
    return f"no instance in {zones} has the labels {told}{meant}"


def near(name: str, names: Sequence[str]) -> list[str]:
    """Return the names that are most like one."""
    return get_close_matches(name, names, n=SHOWN, cutoff=0.75)


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
