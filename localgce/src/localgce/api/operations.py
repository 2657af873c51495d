"""Operations of zones, regions and the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import ApiError
from localgce.core.operations import KINDS
from localgce.http.listing import aggregated, list_of

if TYPE_CHECKING:
    from localgce.core.errors import Json

WAIT_SECONDS = 120.0
ANSWER_SECONDS = 0.1  # what Compute Engine's answer takes on its way


@method(*(f"compute.{kind}.get" for kind in KINDS))
async def get(call: Call) -> Json:
    """One operation, as it is at the end of the time that an answer takes.

    A client that looks right behind its request would otherwise always be too early by
    milliseconds for an operation that takes no longer than an answer of Compute Engine does.
    """
    looked_at = await call.context.core.operations.wait(call.record(), ANSWER_SECONDS)
    return looked_at.body


@method(*(f"compute.{kind}.list" for kind in KINDS))
def list_(call: Call) -> Json:
    """The operations of the scope."""
    return list_of(call, "operation", [record.body for record in call.records()])


@method("compute.globalOperations.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The operations of all scopes."""
    context = call.context
    found = [r.body for kind in KINDS for r in context.store.all(kind, context.project)]
    scopes = [
        "global",
        *(f"regions/{region}" for region in catalog.REGIONS),
        *(f"zones/{zone}" for zone in catalog.zones()),
    ]
    return aggregated(call, "operation", found, scopes)


@method(*(f"compute.{kind}.wait" for kind in KINDS))
async def wait(call: Call) -> Json:
    """The operation once it is DONE, or its current state after two minutes."""
    done = await call.context.core.operations.wait(call.record(), WAIT_SECONDS)
    return done.body


@method(*(f"compute.{kind}.delete" for kind in KINDS))
def delete(call: Call) -> Json:
    """Delete an operation that is DONE."""
    operation = call.record()
    if operation.body["status"] != "DONE":
        text = f"The operation '{operation.name}' is not done."
        raise ApiError(400, "badRequest", text)
    call.context.core.operations.forget(operation)
    return {}
