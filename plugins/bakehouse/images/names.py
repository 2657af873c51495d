"""Names of everything a run makes: from the run alone, so that a retry finds its own.

All are RFC 1035 labels of at most 63 characters for any recipe name of at most 35.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256

NAME = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1035, as Compute Engine wants it
ID = r"[0-9]{1,20}"
GIT_HASH = r"[0-9a-fA-F]{7,40}"
_GIT_HASH = re.compile(GIT_HASH, re.ASCII)
_NAME_OR_ID = re.compile(rf"{NAME}|{ID}", re.ASCII)


def image_name(recipe: str, when: datetime, sha: str, run_id: str) -> str:
    """`<recipe>-<yyyymmdd>t<hhmm>-<sha7>-<run4>`; `when` is the data interval's end, with zone."""
    if when.tzinfo is None:
        raise ValueError(f"the time {when.isoformat()} has no time zone")
    stamp = when.astimezone(UTC).strftime("%Y%m%dt%H%M")
    return f"{recipe}-{stamp}-{sha[:7]}-{_hex(run_id, 4)}"


def image_time(name: str) -> datetime | None:
    """The time that an image's name tells, to the minute; None for names that are not ours."""
    parts = name.rsplit("-", 3)
    try:
        return datetime.strptime(parts[-3], "%Y%m%dt%H%M").replace(tzinfo=UTC)
    except (IndexError, ValueError):
        return None


def is_name_or_id(text: str) -> bool:
    """Whether a resource can have this name or this numeric id: other texts reach no API."""
    return _NAME_OR_ID.fullmatch(text) is not None


def is_git_hash(text: str) -> bool:
    """Whether the text may be a commit: its whole hash, or the first 7 characters or more."""
    return _GIT_HASH.fullmatch(text) is not None


def run_label(dag_id: str, run_id: str) -> str:
    """12 hex characters that own everything the run makes."""
    return _hex(f"{dag_id}\n{run_id}", 12)


def builder_name(recipe: str, run_label: str, attempt: int | str) -> str:
    """`bake-<recipe>-<run8>-<attempt>`; the attempt is a number, or `w` and a number."""
    return f"bake-{recipe}-{run_label[:8]}-{attempt}"


def smoke_name(recipe: str, run_label: str, attempt: int) -> str:
    """`smoke-<recipe>-<run8>-<attempt>`."""
    return f"smoke-{recipe}-{run_label[:8]}-{attempt}"


def _hex(text: str, length: int) -> str:
    return sha256(text.encode()).hexdigest()[:length]
