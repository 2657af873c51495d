"""Autoscalers: there are none, and clients that ask for groups ask for them too."""

from __future__ import annotations

from localgce import errors
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.resources import catalog


def get(call: Call) -> Json:
    """None."""
    path = f"projects/{call.project}/{call.scope}/autoscalers/{call.path['autoscaler']}"
    raise errors.not_found(path)


def list_(call: Call) -> Json:
    """An empty list."""
    return list_of(call, "autoscaler", [])


def aggregated_list(call: Call) -> Json:
    """Empty lists."""
    return aggregated(call, "autoscaler", [], [f"zones/{zone}" for zone in catalog.zones()])
