"""Facts stored in an image: `/etc/bakehouse/image.json`, and `image.*` in its templates."""

from __future__ import annotations

import json

from bakehouse.core.models import Frozen
from bakehouse.recipe.model import Scalar


class BaseFacts(Frozen):
    """The base image."""

    name: str
    id: str


class ImageFacts(Frozen):
    """What an instance may show. Specific to the run, so not part of the content key."""

    recipe: str
    image: str
    git_sha: str
    content_key: str
    base_image: BaseFacts
    vars: dict[str, Scalar]
    services: tuple[str, ...]
    run: str

    def to_json(self) -> str:
        """Write the facts with sorted keys: boot.sh reads the first `git_sha` and `image`."""
        form = self.model_dump(mode="json")
        return json.dumps(form, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
