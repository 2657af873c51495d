"""Instances: what can be read of them."""

from __future__ import annotations

from localgce import errors
from localgce.errors import ApiError, Json
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.resources import catalog
from localgce.state.store import Record


def get(call: Call) -> Json:
    """One instance."""
    return call.record().body


def list_(call: Call) -> Json:
    """Those of a zone."""
    found = call.service.store.all("instances", call.project, call.scope)
    return list_of(call, "instance", [record.body for record in found])


def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    found = call.service.store.all("instances", call.project)
    scopes = [f"zones/{zone}" for zone in catalog.zones()]
    return aggregated(call, "instance", [record.body for record in found], scopes)


def get_serial_port_output(call: Call) -> Json:
    """What a serial port said, from `start` on."""
    instance = call.record()
    port = call.query.get("port", 1)
    start = call.query.get("start", 0)
    contents, first, following = call.service.lifecycle.serial(instance, port, start)
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": f"{instance.link}/serialPort",
        "contents": contents.decode(errors="replace"),
        "start": str(first),
        "next": str(following),
    }


def get_guest_attributes(call: Call) -> Json:
    """What the guest said, by `queryPath` (`namespace/` or `namespace/key`) or `variableKey`."""
    instance = call.record()
    values = _guest_values(call, instance)
    wanted = call.query.get("queryPath", call.query.get("variableKey", ""))
    namespace, _, key = wanted.strip("/").partition("/")
    found = [
        {"namespace": name, "key": k, "value": v}
        for name, keys in sorted(values.items())
        for k, v in sorted(keys.items())
        if namespace in {"", name} and key in {"", k}
    ]
    if not found:
        path = f"{instance.path}/guestAttributes/{wanted}"
        text = f"The resource '{path}' of type 'Guest Attribute' was not found."
        raise ApiError(404, "notFound", text)
    body: Json = {
        "kind": "compute#guestAttributes",
        "selfLink": f"{instance.link}/getGuestAttributes",
        "queryPath": wanted,
        "queryValue": {"items": found},
    }
    if "variableKey" in call.query:
        body = {**body, "variableKey": wanted, "variableValue": found[0]["value"]}
    return body


def _guest_values(call: Call, instance: Record) -> dict[str, dict[str, str]]:
    service = call.service
    if not service.guest_attributes.enabled(instance):
        return {}
    if service.faults.denies_guest_attributes(instance.name, instance.body["status"]):
        raise errors.not_found(f"{instance.path}/guestAttributes")
    return service.guest_attributes.all(instance)
