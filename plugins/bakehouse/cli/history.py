"""Commands about what the ledger knows of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import (
    LedgerOption,
    ProjectOption,
    app,
    fail,
    ledger_events,
    project_folder,
)
from bakehouse.cli.output import JsonOption, show
from bakehouse.cli.values import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.history.comparison import Files
    from bakehouse.history.events import LedgerEvent


@app.command()
def history(
    wanted: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE|FLEET|IMAGE|COMMIT]",
            help="its name, or the first 4 characters of a git hash or more; default: everything",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", parser=Rows("--limit"), help="at most so many rows")
    ] = 20,
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """List bakes, deploys and roll-backs, each with its reason, the newest first.

    From the ledger. Exit code 1 if it knows nothing of what was asked for.
    """
    from bakehouse.core.nearest import did_you_mean
    from bakehouse.core.time import format_utc
    from bakehouse.history.story import about, names, story

    base, events = ledger_events(ledger, project)
    entries = story(events)
    found = entries if wanted is None else about(entries, wanted)
    if wanted is not None and not found:
        near = did_you_mean(wanted, names(entries))
        raise fail(f"the ledger {base} has no recipe, fleet, image or commit {wanted}{near}")
    rows = [
        {
            "time": format_utc(entry.time),
            "what": entry.what,
            "of": entry.fleet or entry.recipe,
            "image": entry.image,
            "commit": entry.git_sha if as_json or not entry.git_sha else entry.git_sha[:7],
            "why": entry.sentence,
            **({"dag_id": entry.dag_id, "run_id": entry.run_id} if as_json else {}),
        }
        for entry in found[:limit]
    ]
    show(rows, as_json=as_json, empty=f"the ledger {base} has no events")


@app.command()
def cost(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="its name; default: all")
    ] = None,
    months: Annotated[
        int, typer.Option("--months", "-n", parser=Rows("--months"), help="at most so many")
    ] = 12,
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """What bakes and images have cost, by month and recipe, at the prices of include/prices.yaml.

    From the ledger. Exit code 1 without prices, or if they are wrong.
    """
    import json
    from datetime import UTC, datetime

    from bakehouse.config.folder import INCLUDE
    from bakehouse.history.costs import monthly_costs
    from bakehouse.history.prices import PRICES, load_prices, missing
    from bakehouse.recipe.mistakes import Mistakes

    include = project_folder(project) / INCLUDE
    try:
        prices = load_prices(include)
    except Mistakes as wrong:
        raise fail(wrong) from None
    if prices is None:
        raise fail(f"there are no prices: write {include / PRICES}, as docs/cost.md has it")
    base, events = ledger_events(ledger, project)
    found = monthly_costs(events, prices, datetime.now(UTC), recipe)
    last = sorted({row.month for row in found.months}, reverse=True)[:months]
    kept = [row for row in found.months if row.month in last]
    if as_json:
        told = found.model_copy(update={"months": tuple(kept)}).model_dump(mode="json")
        typer.echo(json.dumps(told, indent=2))
        return
    rows = [
        {
            "month": row.month,
            "recipe": row.recipe,
            "bakes": row.bakes,
            "builder_minutes": f"{row.builder_minutes:.1f}",
            "builders": prices.money(row.builders),
            "disks": prices.money(row.disks),
            "image_GB_months": f"{row.image_gb_months:.2f}",
            "images": prices.money(row.images),
            "total": prices.money(row.total),
        }
        for row in kept
    ]
    show(rows, as_json=False, empty=f"the ledger {base} has no bakes")
    if uncounted := sum(row.uncounted for row in kept):
        typer.echo(f"not counted: {uncounted} bakes whose machine type is not recorded", err=True)
    if lacking := missing(found.unpriced):
        typer.echo(lacking, err=True)


@app.command()
def why(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="such as web-1, or web/web-1")],
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """Say in five lines what a member runs, from which commit, since when, why, instead of what.

    From the ledger: rollouts, and the nightly look of `housekeeping` at all fleets. Exit code 1 if
    it does not know the member.
    """
    import json
    from datetime import UTC, datetime

    from bakehouse.core.nearest import did_you_mean
    from bakehouse.history.member_images import member_images
    from bakehouse.history.why import lines
    from bakehouse.history.why import why as explain

    base, events = ledger_events(ledger, project)
    found = explain(member, events)
    if not found:
        near = did_you_mean(member, {one.member for one in member_images(events)})
        raise fail(f"the ledger {base} knows no member {member}{near}")
    if as_json:
        told = [answer.model_dump(mode="json") for answer in found]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for answer in found:
        for line in lines(answer, datetime.now(UTC)):
            typer.echo(line)


@app.command()
def ancestry(
    image: Annotated[str, typer.Argument(help="an image's name")],
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """The images that an image is based on, and those that are based on it. From the ledger."""
    from bakehouse.history.ancestry import bakes_by_image, describe

    base, events = ledger_events(ledger, project)
    bakes = bakes_by_image(events)
    if image not in bakes:
        typer.echo(f"the ledger {base} has no bake of {image}", err=True)
        raise typer.Exit(1)
    for line in describe(image, bakes):
        typer.echo(line)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="an image, or a member for what it runs")],
    new: Annotated[str, typer.Argument(help="another, or another member")],
    as_json: Annotated[bool, typer.Option("--json", help="as data")] = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """The differences of two images, such as `diff web-1 IMAGE`, against what web-1 runs.

    Packages (security updates marked), kernel, services, size, base, vars, and the recipe with its
    scripts by git. Exit code 1 when the packages are unknown.
    """
    import json

    from bakehouse.history.comparison import compare, report
    from bakehouse.history.diff import diff_images
    from bakehouse.history.manifest_store import ManifestNotFound, read_manifest
    from bakehouse.history.member_images import member_images

    try:
        base, events = ledger_events(ledger, project)
        runs = {one.member: one.image for one in member_images(events)}
        old, new = (runs.get(name, name) for name in (old, new))
        before, after = (read_manifest(base, image) for image in (old, new))
    except (ManifestNotFound, ValueError, OSError) as unknown:
        typer.echo(f"{unknown}", err=True)
        raise typer.Exit(1) from None
    files, why = _files(events, old, new, project)
    found = compare(diff_images(old, before, new, after), events, files, why)
    if as_json:
        form = found.model_dump(mode="json")
        told = {**form.pop("packages"), **form}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        typer.echo(report(found))


def _files(
    events: list[LedgerEvent], old: str, new: str, project: Path | None
) -> tuple[tuple[Files, Files] | None, str]:
    """The recipe's files at both commits, and why there are none."""
    from bakehouse.history.ancestry import bakes_by_image
    from bakehouse.history.recipe_files import RecipeCommit, files_of_both
    from bakehouse.recipe.git.errors import SourceError
    from bakehouse.recipe.git.open import open_repository

    bakes = bakes_by_image(events)
    if missing := [image for image in (old, new) if image not in bakes]:
        return None, f"the ledger has no bake of {missing[0]}"
    try:
        with open_repository(project_folder(project)) as repository:
            one, other = (RecipeCommit(bakes[i].recipe, bakes[i].git_sha) for i in (old, new))
            return files_of_both(repository, one, other), ""
    except (SourceError, OSError) as unreadable:
        return None, str(unreadable)
