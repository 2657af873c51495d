"""Projects: the one that the server was started for."""

from __future__ import annotations

from localgce.errors import Json, OperationError
from localgce.http.call import Call
from localgce.images import debian_cloud
from localgce.operations import Work, work
from localgce.resources import limits
from localgce.resources.catalog import fixed_id
from localgce.resources.links import url


def get(call: Call) -> Json:
    """The project, or the little that is known of a public one."""
    if call.project in debian_cloud.PUBLIC_PROJECTS:
        path = f"projects/{call.project}"
        return {
            "kind": "compute#project",
            "id": fixed_id(path),
            "name": call.project,
            "selfLink": url(path),
        }
    return call.service.project_record(call.project).body


def set_common_instance_metadata(call: Call) -> Json:
    """Metadata that all instances see."""
    project = call.service.project_record(call.project)
    items = call.body.get("items", [])
    limits.check_metadata(items, "metadata")
    current = project.body["commonInstanceMetadata"]
    limits.check_metadata_fingerprint(call.body.get("fingerprint"), current)
    return call.begin(
        project,
        "projects.setCommonInstanceMetadata",
        metadata=limits.metadata(call.body),
        was=current["fingerprint"],
    )


@work("projects.setCommonInstanceMetadata")
def replace_metadata(task: Work) -> None:
    """Only if nobody changed it since the call; all instances hear of it."""
    new = task.args["metadata"]
    now = task.target.body["commonInstanceMetadata"]["fingerprint"]
    if now not in {task.args["was"], new["fingerprint"]}:
        text = "Supplied fingerprint does not match current metadata fingerprint."
        raise OperationError("CONDITION_NOT_MET", text, 412)
    task.service.store.put(task.target.changed(commonInstanceMetadata=new))
    task.service.changes.notify(f"project/{task.target.name}")
