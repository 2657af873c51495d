"""From a commit to a plan: what a run bakes, or why it bakes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin

from bakehouse.bake import labels
from bakehouse.bake.plan import BakePlan, BaseImage, created_at, decide, newest_with
from bakehouse.errors import StopEverything
from bakehouse.recipe.base import BaseFamily
from bakehouse.recipe.base import BaseImage as FixedImage
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.names import image_name, run_label
from bakehouse.recipe.source import Commit
from bakehouse.step import Step, clock

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.recipe.render import Rendered

GIT = "bakehouse_repo"
SHOWN = 5  # names of uncommitted files in the log


class GitStep(Step):
    """A step that reads recipe and scripts from git."""

    def __init__(self, *, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.git_conn_id = git_conn_id

    def rendered(self, plan: BakePlan) -> Rendered:
        """Scripts of the plan's commit. Raises StopEverything, TryAgain."""
        from bakehouse.bake.source import rendered_for

        return rendered_for(self.git_conn_id, plan)


class ResolveCommit(GitStep):
    """The commit to bake: the newest of the form's ref not later than the run's time -> Commit."""

    def act(self, context: Context) -> dict[str, Any]:
        from bakehouse.bake.source import repository

        ref = str(context["params"]["git_ref"])
        until = _time_of(context)
        with repository(self.git_conn_id) as found:
            commit = found.resolve(ref, until)
        self.log.info("%s is commit %s", ref, commit.sha)
        self.log.info("“%s”, %s, %s", commit.subject, commit.author, clock(commit.author_time))
        if commit.dirty:
            self.log.warning(
                "%d uncommitted changes are not baked: %s",
                len(commit.dirty),
                ", ".join(commit.dirty[:SHOWN]) + (", …" if len(commit.dirty) > SHOWN else ""),
            )
        return commit.model_dump(mode="json")


class PlanBake(GitStep):
    """What this run makes, or why it makes nothing -> BakePlan. Creates nothing but names."""

    def __init__(self, *, recipe: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recipe = recipe

    def act(self, context: Context) -> dict[str, Any]:
        from bakehouse.bake.source import rendered_at, repository
        from bakehouse.recipe.content_key import content_key

        commit = self.received(context, "resolve_commit", Commit)
        override = dict(context["params"]["vars"] or {})
        with repository(self.git_conn_id) as found:
            rendered = rendered_at(found, self.recipe, commit, override)
        base = self._base_image(rendered.recipe)
        key = content_key(rendered, rendered.recipe.builder, base.id)
        plan = self._plan(context, commit, rendered.recipe, base, key)
        self.log.info("base image %s (%s)", base.name, rendered.recipe.base)
        self.log.info("content key %s", key)
        if plan.bake:
            self.log.info("will bake %s: %s", plan.image_name, plan.reason.text)
        return plan.model_dump(mode="json")

    def _plan(
        self, context: Context, commit: Commit, recipe: Recipe, base: BaseImage, key: str
    ) -> BakePlan:
        ti, force, now = context["ti"], bool(context["params"]["force"]), _time_of(context)
        images = self.compute.images(f"labels.{labels.CONTENT_KEY}={key}")
        existing = newest_with(key, images)
        chosen = decide(
            existing, force=force, rebake=recipe.rebake, max_age=recipe.max_age, now=now
        )
        return BakePlan(
            recipe=recipe.name,
            commit=commit,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            run=run_label(ti.dag_id, ti.run_id),
            image_name=image_name(recipe.name, now, commit.sha, ti.run_id),
            family=recipe.family,
            content_key=key,
            base_image=base,
            vars=dict(context["params"]["vars"] or {}),
            zones=recipe.builder.zones,
            install_deadline_minutes=recipe.builder.install_deadline_minutes,
            force=force,
            bake=chosen.bake,
            reason=chosen.reason,
            existing_image=str(existing["name"]) if existing else None,
            created=now,
        )

    def _base_image(self, recipe: Recipe) -> BaseImage:
        base = recipe.base
        if isinstance(base, BaseFamily):
            found = self.compute.image_of_family(base.project, base.family)
        elif isinstance(base, FixedImage):
            found = self.compute.image(base.image, base.project)
        else:
            wanted = f"labels.{labels.RECIPE}={base.recipe} AND labels.{labels.STATE}=promoted"
            found = max(self.compute.images(wanted), key=created_at, default=None)
        if found is None:
            raise StopEverything(f"there is no image for base: {base}; mend the recipe's base")
        return BaseImage(
            self_link=str(found["selfLink"]), id=str(found["id"]), name=str(found["name"])
        )


class NeedBake(Step, SkipMixin):
    """Ends the run, with the reason in the log, when a promoted image has this content already.

    Skips only its direct followers: teardowns run whatever happens.
    """

    def act(self, context: Context) -> bool:
        plan = self.received(context, "plan_bake", BakePlan)
        if plan.bake:
            self.log.info("baking %s: %s", plan.image_name, plan.reason.text)
            return True
        self.log.info("nothing to bake: %s, %s", plan.reason.text, plan.existing_image)
        followers = context["task"].get_direct_relatives(upstream=False)
        self.skip(ti=context["ti"], tasks=[task for task in followers if not task.is_teardown])
        return False


def _time_of(context: Context) -> datetime:
    """The run's own time: the end of its data interval, else when it was asked for."""
    run = context["dag_run"]
    when: datetime = run.data_interval_end or run.run_after
    return when
