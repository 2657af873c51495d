"""Which run a fleet asks for because its members lack a security update for too long. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bakehouse.fleet.model import Fleet
    from bakehouse.history.missing_fixes import ImageFixes, MissingFix


class FixRequest(Frozen):
    """A run that is asked for, or why none helps (`dag_id` is empty then)."""

    fleet: str
    dag_id: str = ""
    conf: dict[str, Any] = Field(default={})
    why: str


class NewestImage(Frozen):
    """The newest promoted image of a fleet's recipe."""

    name: str
    created: AwareDatetime


def fix_request(
    fleet: Fleet,
    members: Mapping[str, str],
    fixes: Mapping[str, ImageFixes],
    newest: NewestImage | None,
    now: datetime,
) -> FixRequest | None:
    """Return the run that gives the fleet the fixes that it lacks for too long; None: nobody does.

    A rollout if the newest image has them, a rebake if it does not. An image that was baked after a
    fix came out and lacks it all the same would lack it again, so none is asked for.

    Args:
        fleet: With `max_days_since_fix`; without it there is nothing to ask for.
        members: Member -> the image that it runs.
        fixes: By image, of the members' images and of the newest one.
        newest: None: there is none.
        now: For the age of the fixes.
    """
    limit = fleet.max_days_since_fix
    if limit is None:
        return None
    overdue = [
        (fix, member)
        for member, image in sorted(members.items())
        if (known := fixes.get(image)) is not None
        for fix in known.missing
        if fix.days(now) > limit
    ]
    if not overdue:
        return None
    fix, member = min(overdue, key=lambda pair: (pair[0].since, pair[0].package))
    why = (
        f"{member} lacks {fix.package} {fix.available} ({fix.suite}) for {fix.days(now)} days;"
        f" max_days_since_fix of {fleet.name} is {limit}"
    )
    lacking = _lacking(fixes.get(newest.name)) if newest is not None else set()
    wanted = {_key(fix) for fix, _ in overdue}
    if newest is None or any(_key(fix) in lacking for fix, _ in overdue):
        stuck = [
            f for f, _ in overdue if newest and _key(f) in lacking and newest.created > f.since
        ]
        if newest is not None and {_key(f) for f in stuck} == wanted & lacking:
            names = ", ".join(sorted({f.package for f in stuck}))
            return FixRequest(
                fleet=fleet.name,
                why=f"{why}. {newest.name} was baked after the fix came out and lacks {names} all"
                " the same: see what holds the package back in the recipe",
            )
        return FixRequest(
            fleet=fleet.name, dag_id=f"bake__{fleet.recipe}", conf={"force": True}, why=why
        )
    return FixRequest(fleet=fleet.name, dag_id=f"roll_out__{fleet.name}", why=why)


def _lacking(known: ImageFixes | None) -> set[tuple[str, str]]:
    return {_key(fix) for fix in known.missing} if known is not None else set()


def _key(fix: MissingFix) -> tuple[str, str]:
    return fix.package, fix.arch
