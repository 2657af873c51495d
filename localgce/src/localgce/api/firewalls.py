"""Firewalls: kept and shown, not enforced."""

from __future__ import annotations

from localgce import errors
from localgce.api import kept
from localgce.errors import Json
from localgce.http.call import Call
from localgce.resources import links


def insert(call: Call) -> Json:
    """A rule, which either allows or denies."""
    if ("allowed" in call.body) == ("denied" in call.body):
        text = "A firewall has either allowed or denied."
        raise errors.invalid("resource.allowed", len(call.body.get("allowed", [])), text)
    network = call.link(call.body.get("network", "global/networks/default"), "resource.network")
    defaults = {"direction": "INGRESS", "priority": 1000, "disabled": False}
    fields = {key: call.body.get(key, value) for key, value in defaults.items()}
    record = kept.new(call, "firewall", network=links.url(network.path), **fields)
    return kept.begin_insert(call, record)


def get(call: Call) -> Json:
    """One rule."""
    return call.record().body


def list_(call: Call) -> Json:
    """All of the project."""
    return kept.page(call, "firewall")


def patch(call: Call) -> Json:
    """Replace the given fields."""
    return call.begin(call.record(), "kept.patch", changes=call.body)


def delete(call: Call) -> Json:
    """Forget the rule."""
    return kept.begin_delete(call, call.record())
