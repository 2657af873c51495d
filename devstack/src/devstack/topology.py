"""The processes of Airflow that a stack consists of, with their settings."""

from __future__ import annotations

from dataclasses import dataclass, field

API = "api-server"
EXECUTION = "execution-api"
WORKERS = ("worker", "worker-2")
# of each worker; a task is two processes, and several tasks of a bake never run at once
CONCURRENCY = 4
# In the hour behind a recipe's time its scheduled run would come first.
NO_SCHEDULE = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"}


def _one_of_each() -> dict[str, list[str]]:
    """`--skip-serve-logs`: their log servers would listen on all interfaces."""
    return {
        API: ["api-server"],
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "triggerer": ["triggerer", "--skip-serve-logs"],
        "dag-processor": ["dag-processor"],
    }


@dataclass(frozen=True)
class Topology:
    """By default one process of each kind, on SQLite, its tasks beside the scheduler.

    components: program, as supervised and logged -> arguments of `airflow`.
    settings: variables over those of every stack; they may hold passwords.
    answers: program -> URL that answers 200 once it is up. Those of every stack need none.
    """

    components: dict[str, list[str]] = field(default_factory=_one_of_each)
    settings: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)


def distributed(database: str, broker: str, execution_port: int) -> Topology:
    """Two schedulers, two triggerers, two Celery workers, and an Execution API server of its own.

    database: `user:password@host:port/name` of a PostgreSQL. broker: a `redis://` URL.
    """
    one = _one_of_each()
    execution = f"http://127.0.0.1:{execution_port}/execution/"
    return Topology(
        components={
            API: [*one[API], "--apps", "core"],
            EXECUTION: [*one[API], "--apps", "execution", "--port", str(execution_port)],
            "scheduler": one["scheduler"],
            "scheduler-2": one["scheduler"],
            "triggerer": one["triggerer"],
            "triggerer-2": one["triggerer"],
            "dag-processor": one["dag-processor"],
            **{name: _worker(name) for name in WORKERS},
        },
        settings={
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__BAKEHOUSE__FIRST_LOOK": "1.5",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": execution,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",  # else a process per core asks for states
        },
        answers={EXECUTION: f"{execution}health"},
    )


def _worker(name: str) -> list[str]:
    return [
        "celery", "worker", "--skip-serve-logs", "--concurrency", str(CONCURRENCY),
        "--celery-hostname", f"{name}@localhost", "--without-gossip", "--without-mingle",
    ]  # fmt: skip
