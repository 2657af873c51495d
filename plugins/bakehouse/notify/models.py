"""The `notify` list of a recipe or fleet file, and the notification itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bakehouse.core.problems import worded


class NotificationEvent(StrEnum):
    """What a notification is about."""

    FAILURE = "failure"
    SLA_MISS = "sla_miss"
    PROMOTION = "promotion"
    ROLLOUT_START = "rollout_start"
    ROLLOUT_HALT = "rollout_halt"
    APPROVAL = "approval"
    ROLL_BACK = "roll_back"
    ROLLOUT_FINISH = "rollout_finish"
    REVOKE = "revoke"


# Short names of common notifiers; any other Airflow notifier is named by its import path.
NOTIFIERS = {
    "smtp": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    "slack": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
}

# Default arguments of the notifiers with short names; the notifier renders them as Jinja2.
DEFAULT_ARGUMENTS = {
    "smtp": {
        "subject": "[bakehouse] {{ notification.title }}",
        "html_content": (
            "<p><b>{{ notification.title | e }}</b></p><p>{{ notification.text | e }}</p>"
            "<p>{{ notification.dag_id | e }}, run {{ notification.run_id | e }}</p>"
        ),
    },
    "slack": {
        "text": "*{{ notification.title }}*\n{{ notification.text }}\n"
        "{{ notification.dag_id }}, {{ notification.run_id }}"
    },
}

ImportPath = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^(smtp|slack|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$",
            "is neither smtp nor slack nor the dotted path of a class",
        )
    ),
]


class Channel(BaseModel):
    """An Airflow notifier, its arguments, and the events that it reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notifier: ImportPath = Field(
        description="smtp, slack, or the import path of an Airflow notifier"
    )
    arguments: dict[str, Any] = Field(
        default={}, description="of the notifier; its templates may use `notification`"
    )
    # not `on`: YAML 1.1 reads that as true
    occasions: tuple[NotificationEvent, ...] = Field(
        default=tuple(NotificationEvent),
        description="all of them, or some such as [failure, sla_miss]",
    )

    @property
    def path(self) -> str:
        """The import path of the notifier's class."""
        return NOTIFIERS.get(self.notifier, self.notifier)

    @property
    def keywords(self) -> dict[str, Any]:
        """The arguments of the notifier's constructor: the user's override the defaults."""
        return {**DEFAULT_ARGUMENTS.get(self.notifier, {}), **self.arguments}


class Notification(BaseModel):
    """A notification. It contains neither secrets nor log text, since it is sent elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    occasion: NotificationEvent
    title: str
    text: str
    dag_id: str
    run_id: str
    task_id: str = ""
