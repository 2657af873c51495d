"""One Airflow DAG per recipe: from a commit to a promoted image, and to the fleets that follow."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import chain

from bakehouse.bake.builder_operators import CreateBuilder, DeleteBuilder, WaitForShutdown
from bakehouse.bake.image_operators import CreateImage, LabelImage
from bakehouse.bake.need import NeedBake
from bakehouse.bake.plan_operators import PlanBake, ResolveCommit
from bakehouse.config.project import read_project
from bakehouse.dag_factory.bake import dag_of, step
from bakehouse.dag_factory.rollout import with_bake
from bakehouse.promote.operators import PromoteImage, PublishImage
from bakehouse.sla.operators import watch_slas
from bakehouse.smoke.operators import SmokeTest

# A broken recipe has no DAG; dags/broken_recipes.py shows what is wrong with it.
project = read_project(Path(__file__).parent.parent / "include")

for recipe in project.recipes:
    with dag_of(recipe, project.recipes, project.fleets) as dag:
        resolve_commit = ResolveCommit(recipe=recipe.name, **step(recipe, "resolve_commit"))
        plan_bake = PlanBake(recipe=recipe.name, **step(recipe, "plan_bake"))
        need_bake = NeedBake(**step(recipe, "need_bake"))
        create_builder = CreateBuilder(**step(recipe, "create_builder"))
        wait_for_shutdown = WaitForShutdown(**step(recipe, "wait_for_shutdown"))
        create_image = CreateImage(**step(recipe, "create_image"))
        label_image = LabelImage(**step(recipe, "label_image"))
        smoke_test = SmokeTest(**step(recipe, "smoke_test"))
        promote_image = PromoteImage(notify=recipe.notify, **step(recipe, "promote_image"))
        publish_image = PublishImage(recipe=recipe.name, **step(recipe, "publish_image"))
        delete_builder = DeleteBuilder(**step(recipe, "delete_builder"))

        chain(resolve_commit, plan_bake, need_bake, create_builder, wait_for_shutdown)
        chain(wait_for_shutdown, create_image, label_image, smoke_test)
        chain(smoke_test, promote_image, publish_image)
        for replace_instances in with_bake(project.fleets, recipe.name):
            publish_image >> replace_instances
        smoke_test >> delete_builder.as_teardown(setups=plan_bake, on_failure_fail_dagrun=True)
        watch_slas(dag, recipe.name, recipe.notify)
