"""Firewalls: stored and shown; they open ports, and close none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import crud, errors, links
from localgce.http.listing import list_of
from localgce.networks import firewall_ports

if TYPE_CHECKING:
    from localgce.core.errors import Json

NETWORK = "resource.network"
_DEFAULTS: Json = {"direction": "INGRESS", "priority": 1000, "disabled": False}


@method("compute.firewalls.insert")
def insert(call: Call) -> Json:
    """Create a rule, which either allows or denies."""
    _check_rule(call.body)
    given = call.body.get("network", "global/networks/default")
    network = call.context.link(given, NETWORK)
    fields = {key: call.body.get(key, value) for key, value in _DEFAULTS.items()}
    fields["network"] = links.url(network.path)
    record = crud.new(call.context, "firewall", "firewalls", call.body, **fields)
    return crud.begin_insert(call.context, record).body


@method("compute.firewalls.get")
def get(call: Call) -> Json:
    """One rule."""
    return call.record().body


@method("compute.firewalls.list")
def list_(call: Call) -> Json:
    """The rules of the project."""
    return list_of(call, "firewall", [record.body for record in call.records()])


@method("compute.firewalls.patch")
def patch(call: Call) -> Json:
    """Replace the given fields."""
    changes = dict(call.body)
    if "network" in changes:
        changes["network"] = links.url(call.context.link(changes["network"], NETWORK).path)
    return crud.begin_patch(call.context, call.record(), changes).body


@method("compute.firewalls.update")
def update(call: Call) -> Json:
    """Replace the rule: what the body does not name has its default again."""
    record = call.record()
    fixed = ("kind", "id", "creationTimestamp", "selfLink", "name")
    given = {key: value for key, value in call.body.items() if key not in fixed}
    _check_rule(given)
    gone = dict.fromkeys(set(record.body) - {*fixed, "network"})
    return crud.begin_patch(call.context, record, {**gone, **_DEFAULTS, **given}).body


@method("compute.firewalls.delete")
def delete(call: Call) -> Json:
    """Delete a rule."""
    return crud.begin_delete(call.context, call.record()).body


@method("compute.instances.getEffectiveFirewalls")
def of_instance(call: Call) -> Json:
    """The rules that are for an instance; there are no firewall policies."""
    instance = call.record()
    nics = [nic["name"] for nic in instance.body["networkInterfaces"]]
    asked = call.query["networkInterface"]
    if asked not in nics:
        text = f"No such network interface: '{asked}'."
        raise errors.invalid("networkInterface", asked, text)
    return {"firewalls": firewall_ports.effective(_rules(call), instance.body)}


@method("compute.networks.getEffectiveFirewalls")
def of_network(call: Call) -> Json:
    """The rules of a network; there are no firewall policies."""
    network = call.record()
    return {"firewalls": [rule for rule in _rules(call) if rule["network"] == network.link]}


def _rules(call: Call) -> list[Json]:
    context = call.context
    return [record.body for record in context.store.all("firewalls", context.project)]


def _check_rule(body: Json) -> None:
    if ("allowed" in body) == ("denied" in body):
        text = "A firewall has either allowed or denied."
        raise errors.invalid("resource.allowed", len(body.get("allowed", [])), text)
