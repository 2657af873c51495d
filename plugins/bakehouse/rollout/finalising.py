"""Whether the data of a fleet may get their newest formats now, which closes the way back. Pure.

Only a fleet that runs one image on each of its members, has soaked on it and is well may: until
then the older image may still be needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.core.time import format_utc
from bakehouse.images.formats import FormatRange, highest, newer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta


class MemberNow(Frozen):
    """A member as it is now."""

    name: str
    zone: str
    status: str
    image: str = Field(description="the name of the image of its boot disk; empty: of none")
    image_id: str
    started: AwareDatetime | None = Field(default=None, description="when it has started last")
    ill: str = Field(default="", description="why it is not healthy; empty: it is")


class Finalisation(Frozen):
    """What is to be finalised: each format's version of the data, and the newest of the image."""

    fleet: str
    image: str
    image_id: str
    has: dict[str, int]
    formats: dict[str, tuple[int, int]] = Field(description="from which version, to which")

    def in_words(self) -> str:
        """Return the formats in one line."""
        return ", ".join(f"{name} {a} to {b}" for name, (a, b) in sorted(self.formats.items()))


def obstacles(
    members: Sequence[MemberNow], missing: Sequence[str], soak: timedelta, now: datetime
) -> list[str]:
    """Return all that speaks against it, by what Compute Engine and the health reports say."""
    wrong = [f"{name} does not exist" for name in missing]
    if not members:
        wrong.append("the fleet has no members")
    wrong += [f"{m.name} is {m.status}" for m in members if m.status != "RUNNING"]
    if len({member.image_id for member in members}) > 1:
        on = ", ".join(f"{m.name} runs {m.image or 'no image'}" for m in members)
        wrong.append(f"members run different images ({on}): roll one image out first")
    elif members and not members[0].image_id:
        wrong.append("the members' boot disks are of no image")
    for member in members:
        if member.status != "RUNNING":
            continue
        if member.ill:
            wrong.append(f"{member.name} is not healthy: {member.ill}")
        if member.started is None:
            wrong.append(f"{member.name} does not say since when it runs")
        elif (until := member.started + soak) > now:
            wrong.append(
                f"{member.name} runs since {format_utc(member.started)}, and soaks until"
                f" {format_utc(until)}"
            )
    return wrong


def unsaid(said: Mapping[str, Mapping[str, int]], silent: Mapping[str, str]) -> list[str]:
    """Return the members that do not say what their data have, or say something else."""
    wrong = [f"{name} does not say what its data have: {why}" for name, why in silent.items()]
    wrong += [f"{name} names no format of its data" for name, has in said.items() if not has]
    return wrong


def finalisation(
    fleet: str,
    member: MemberNow,
    said: Mapping[str, Mapping[str, int]],
    reads: Sequence[FormatRange],
) -> Finalisation:
    """Return what is to be finalised; nothing if the data have the newest formats already."""
    has = highest(said.values())
    return Finalisation(
        fleet=fleet,
        image=member.image,
        image_id=member.image_id,
        has=has,
        formats=newer(has, reads),
    )
