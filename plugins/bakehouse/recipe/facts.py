"""What an image says of itself: `/etc/bakehouse/image.json`, and `image.*` in its templates."""

from __future__ import annotations

import json

from bakehouse.core.models import Frozen
from bakehouse.recipe.model import Scalar


class BaseFacts(Frozen):
    name: str
    id: str


class ImageFacts(Frozen):
    """Everything that an instance may show; specific to the run, so never part of the key."""

    recipe: str
    image: str
    git_sha: str
    content_key: str
    base_image: BaseFacts
    vars: dict[str, Scalar]
    services: tuple[str, ...]
    run: str

    def to_json(self) -> str:
        """Sorted keys: boot.sh reads `git_sha` and `image` where they stand first."""
        form = self.model_dump(mode="json")
        return json.dumps(form, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
