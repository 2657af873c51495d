"""Networks: the default one."""

from __future__ import annotations

from localgce.api import kept
from localgce.errors import Json
from localgce.http.call import Call


def get(call: Call) -> Json:
    """One network."""
    return call.record().body


def list_(call: Call) -> Json:
    """All of the project."""
    return kept.page(call, "network")
