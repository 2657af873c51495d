"""One name for everything that makes an image what it is, and for nothing else."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakehouse.recipe.render import Rendered


def content_key(rendered: Rendered, base_image_id: str) -> str:
    """40 hex characters (they fit a label).

    Same scripts, files, vars, machine, disk size, kind of image and base: same key. Zones, spot,
    network, deadlines and how long images are kept do not change what is in an image.
    """
    material = {"format": 1, **rendered.key_material(), "base_image_id": str(base_image_id)}
    text = json.dumps(material, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()[:40]
