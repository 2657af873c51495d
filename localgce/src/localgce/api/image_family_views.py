"""Image families as a zone shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.images.lookup import newest

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.imageFamilyViews.get")
def get(call: Call) -> Json:
    """The family's newest image."""
    return {"image": newest(call.context, call.context.project, call.path["family"]).body}
