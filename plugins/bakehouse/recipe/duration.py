"""Durations in files that users write: `90s`, `10m`, `2h`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

PATTERN = r"^(?=.)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?$"
UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))

JITTER = timedelta(minutes=15)  # of a recipe that does not say
LONGEST = timedelta(days=3650)  # longer ones lead to dates that Python does not have

_DURATION = re.compile(PATTERN, re.ASCII)


def parse_duration(value: object) -> timedelta:
    """Parse `1h30m`: whole seconds, more than zero, the largest unit first.

    Raises PydanticCustomError, so that pydantic can use it as a validator.
    """
    if isinstance(value, timedelta):
        return _in_bounds(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("duration", "is not a duration such as 90s, 10m, 2h, 7d or 1h30m")
    parts = zip(match.groups(), UNITS, strict=True)
    return _in_bounds(timedelta(seconds=sum(int(n or 0) * unit for n, (_, unit) in parts)))


def format_duration(value: timedelta) -> str:
    """Write a duration in its shortest form, which `parse_duration` can read."""
    left = int(value.total_seconds())
    text = ""
    for letter, unit in UNITS:
        count, left = divmod(left, unit)
        text += f"{count}{letter}" if count else ""
    return text


def _in_bounds(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise PydanticCustomError("duration", "must be at least 1s")
    if value > LONGEST:
        raise PydanticCustomError("duration", "must be at most 3650d")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
