"""Operations of zones, regions and the project: one file, because they only differ by scope."""

from __future__ import annotations

from localgce.errors import ApiError, Json
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.operations import KINDS
from localgce.resources import catalog

WAIT_SECONDS = 120.0


def get(call: Call) -> Json:
    """One operation."""
    return call.record().body


def list_(call: Call) -> Json:
    """Those of the scope."""
    found = call.service.store.all(call.method.resource, call.project, call.scope)
    return list_of(call, "operation", [record.body for record in found])


def aggregated_list(call: Call) -> Json:
    """Those of all scopes."""
    found = [r.body for kind in KINDS for r in call.service.store.all(kind, call.project)]
    scopes = [
        "global",
        *(f"regions/{region}" for region in catalog.REGIONS),
        *(f"zones/{zone}" for zone in catalog.zones()),
    ]
    return aggregated(call, "operation", found, scopes)


async def wait(call: Call) -> Json:
    """The operation when it is done, or as it is after two minutes."""
    done = await call.service.operations.wait(call.record(), WAIT_SECONDS)
    return done.body


def delete(call: Call) -> Json:
    """Forget one that is done."""
    operation = call.record()
    if operation.body["status"] != "DONE":
        text = f"The operation '{operation.name}' is not done."
        raise ApiError(400, "badRequest", text)
    call.service.operations.forget(operation)
    return {}
