"""Instances: creation, states, what can be read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import errors
from localgce.core.errors import ApiError, Json
from localgce.http.listing import list_of, zonal
from localgce.instances import commands, templates

if TYPE_CHECKING:
    from localgce.core.store import Record


@method("compute.instances.insert")
def insert(call: Call) -> Json:
    """Create an instance with its disks."""
    call.context.refuse_existing("instances", call.body["name"])
    template = call.query.get("sourceInstanceTemplate")
    machine_image = call.query.get("sourceMachineImage")
    body = templates.insert_body(call.context, call.body, template, machine_image)
    return commands.insert(call.context, call.services.addresses, body).body


@method("compute.instances.get")
def get(call: Call) -> Json:
    """One instance."""
    return call.record().body


@method("compute.instances.list")
def list_(call: Call) -> Json:
    """The instances of a zone."""
    return list_of(call, "instance", [record.body for record in call.records()])


@method("compute.instances.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The instances of all zones."""
    return zonal(call, "instance", [record.body for record in call.records(everywhere=True)])


@method("compute.instances.delete")
def delete(call: Call) -> Json:
    """Delete the instance, and its disks with autoDelete."""
    return commands.delete(call.context, call.record()).body


@method("compute.instances.start", "compute.instances.startWithEncryptionKey")
def start(call: Call) -> Json:
    """Start; the keys of disks have no effect."""
    return commands.start(call.context, call.record()).body


@method("compute.instances.stop")
def stop(call: Call) -> Json:
    """Stop."""
    discard = call.query.get("discardLocalSsd")
    return commands.stop(call.context, call.record(), discard=discard).body


@method("compute.instances.reset")
def reset(call: Call) -> Json:
    """Press the reset button."""
    return commands.reset(call.context, call.record()).body


@method("compute.instances.suspend")
def suspend(call: Call) -> Json:
    """Stop the CPU and keep the memory."""
    discard = call.query.get("discardLocalSsd")
    return commands.suspend(call.context, call.record(), discard=discard).body


@method("compute.instances.resume")
def resume(call: Call) -> Json:
    """Continue a suspended instance."""
    return commands.resume(call.context, call.record()).body


@method("compute.instances.simulateMaintenanceEvent")
def simulate_maintenance_event(call: Call) -> Json:
    """Do what a maintenance of the host does."""
    return commands.simulate_maintenance_event(call.context, call.record()).body


@method("compute.instances.getSerialPortOutput")
def get_serial_port_output(call: Call) -> Json:
    """The output of a serial port, from `start` on."""
    instance = call.record()
    port = call.query.get("port", 1)
    start_at = call.query.get("start", 0)
    contents, first, following = call.services.lifecycle.serial(instance, port, start_at)
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": f"{instance.link}/serialPort",
        "contents": contents.decode(errors="replace"),
        "start": str(first),
        "next": str(following),
    }


@method("compute.instances.getGuestAttributes")
def get_guest_attributes(call: Call) -> Json:
    """Guest attributes, by `queryPath` (`namespace/` or `namespace/key`) or `variableKey`."""
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
        # by these words `gcloud compute ssh` knows that the guest has published no host keys
        text = f"The resource '{wanted}' of type 'Guest Attribute' was not found."
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
    attributes, faults = call.services.guest_attributes, call.context.core.faults
    if not attributes.enabled(instance):
        return {}
    if faults.denies_guest_attributes(instance.name, instance.body["status"]):
        raise errors.not_found(f"{instance.path}/guestAttributes")
    return attributes.all(instance)
