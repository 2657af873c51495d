"""Create the DAGs of a project, each only when it is needed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk import DAG, get_parsing_context

from bakehouse.core.tasks import Flow
from bakehouse.notify.models import Channel
from bakehouse.schedule.cron import EXPECTED, BadCron, parse_cron

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from bakehouse.config.project import Project
    from bakehouse.fleet.model import Fleet


def make_dags(
    include: Path,
    flows: Collection[str],
    schedule: str,
    timezone: str,
    owner: str,
    notify: Collection[Mapping[str, object]],
) -> Iterator[DAG]:
    """Yield the DAGs of the flows; a worker that runs a task gets that task's DAG only."""
    if unknown := set(flows) - set(Flow):
        raise ValueError(f"unknown flow: {', '.join(sorted(unknown))}; known: {', '.join(Flow)}")
    try:
        schedule = parse_cron(schedule)
    except BadCron as bad:
        raise ValueError(f"schedule {bad} (it is {schedule!r}). Expected: {EXPECTED}") from None
    channels = [Channel.model_validate(channel) for channel in notify]
    wanted = get_parsing_context().dag_id
    # a worker has no form to show
    images = _offered(flows) if wanted is None else {}
    # another recipe of a project is not read for a task: its start would cost more for each one
    only = None if wanted is None else wanted.partition("__")[2]
    makers = dict(_of_files(include, flows, images, only))
    if Flow.HOUSEKEEPING in flows:
        from bakehouse.dag_factory.housekeeping import housekeeping_dag

        makers["housekeeping"] = partial(
            housekeeping_dag, include, schedule, timezone, owner, channels
        )
    if Flow.REVOKE in flows:
        from bakehouse.dag_factory.revoke import revoke_dag

        every = [name for names in images.values() for name in names]
        makers["revoke"] = partial(revoke_dag, include, owner, channels, every)
    if Flow.CHECK_SETUP in flows:
        from bakehouse.dag_factory.check_setup import check_setup_dag

        makers["check_setup"] = partial(check_setup_dag, include, owner)
    for dag_id, make in makers.items():
        if wanted in {None, dag_id}:
            yield make()


def _offered(flows: Collection[str]) -> dict[str, list[str]]:
    if not {Flow.ROLLOUT, Flow.REVOKE} & set(flows):
        return {}
    from bakehouse.history.image_choices import offered_images

    return offered_images()


def _of_files(
    include: Path, flows: Collection[str], images: Mapping[str, Collection[str]], only: str | None
) -> Iterator[tuple[str, Callable[[], DAG]]]:
    """Yield one maker for each valid recipe, or for the `only` one, and for each fleet."""
    if not {Flow.BAKE, Flow.ROLLOUT, Flow.FINALISE} & set(flows):
        return
    from bakehouse.config.project import read_project

    project = read_project(include, only)
    if Flow.BAKE in flows:
        from bakehouse.dag_factory.bake import bake_dag
        from bakehouse.recipe.rules import Relatives

        relatives = Relatives(project.recipes)
        fleets: dict[str, list[Fleet]] = {}
        for fleet in project.fleets:
            fleets.setdefault(fleet.recipe, []).append(fleet)
        for recipe in project.recipes:
            followers = fleets.get(recipe.name, ())
            make = partial(bake_dag, recipe, relatives.of(recipe), followers, include)
            yield f"bake__{recipe.name}", make
    if Flow.ROLLOUT in flows:
        from bakehouse.dag_factory.rollout import roll_out_dag

        for fleet in project.fleets:
            offered = images.get(fleet.recipe, ())
            yield f"roll_out__{fleet.name}", partial(roll_out_dag, fleet, offered, include)
    if Flow.FINALISE in flows:
        yield from _of_finalising(include, project, is_asked=only is not None)


def _of_finalising(
    include: Path, project: Project, *, is_asked: bool
) -> Iterator[tuple[str, Callable[[], DAG]]]:
    """Yield one maker for each fleet whose images can be told to finalise their data.

    A worker that asks for its DAG does not read the recipes: it would have no such task otherwise.
    """
    from bakehouse.dag_factory.finalise import finalise_dag, finalises
    from bakehouse.recipe.rules import Relatives

    relatives = Relatives(project.recipes)
    able = {one.name for one in project.recipes if finalises(include, one, relatives.below(one))}
    for fleet in project.fleets:
        if fleet.strategy != "mig" and (is_asked or fleet.recipe in able):
            yield f"finalise__{fleet.name}", partial(finalise_dag, fleet)
