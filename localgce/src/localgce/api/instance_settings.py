"""Instances: what of their settings can be changed."""

from __future__ import annotations

from localgce import limits
from localgce.api import labels
from localgce.call import Call
from localgce.errors import Json, OperationError
from localgce.operations import Work, work

set_labels = labels.set_labels


def set_metadata(call: Call) -> Json:
    """Replace all metadata; the fingerprint must be that of now, else 412."""
    instance = call.record()
    items = call.body.get("items", [])
    limits.check_metadata(items, "metadata")
    current = instance.body["metadata"]
    limits.check_metadata_fingerprint(call.body.get("fingerprint"), current)
    return call.begin(
        instance,
        "instances.setMetadata",
        metadata=limits.metadata(call.body),
        was=current["fingerprint"],
    )


@work("instances.setMetadata")
def replace_metadata(task: Work) -> None:
    """Only if nobody changed it since the call; the guest hears of it."""
    new = task.args["metadata"]
    if task.target.body["metadata"]["fingerprint"] not in {task.args["was"], new["fingerprint"]}:
        text = "Supplied fingerprint does not match current metadata fingerprint."
        raise OperationError("CONDITION_NOT_MET", text, 412)
    task.service.store.put(task.target.changed(metadata=new))
    task.service.changes.notify(f"instance/{task.target.id}")
