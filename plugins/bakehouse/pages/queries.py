"""Chooses rows: filters, search by the begin of a hash, and pages. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from bakehouse.pages.answers import ImageRow, ImageState, MemberRow, TimelineRow
    from bakehouse.pages.read_model import ReadModel

MOST = 200  # rows of a page
POINTS = 300  # images of a plot
Row = TypeVar("Row")


class Scope(NamedTuple):
    """What the user may see; None: everything."""

    recipes: Collection[str] | None = None
    fleets: Collection[str] | None = None

    def recipe(self, name: str | None) -> bool:
        """Whether the recipe is seen; what is of no recipe is seen with all of them only."""
        return self.recipes is None or name in self.recipes

    def fleet(self, name: str | None) -> bool:
        """Whether the fleet is seen."""
        return self.fleets is None or name in self.fleets


class Wanted(NamedTuple):
    """The filters; an empty one lets everything through."""

    recipe: str = ""
    fleet: str = ""
    states: Collection[ImageState] = ()
    search: str = ""  # the begin of a hash or an image's name, or a part of the subject
    first: date | None = None
    last: date | None = None


def page(rows: Sequence[Row], offset: int, limit: int) -> tuple[Row, ...]:
    """Return at most MOST rows."""
    return tuple(rows[offset : offset + min(limit, MOST)])


def images(model: ReadModel, wanted: Wanted, scope: Scope) -> list[ImageRow]:
    """Return the images that are wanted, the newest first."""
    search = wanted.search.strip().lower()
    of_fleet = model.fleets.get(wanted.fleet) if wanted.fleet else None
    return [
        row
        for row in model.images
        if scope.recipe(row.recipe)
        and wanted.recipe in {"", row.recipe}
        and (not wanted.fleet or row.recipe == of_fleet)
        and (not wanted.states or row.state in wanted.states)
        and _in_days(row, wanted)
        and (not search or _is_found(row, search))
    ]


def timeline(model: ReadModel, wanted: Wanted, scope: Scope) -> list[TimelineRow]:
    """Return what happened, the newest first."""
    search = wanted.search.strip().lower()
    return [
        row
        for row in model.timeline
        if (scope.fleet(row.fleet) if row.fleet else scope.recipe(row.recipe))
        and wanted.recipe in {"", row.recipe}
        and wanted.fleet in {"", row.fleet}
        and _in_days(row, wanted)
        and (
            not search
            or (row.git_sha or "").startswith(search)
            or (row.image or "").startswith(search)
            or search in row.sentence.lower()
        )
    ]


def members(model: ReadModel, wanted: Wanted, scope: Scope, image: str = "") -> list[MemberRow]:
    """Return the members that are wanted, by fleet and name; `image`: only those that run it."""
    search = wanted.search.strip().lower()
    return [
        row
        for row in model.members
        if scope.fleet(row.fleet)
        and wanted.fleet in {"", row.fleet}
        and wanted.recipe in {"", row.recipe}
        and image in {"", row.image}
        and (
            not search
            or row.git_sha.startswith(search)
            or row.image.startswith(search)
            or search in row.member
        )
    ]


def plotted(model: ReadModel, recipe: str) -> list[ImageRow]:
    """Return the newest images of a recipe, the oldest of them first."""
    rows = [row for row in model.images if row.recipe == recipe]
    return rows[:POINTS][::-1]


def _in_days(row: ImageRow | TimelineRow, wanted: Wanted) -> bool:
    day = row.time.date()
    return (wanted.first is None or day >= wanted.first) and (
        wanted.last is None or day <= wanted.last
    )


def _is_found(row: ImageRow, search: str) -> bool:
    return (
        row.git_sha.startswith(search)
        or row.image.startswith(search)
        or search in row.subject.lower()
    )
