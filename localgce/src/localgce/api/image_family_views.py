"""Image families as a zone sees them."""

from __future__ import annotations

from localgce.disks import body as disk_body
from localgce.errors import Json
from localgce.http.call import Call


def get(call: Call) -> Json:
    """The family's newest image."""
    image = disk_body.newest(call, call.project, call.path["family"])
    return {"image": image.body}
