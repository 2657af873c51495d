"""What a rollout asks before it stops a member, and what it orders around the stop. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.recipe.duration import Duration

NAMES = ("fleet", "member", "zone")  # that a URL or a query may use, such as $member
_NAME = re.compile(r"\$(?:\{([a-z_]+)\}|([a-z_]+))")
_BOOL = re.compile(r"(?:==|!=|<=|>=|<|>)\s*bool\b")
_CONNECTION = r"^[A-Za-z0-9_.:-]{1,200}$"


def filled(text: str, values: dict[str, str]) -> str:
    """Return the text with the values of its names; all else stays, a `$` of a pattern too."""
    return _NAME.sub(lambda found: values.get(found[1] or found[2], found[0]), text)


def _known_names(text: str) -> str:
    unknown = sorted({one or other for one, other in _NAME.findall(text)} - set(NAMES))
    if unknown:
        raise PydanticCustomError(
            "names",
            "uses ${name}, which is none of {known}",
            {"name": unknown[0], "known": ", ".join(f"${name}" for name in NAMES)},
        )
    return text


def _not_bool(query: str) -> str:
    if _BOOL.search(query):
        raise PydanticCustomError(
            "query",
            "compares with bool, which has a result whether it is true or not: leave bool out",
        )
    return query


Url = Annotated[
    str,
    StringConstraints(
        pattern=worded(r"^https?://[!-~]{1,2000}$", "is not a URL of http or https without spaces")
    ),
    AfterValidator(_known_names),
]
Connection = Annotated[
    str,
    StringConstraints(pattern=worded(_CONNECTION, "is not the id of an Airflow connection")),
]


class HttpCheck(Frozen):
    """A request that must succeed; redirects are not followed."""

    url: Url = Field(description="such as https://lb.example/safe-to-stop/$member")
    status: int | None = Field(
        default=None, ge=100, le=599, description="such as 204; any of 200 to 299 by default"
    )
    conn_id: Connection | None = Field(
        default=None, description="an Airflow connection with login and password, or a token"
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10), le=timedelta(minutes=1), description="such as 5s"
    )


class PrometheusCheck(Frozen):
    """A query that must have a result, as a comparison that holds has; or, as an alert, none."""

    url: Url = Field(description="of the server, such as http://prometheus:9090")
    query: Annotated[str, AfterValidator(_known_names), AfterValidator(_not_bool)] = Field(
        min_length=1,
        max_length=10_000,
        description="such as sum(kafka_under_replicated_partitions) == 0",
    )
    expect: Literal["result", "no_result"] = Field(
        default="result", description="result, or no_result for the query of an alert"
    )
    conn_id: Connection | None = Field(
        default=None, description="an Airflow connection with login and password, or a token"
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10), le=timedelta(minutes=1), description="such as 5s"
    )


class Gate(Frozen):
    """What must say yes before a member is stopped; each check that is given, and `gate` of it."""

    description: str = Field(
        default="whether the member may be stopped", description="what is asked, for people"
    )
    hint: str = Field(
        default="look at what it names; to replace the member all the same, say gate: {script:"
        " ignored} in the fleet file",
        description="what a person does when it stays closed",
    )
    script: Literal["if_present", "required", "ignored"] = Field(
        default="if_present",
        description="the image's own `gate`: if_present, required (a member without one is not"
        " stopped) or ignored",
    )
    http: HttpCheck | None = Field(
        default=None, description="a request that must succeed, such as {url: https://…/$member}"
    )
    prometheus: PrometheusCheck | None = Field(
        default=None, description="a query that must have a result: {url: …, query: …}"
    )
    deadline: Duration = Field(
        default=timedelta(hours=1), description="how long a member waits for it, such as 2h"
    )


class Step(Frozen):
    """What the image's script of this name does with a member, and how long it may take."""

    description: str = Field(default="", description="what it does, for people")
    hint: str = Field(default="", description="what a person does when it fails")
    deadline: Duration = Field(
        default=timedelta(minutes=5), le=timedelta(hours=2), description="such as 10m"
    )


DRAIN = Step(
    description="takes the load off the member",
    hint="see the answer in the log; /usr/lib/bakehouse/drain is the script, on the member",
)
RESUME = Step(
    description="gives the member its load again",
    hint="see the answer in the log; /usr/lib/bakehouse/resume is the script, on the member",
)
