"""Who is told of what: the `notify` list of a recipe or fleet file, and the news itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class NotificationEvent(StrEnum):
    """What can be told."""

    FAILURE = "failure"
    SLA_MISS = "sla_miss"
    PROMOTION = "promotion"
    ROLLOUT_START = "rollout_start"
    ROLLOUT_HALT = "rollout_halt"
    ROLL_BACK = "roll_back"
    ROLLOUT_FINISH = "rollout_finish"
    REVOKE = "revoke"


# Short names for what most teams use; any other Airflow notifier goes by its import path.
NOTIFIERS = {
    "smtp": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    "slack": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
}

# What the short names say when the file does not; Jinja2, rendered by the notifier itself.
WORDING = {
    "smtp": {
        "subject": "[bakehouse] {{ news.title }}",
        "html_content": (
            "<p><b>{{ news.title | e }}</b></p><p>{{ news.text | e }}</p>"
            "<p>{{ news.dag_id | e }}, run {{ news.run_id | e }}</p>"
        ),
    },
    "slack": {"text": "*{{ news.title }}*\n{{ news.text }}\n{{ news.dag_id }}, {{ news.run_id }}"},
}

ImportPath = Annotated[
    str, StringConstraints(pattern=r"^(smtp|slack|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$")
]


class Channel(BaseModel):
    """One Airflow notifier, its arguments, and the occasions on which it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notifier: ImportPath = Field(
        description="smtp, slack, or the import path of an Airflow notifier"
    )
    arguments: dict[str, Any] = Field(
        default={}, description="of the notifier; templates see `news`"
    )
    # not `on`: YAML 1.1 reads that as true
    occasions: tuple[NotificationEvent, ...] = Field(
        default=tuple(NotificationEvent),
        description="all of them, or some such as [failure, sla_miss]",
    )

    @property
    def path(self) -> str:
        """Import path of the notifier's class."""
        return NOTIFIERS.get(self.notifier, self.notifier)

    @property
    def keywords(self) -> dict[str, Any]:
        """Arguments for the notifier's constructor, our wording below the user's own."""
        return {**WORDING.get(self.notifier, {}), **self.arguments}


class Notification(BaseModel):
    """What is told; no secrets, no log text: it leaves the house."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    occasion: NotificationEvent
    title: str
    text: str
    dag_id: str
    run_id: str
    task_id: str = ""
