"""`bakehouse plan`: what a rollout would do, before anybody starts it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakehouse.cli.app import (
    LedgerOption,
    ProjectOption,
    app,
    fail,
    ledger_of,
    project_folder,
    use_airflow_of,
)
from bakehouse.cli.output import JsonOption
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bakehouse.fleet.model import Fleet
    from bakehouse.rollout.plan import RolloutPlan


@app.command()
def plan(
    fleet: Annotated[str, typer.Argument(help="a fleet of include/fleets")],
    image: Annotated[
        str, typer.Option(help="name, id or git hash of an image; default: the newest promoted one")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--member", help="only this member; may be given again")
    ] = None,
    connection: Annotated[
        str, typer.Option(help="the connection of Google Cloud")
    ] = "google_cloud_default",
    gates: Annotated[bool, typer.Option(help="ask the members' gates what they say now")] = True,
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """Print what a rollout of an image would do now: order, packages, ways back, blockers, end.

    Nothing is changed. It reads the fleet's file as it is here, and Compute Engine by the
    connection of the stack of `make up`, or of this shell's Airflow. A member with a gate is asked
    by the metadata of its instance, for less than a minute. Exit code 1 if the rollout would fail.
    """
    folder = project_folder(project)
    found = _fleet(folder, fleet)
    place = ledger or ledger_of(folder)
    made = _planned(folder, found, image, only or [], connection, place, gates=gates)
    cost = _cost(folder, found, made)
    if as_json:
        import json

        form = made.model_dump(mode="json")
        typer.echo(
            json.dumps({**form, "cost": cost} if cost else form, indent=2, ensure_ascii=False)
        )
    else:
        from bakehouse.rollout.plan_text import plan_lines

        for line in (*plan_lines(made), *([""] if cost else []), *cost):
            typer.echo(line)
    if made.refused or made.unreadable:
        raise typer.Exit(1)


def _cost(folder: Path, fleet: Fleet, made: RolloutPlan) -> list[str]:
    """What the rollout costs, by the prices of the project; nothing where it has none."""
    from bakehouse.history.prices import load_prices
    from bakehouse.recipe.mistakes import Mistakes
    from bakehouse.rollout.cost import cost_lines

    try:
        prices = load_prices(folder / INCLUDE)
    except Mistakes as wrong:
        raise fail(wrong) from None
    return list(cost_lines(made, fleet.template, prices)) if prices else []


def _fleet(folder: Path, name: str) -> Fleet:
    from bakehouse.config.project import read_project
    from bakehouse.core.nearest import did_you_mean

    project = read_project(folder / INCLUDE)
    for broken in project.broken_fleets:
        if broken.mistakes[0].file.endswith(f"/{name}.yaml"):
            raise fail("\n".join(map(str, broken.mistakes)))
    fleets = {fleet.name: fleet for fleet in project.fleets}
    if name not in fleets:
        near = did_you_mean(name, fleets)
        raise fail(f"there is no fleet {name}: no file include/fleets/{name}.yaml{near}")
    return fleets[name]


def _planned(
    folder: Path,
    fleet: Fleet,
    image: str,
    only: list[str],
    connection: str,
    ledger: str,
    *,
    gates: bool,
) -> RolloutPlan:
    from bakehouse.core.errors import BakehouseError

    use_airflow_of(folder)
    with redirect_stdout(sys.stderr):  # Airflow's own log lines are no part of the plan
        from bakehouse.cloud.compute_hook import hook_of
        from bakehouse.history.hold_store import read_hold
        from bakehouse.rollout import target_images
        from bakehouse.rollout.attested import attested_by
        from bakehouse.rollout.holding import refusal
        from bakehouse.rollout.mig_planning import make_group_plan
        from bakehouse.rollout.planning import (
            lease_blockers,
            make_plan,
            predicted,
            with_data_of,
        )

        try:
            hook = hook_of(connection)
            attested = attested_by(ledger, connection, _warn)
            wanted = image.strip()
            goal = target_images.choose(
                hook,
                fleet.recipe,
                wanted,
                by_person=bool(wanted),
                fleet=fleet.name,
                attested=attested,
            )
            if not wanted and (why := refusal(hook, read_hold(ledger, fleet.name), goal)):
                typer.echo(f"a run without an image would be skipped: {why}", err=True)
            held = lease_blockers(ledger, fleet.name)
            given: Any = {"only": only, "plan_only": True, "blockers": held}
            if fleet.strategy == "mig":
                made, remarks = make_group_plan(hook, fleet, "plan", goal, ledger, **given)
                for remark in remarks:
                    typer.echo(remark, err=True)
            else:
                made = make_plan(hook, fleet, "plan", goal, ledger, attested=attested, **given)
            if gates:
                made = _asked(made, fleet, connection, held[0].why if held else "")
            made = predicted(with_data_of(made, ledger), fleet, ledger)
        except BakehouseError as refused:
            raise fail(refused) from None
    return made


def _warn(message: str, *values: object) -> None:
    typer.echo(message % values, err=True)


def _asked(made: RolloutPlan, fleet: Fleet, connection: str, busy: str) -> RolloutPlan:
    """Return the plan with what the gates say; a line on standard error counts the answers.

    Members of a fleet that is `busy` are being given other orders, which a question would replace.
    """
    import asyncio
    from datetime import UTC, datetime

    from bakehouse.rollout.gate_questions import questions, with_answers
    from bakehouse.rollout.gate_survey import GateSurvey
    from bakehouse.rollout.plan_parts import NotAsked

    asked, not_asked = questions(made, fleet.gate)
    if busy and asked:
        names = tuple(question.member for question in asked)
        not_asked, asked = [NotAsked(why=busy, members=names), *not_asked], []
    answers = []
    if asked:
        survey = GateSurvey(fleet.name, fleet.gate, connection, _progress(len(asked)))
        answers = asyncio.run(survey.ask(asked))
    return with_answers(made, answers, not_asked, datetime.now(UTC))


def _progress(count: int) -> Callable[[int], None]:
    """Count the answers in one line of a terminal; where there is none, say once what is done."""
    members = "1 member" if count == 1 else f"{count} members"
    text = f"asking {members} whether they may be stopped now"
    if not sys.stderr.isatty():
        typer.echo(text, err=True)
        return lambda _: None
    typer.echo(f"{text}: 0 answers", nl=False, err=True)
    return lambda done: typer.echo(f"\r{text}: {done} answers", nl=done == count, err=True)
