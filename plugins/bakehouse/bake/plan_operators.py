"""The operators that resolve the commit and plan the bake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.bake import base_image
from bakehouse.bake.image_reads import ImageReads
from bakehouse.bake.package_snapshot import snapshot_of
from bakehouse.bake.params import BakeParams
from bakehouse.bake.plan import BakePlan, BaseImage, SmokeSettings, decide
from bakehouse.bake.recipe_source import GIT, RecipeSource, bundle_store
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history.price_reads import read_prices, recent_bakes
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.names import image_name, run_label
from bakehouse.images.selection import (
    is_superseded,
    newest_with_content,
    rolled_back_with_content,
)
from bakehouse.operators.base import BakehouseOperator, is_backfill
from bakehouse.operators.links import ImageLink
from bakehouse.operators.reconcile import Done, Next
from bakehouse.recipe.bundle import Bundle
from bakehouse.recipe.commit import Commit
from bakehouse.recipe.limits import problems_of
from bakehouse.recipe.rules import parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow.sdk import Context

    from bakehouse.history.shared_reads import SharedReads
    from bakehouse.recipe.model import Recipe
    from bakehouse.updates.compare import Updates

SHOWN = 5  # names of uncommitted files in the log


class ResolveCommit(BakehouseOperator):
    """Resolves the form's ref to its newest commit not later than the run's time -> Commit."""

    def __init__(self, *, recipe: str, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recipe = recipe
        self.git_conn_id = git_conn_id

    def reconcile(self, context: Context) -> Next:
        """Resolve the form's ref."""
        ref = self.params_of(context, BakeParams).git_ref
        commit = RecipeSource(self.git_conn_id).resolve(self.recipe, ref, time_of(context))
        self.log.info("%s is commit %s", ref, commit.sha)
        self.log.info("“%s”, %s, %s", commit.subject, commit.author, format_utc(commit.author_time))
        self._tell_passed_over(commit, time_of(context), is_backfill(context))
        if commit.dirty:
            self.log.warning(
                "%d uncommitted changes are %s: %s",
                len(commit.dirty),
                "baked too" if commit.work_tree else "not baked",
                ", ".join(commit.dirty[:SHOWN]) + (", …" if len(commit.dirty) > SHOWN else ""),
            )
        return Done(commit.model_dump(mode="json"))

    def _tell_passed_over(self, commit: Commit, then: datetime, is_history: bool) -> None:
        """A clock that is ahead dates a commit later than the run; a backfill expects it."""
        tell = self.log.info if is_history else self.log.warning
        for later in commit.passed_over:
            tell(
                "commit %s was passed over: its date, %s, is later than the run's, %s",
                later.sha,
                format_utc(later.committed),
                format_utc(then),
            )


class PlanBake(BakehouseOperator):
    """Plans the bake, or names the reason why nothing is baked -> BakePlan. Creates no resource."""

    operator_extra_links = (ImageLink(),)  # the base image

    def __init__(
        self,
        *,
        recipe: str,
        git_conn_id: str = GIT,
        include: Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.recipe = recipe
        self.git_conn_id = git_conn_id
        self.include = str(include) if include else None

    def reconcile(self, context: Context) -> Next:
        """Read the recipe, resolve the base image, decide whether to bake."""
        commit = self.received(context, "resolve_commit", Commit)
        form = self.params_of(context, BakeParams)
        now, history = time_of(context), is_backfill(context)
        sources = RecipeSource(self.git_conn_id).read(self.recipe, commit)
        snapshot = snapshot_of(sources.recipe, form, now, history=history)
        recipe = _with_answers(sources.recipe, form)
        rendered = sources.render(form.vars, snapshot)
        promoted = parent_image(context)
        local = commit.work_tree
        shared = None if history or local else _shared_reads(context)
        reads = ImageReads(self.compute, shared)
        base = self._base_image(reads, recipe, now if history else None, promoted, local=local)
        base_image.check_fits(base, recipe.builder)
        bundle = Bundle(rendered, base.id)
        key = bundle.content_key
        plan = self._plan(context, commit, recipe, base, key, form, snapshot, reads, shared)
        self.log.info("content key %s", key)
        if plan.bake:
            self.log.info("rendered scripts stored in %s", bundle_store().put(bundle))
            self.log.info("will bake %s: %s", plan.image_name, plan.reason.text)
            self._tell_cost(plan)
        return Done(plan.model_dump(mode="json"))

    def _tell_cost(self, plan: BakePlan) -> None:
        """Say what the bake will cost, where the project has prices; it stops no bake."""
        prices = read_prices(self.include, self.log.warning)
        if prices is None:
            return
        from bakehouse.bake.cost import cost_lines
        from bakehouse.history.location import ledger_url

        past = recent_bakes(ledger_url(), datetime.now(UTC), self.log.warning)
        for line in cost_lines(plan, past, prices):
            self.log.info("%s", line)

    def _plan(
        self,
        context: Context,
        commit: Commit,
        recipe: Recipe,
        base: BaseImage,
        key: str,
        form: BakeParams,
        snapshot: str | None,
        reads: ImageReads,
        shared: SharedReads | None,
    ) -> BakePlan:
        ti, now, history = context["ti"], time_of(context), is_backfill(context)
        images = reads.images_of_recipe(recipe.name, recipe.image.kind)
        existing = newest_with_content(key, images, history=history)
        blamed = None if history else rolled_back_with_content(key, images)
        compared = blamed or existing
        chosen = decide(
            existing,
            force=form.force,
            rebake=recipe.rebake,
            max_age=recipe.max_age,
            now=now,
            history=history,
            superseded=is_superseded(existing, images),
            rolled_back=blamed is not None,
            updates=self._updates(compared, now, shared) if compared and not snapshot else None,
        )
        if chosen.reason is Reason.ROLLED_BACK:
            existing = blamed
        return BakePlan(
            recipe=recipe.name,
            commit=commit,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            run=run_label(ti.dag_id, ti.run_id),
            image_name=image_name(recipe.name, now, commit.sha, ti.run_id),
            content_key=key,
            base_image=base,
            parent=parent_of(recipe),
            promoted=parent_image(context),
            vars=form.vars,
            builder=recipe.builder,
            image=recipe.image,
            smoke=SmokeSettings(
                deadline=recipe.smoke.deadline, boot_time_limit=recipe.boot_time_limit
            ),
            snapshot=snapshot,
            keep_builder=form.keep_builder,
            force=form.force,
            history=history,
            bake=chosen.bake,
            reason=chosen.reason,
            existing_image=str(existing["name"]) if existing else None,
            updates=chosen.updates,
            created=now,
        )

    def _updates(
        self, existing: Mapping[str, Any], now: datetime, shared: SharedReads | None
    ) -> Callable[[], Updates]:
        def look_at_archives() -> Updates:
            from bakehouse.history.location import ledger_url
            from bakehouse.updates.check import find_updates

            found = find_updates(ledger_url(), str(existing["name"]), now, shared)
            self.log.info("%s: %s", found.image, found.in_words())
            for update in found.found:
                self.log.info("  %s", update)
            return found

        return look_at_archives

    def _base_image(
        self,
        reads: ImageReads,
        recipe: Recipe,
        then: datetime | None,
        promoted: str | None,
        *,
        local: bool,
    ) -> BaseImage:
        if promoted:
            self.log.info("the promotion of %s triggered this bake", promoted)
        base = base_image.resolve(reads, recipe.base, then, promoted, local=local)
        gone = base.reason is Reason.BASE_OF_THAT_DATE_GONE
        told = self.log.warning if gone else self.log.info
        self.link_image(base.name, base.project)
        told("base image %s (%s): %s", base.name, recipe.base, base.reason.text)
        return base


def _with_answers(recipe: Recipe, form: BakeParams) -> Recipe:
    """Return the recipe with the zone and the spot VM of the form. Raises PermanentError."""
    answers = {"zones": form.zones(recipe), "spot": _spot(recipe, form)}
    builder = recipe.builder.model_copy(update=answers)
    asked = recipe.model_copy(update={"builder": builder})
    if found := problems_of(asked):
        wrong = "; ".join(
            f"{'.'.join(map(str, one.loc))} {one.problem}. {one.remedy}" for one in found
        )
        raise PermanentError(f"with zone {form.zone}: {wrong}")
    return asked


def _spot(recipe: Recipe, form: BakeParams) -> bool:
    wanted = form.wants_spot(recipe)
    if wanted and recipe.image.kind == MACHINE_IMAGE:
        raise PermanentError(
            "not a spot VM: the instances of a machine image would be spot VMs too"
        )
    return wanted


def _shared_reads(context: Context) -> SharedReads | None:
    """Return the answers that this try may use: a later one, as after a clear, reads anew."""
    from bakehouse.history.location import ledger_url
    from bakehouse.history.shared_reads import SharedReads

    ti, run = context["ti"], context["dag_run"]
    since = getattr(run if ti.try_number == 1 else ti, "start_date", None)
    return SharedReads(ledger_url(), since) if since else None


def time_of(context: Context) -> datetime:
    """Return the run's time: its scheduled time, else the time when it was triggered.

    The scheduled time is the end of the data interval, or the partition date (`NightlyOrParent`).
    """
    run = context["dag_run"]
    night = None if parent_image(context) else run.partition_date
    when: datetime = run.data_interval_end or night or run.run_after
    return when


def parent_image(context: Context) -> str | None:
    """Return the name of the image whose promotion has triggered this run."""
    run = context["dag_run"]
    kind = getattr(run.run_type, "value", run.run_type)
    return str(run.partition_key) if kind == "asset_triggered" and run.partition_key else None
