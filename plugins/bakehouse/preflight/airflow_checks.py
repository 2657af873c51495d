"""What of git, of Airflow's settings and of the triggerer keeps a bake from working. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.check import Check, failed, passed
from bakehouse.preflight.facts import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.preflight.facts import AirflowFacts, GitFacts, TriggererFacts
    from bakehouse.preflight.needs import Needs

SETTINGS = "Airflow settings"
LOCAL = "LocalExecutor"
PATIENT = "LastWordExecutor"  # docs/decisions/0035
FIRST_LOOK = 1.0  # seconds: docs/decisions/0035 says why
SQLITE_RUNS = 10  # at a time, above which SQLite is locked too often
TRIGGERS_OF_A_RUN = 2  # a wait, and the watcher of the SLAs


def check_git(facts: GitFacts) -> Check:
    """Whether the recipes are found in the repository that bakes read."""
    name = "git"
    if isinstance(facts.commit, Unread):
        return failed(
            name,
            facts.commit.problem,
            f"airflow connections delete {facts.connection}; airflow connections add"
            f" {facts.connection} --conn-type git --conn-host URL",
        )
    if facts.missing:
        files = " ".join(f"include/recipes/{recipe}.yaml" for recipe in facts.missing)
        return failed(
            name,
            f"commit {facts.commit[:7]} does not have {', '.join(facts.missing)}",
            f"git add {files} && git commit && git push",
        )
    return passed(name, f"commit {facts.commit[:7]} has all recipes")


def check_settings(facts: AirflowFacts, needs: Needs, at_a_time: int) -> list[Check]:
    """Return a line for each setting that is wrong, or one that all is well."""
    wrong = list(_wrong_settings(facts, needs, at_a_time))
    return wrong or [passed(SETTINGS, f"{facts.executor}, nothing that bakes would stumble over")]


def _wrong_settings(facts: AirflowFacts, needs: Needs, at_a_time: int) -> Iterator[Check]:
    if facts.executor.endswith(LOCAL) and facts.heartbeat_seconds > 1:
        yield failed(
            SETTINGS,
            f"[workers] min_heartbeat_interval is {facts.heartbeat_seconds:g} s: with {LOCAL}"
            " a task that defers soon is taken for failed",
            "export AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1",
        )
    if not facts.executor.endswith(PATIENT) and facts.first_look_seconds < FIRST_LOOK:
        yield failed(
            SETTINGS,
            f"[bakehouse] first_look is {facts.first_look_seconds:g} s, which {facts.executor}"
            " takes for a failure",
            "export AIRFLOW__BAKEHOUSE__FIRST_LOOK=1.5",
        )
    waits = TRIGGERS_OF_A_RUN * (min(len(needs.builders), at_a_time) + needs.members)
    if facts.triggerer_capacity < waits:
        yield failed(
            SETTINGS,
            f"[triggerer] capacity is {facts.triggerer_capacity}: builders and members may wait"
            f" {waits} times at once",
            f"export AIRFLOW__TRIGGERER__CAPACITY={max(1000, waits)}   # or more triggerers",
        )
    if facts.database == "sqlite" and min(len(needs.builders), at_a_time) > SQLITE_RUNS:
        yield failed(
            SETTINGS,
            f"the database is SQLite, which fails under more than {SQLITE_RUNS} runs at a time",
            "export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://USER:PW@HOST/airflow",
        )
    if facts.is_composer and facts.timetable != "builtin":
        yield failed(
            SETTINGS,
            "[bakehouse] timetable is not builtin: the scheduler of Managed Service for Apache"
            " Airflow loads no timetable of a plugin",
            "gcloud composer environments update ENVIRONMENT --location REGION"
            " --update-airflow-configs bakehouse-timetable=builtin",
        )


def check_triggerer(facts: TriggererFacts, version: str) -> Check:
    """Whether the triggerer has our triggers, and of the version that the workers have."""
    name, install = "triggerer", f"pip install bakehouse=={version}   # where the triggerer runs"
    if facts.problem:
        return failed(name, facts.problem, f"{install}, and start it again")
    if facts.version != version:
        found = f"has Bakehouse {facts.version}, the workers have {version}"
        return failed(name, found, f"{install}, and start it again")
    return passed(name, f"has the triggers of Bakehouse {version}")
