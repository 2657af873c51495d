"""What the simple resources share: they are kept and shown, and nothing else is done with them."""

from __future__ import annotations

from localgce.clock import stamp
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import list_of
from localgce.operations import Work, work
from localgce.resources import limits, links
from localgce.resources.ids import numeric_id
from localgce.state.store import Record


def new(call: Call, kind: str, **more: object) -> Record:
    """The resource that an insert's body describes, with what every resource has."""
    collection, name = call.method.resource, str(call.body["name"])
    call.refuse_existing(collection, name)
    limits.check_labels(call.body.get("labels", {}))
    now = call.service.clock.now()
    path = f"projects/{call.project}/{call.scope}/{collection}/{name}"
    body: Json = {
        **call.body,
        "kind": f"compute#{kind}",
        "id": numeric_id(),
        "creationTimestamp": stamp(now),
        "selfLink": links.url(path),
    }
    if call.scope != "global":
        body[call.scope.split("s/")[0]] = links.url(f"projects/{call.project}/{call.scope}")
    record = Record(collection, call.project, call.scope, name, body, {"at": now})
    return record.changed(**more)


def label_fields(call: Call) -> Json:
    """`labels` and `labelFingerprint` of what an insert's body describes."""
    return limits.label_fields(call.body.get("labels"))


def page(call: Call, kind: str) -> Json:
    """A page of those of the scope."""
    found = call.service.store.all(call.method.resource, call.project, call.scope)
    return list_of(call, kind, [record.body for record in found])


def begin_insert(call: Call, record: Record) -> Json:
    """Keep it; its operation has nothing to do."""
    call.service.store.put(record)
    return call.begin(record, "kept.insert")


def begin_delete(call: Call, record: Record) -> Json:
    """Forget it, in an operation."""
    return call.begin(record, "kept.delete")


@work("kept.insert")
def insert(task: Work) -> None:
    """It is kept already."""


@work("kept.patch")
def patch(task: Work) -> None:
    """Replace fields."""
    task.service.store.put(task.target.changed(**task.args["changes"]))


@work("kept.delete")
def delete(task: Work) -> None:
    """Forget."""
    task.service.store.delete(task.target)
