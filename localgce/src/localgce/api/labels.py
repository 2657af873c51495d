"""`setLabels`, the same for every resource that has labels."""

from __future__ import annotations

from localgce.errors import Json, OperationError
from localgce.http.call import Call
from localgce.operations import Work, work
from localgce.resources import limits
from localgce.resources.ids import fingerprint


def set_labels(call: Call) -> Json:
    """Replace all labels; the fingerprint must be that of now, else 412."""
    target = call.record()
    labels = call.body.get("labels", {})
    limits.check_labels(labels, "labels")
    given = call.body.get("labelFingerprint")
    limits.check_label_fingerprint(given, target.body)
    was = target.body.get("labelFingerprint")
    return call.begin(target, "setLabels", labels=labels, was=was)


@work("setLabels")
def replace_labels(task: Work) -> None:
    """Only if nobody changed them since the call."""
    new = fingerprint(task.args["labels"])
    if task.target.body.get("labelFingerprint") not in {task.args["was"], new}:
        text = "Labels fingerprint either invalid or resource labels have changed"
        raise OperationError("CONDITION_NOT_MET", text, 412)
    labels = task.args["labels"] or None
    task.service.store.put(task.target.changed(labels=labels, labelFingerprint=new))
