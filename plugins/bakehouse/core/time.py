"""Moments as Compute Engine writes them and as a log shows them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_timestamp(text: object) -> datetime:
    """An aware moment from RFC 3339 text; one without an offset is UTC.

    Raises:
        ValueError: The text is no timestamp.
    """
    moment = datetime.fromisoformat(str(text))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def format_utc(moment: datetime) -> str:
    """A moment as a log shows it: `2026-11-27 03:04:05 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def in_short(seconds: float) -> str:
    """Return a duration for people: `45 s`, `12 min 30 s`, `3 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, left = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {left} s" if left else "")
    hours, minutes = divmod(minutes + (left >= 30), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")
