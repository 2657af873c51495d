"""When an instance is ready: the block `ready` of a recipe, and the names of units. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.recipe.duration import Duration

# Compute Engine takes 10 guest attributes a minute from an instance: this leaves more than half.
PERIOD = timedelta(seconds=15)


def _at_most_a_minute(value: timedelta) -> timedelta:
    # `le` of an optional duration would be told as datetime.timedelta(seconds=60)
    if value > timedelta(minutes=1):
        raise PydanticCustomError("min_ready", "must be at most 1 minute")
    return value


def _not_a_template(value: str) -> str:
    if re.search(r"@(?:\.[a-z]+)?$", value):
        template = value.partition("@")[0]
        raise PydanticCustomError("unit", f"is a template; name an instance, such as {template}@1")
    return value


UnitName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,200}$",
            "is not the name of a systemd unit alone, without spaces",
        )
    ),
    AfterValidator(_not_a_template),
]


class HttpCheck(Frozen):
    """An HTTP request that must succeed; redirects are not followed."""

    port: int = Field(default=80, ge=1, le=65_535, description="such as 8080")
    path: str = Field(
        default="/",
        pattern=worded(r"^/[!-~]{0,1000}$", "is not a path that begins with / and has no space"),
        description="what is requested, such as /healthz",
    )
    status: int | None = Field(
        default=None, ge=100, le=599, description="such as 204; any of 200 to 399 by default"
    )
    scheme: Literal["http", "https"] = Field(
        default="http", description="http or https, whose certificate is not verified"
    )


class Ready(Frozen):
    """When an instance is ready: each check that is given must succeed.

    The units of `services` and the script `health` are judged besides, whatever is given here.
    """

    tcp: int | None = Field(
        default=None, ge=1, le=65_535, description="a port that accepts connections, such as 9092"
    )
    http: HttpCheck | None = Field(
        default=None, description="a request that succeeds, such as {port: 8080, path: /healthz}"
    )
    unit: UnitName | None = Field(
        default=None, description="a systemd unit that is active, such as docker.service"
    )
    script: str | None = Field(
        default=None,
        pattern=worded(
            r"^(?:/[!-~]{1,1000}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,200})$",
            "is neither a file at the top of the scripts' folder nor a path that begins with /",
        ),
        description="a program that exits with 0: a file of the scripts' folder, or a path",
    )
    host: str = Field(
        default="localhost",
        pattern=worded(
            r"^[A-Za-z0-9:][A-Za-z0-9.:-]{0,253}$", "is neither the name of a host nor an address"
        ),
        description="what tcp and http connect to, such as 127.0.0.1",
    )
    interval: Duration | None = Field(
        default=None, description="pause between two tries, such as 2s; 0.3 seconds by default"
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10), description="of one try of one check, such as 5s"
    )
    deadline: Duration | None = Field(
        default=None,
        description="time from the start of the services to ready; boot_time_limit by default",
    )
    min_ready: Annotated[Duration, AfterValidator(_at_most_a_minute)] | None = Field(
        default=None,
        description="how long the units must stay without restart once all is ready, at most 1m;"
        " by default until 3 seconds after their start, and 1 second if they say themselves that"
        " they are up",
    )
    period: Duration = Field(
        default=PERIOD,
        ge=timedelta(seconds=10),
        le=timedelta(minutes=10),
        description="between two health reports of an instance, from 10s to 10m; 15s by default",
    )

    @property
    def is_declared(self) -> bool:
        """Whether the recipe says what is checked; else an image keeps what its base declares."""
        return self.model_copy(update={"period": PERIOD}) != Ready()

    @property
    def own_script(self) -> str | None:
        """The script of the recipe's folder, if `script` names one."""
        return None if self.script is None or self.script.startswith("/") else self.script
