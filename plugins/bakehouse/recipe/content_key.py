"""The content key: a hash of everything that determines what an image contains."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakehouse.recipe.render import Rendered


def content_key(rendered: Rendered, base_image_id: str) -> str:
    """Compute the content key: 40 hex characters, which fit a label.

    The key covers scripts, files, vars, machine type, disk size, kind of image and base image.
    Zones, spot, network, deadlines and retention do not change what an image contains.
    """
    material = {"format": 1, **rendered.key_material(), "base_image_id": str(base_image_id)}
    text = json.dumps(material, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()[:40]
