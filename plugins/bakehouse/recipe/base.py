"""The base of an image: a family, one image, or the newest image of another recipe."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.images.names import NAME

RECIPE_NAME = r"^[a-z](?:[-a-z0-9]{0,33}[a-z0-9])?$"  # 35 characters: see names.image_name
RESOURCE_NAME = rf"^{NAME}$"

_PROJECT = r"(?P<project>[a-z](?:[-a-z0-9.:]{0,61}[a-z0-9])?)"
_NAME = rf"(?P<name>{NAME})"
_FAMILY = re.compile(
    rf"^(?:(?:https://www\.googleapis\.com/compute/v1/)?projects/{_PROJECT}/global/images/family/"
    rf"|{_PROJECT.replace('project', 'short')}/(?:family/)?){_NAME}$"
)
_IMAGE = re.compile(
    rf"^(?:(?:https://www\.googleapis\.com/compute/v1/)?projects/{_PROJECT}/global/images/"
    rf"|{_PROJECT.replace('project', 'short')}/images/){_NAME}$"
)


class BaseFamily(Frozen):
    """`debian-cloud/debian-12`: the newest image of a family at the time of the bake."""

    project: str
    family: str

    def __str__(self) -> str:
        """The form of a recipe file."""
        return f"{self.project}/{self.family}"


class BaseImage(Frozen):
    """`debian-cloud/images/debian-12-bookworm-v20261110`: this image and no other."""

    project: str
    image: str

    def __str__(self) -> str:
        """The form of a recipe file."""
        return f"{self.project}/images/{self.image}"


class BaseRecipe(Frozen):
    """`{recipe: jre}`: the newest promoted image of another recipe."""

    recipe: str

    def __str__(self) -> str:
        """The text for messages."""
        return f"recipe {self.recipe}"


def parse_base(value: object) -> BaseFamily | BaseImage | BaseRecipe:
    """Parse the `base` of a recipe file. Raises PydanticCustomError."""
    if isinstance(value, BaseFamily | BaseImage | BaseRecipe):
        return value
    if isinstance(value, dict) and list(value) == ["recipe"] and _is_recipe_name(value["recipe"]):
        return BaseRecipe(recipe=value["recipe"])
    if isinstance(value, str) and (found := _FAMILY.fullmatch(value)):
        return BaseFamily(project=found["project"] or found["short"], family=found["name"])
    if isinstance(value, str) and (found := _IMAGE.fullmatch(value)):
        return BaseImage(project=found["project"] or found["short"], image=found["name"])
    raise PydanticCustomError(
        "base",
        "is neither a family (debian-cloud/debian-12), nor an image"
        " (debian-cloud/images/debian-12-bookworm-v20261110), nor a recipe ({recipe: jre})",
    )


def _is_recipe_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(RECIPE_NAME, value) is not None


def _as_written(value: BaseFamily | BaseImage | BaseRecipe) -> Any:
    return {"recipe": value.recipe} if isinstance(value, BaseRecipe) else str(value)


Base = Annotated[
    BaseFamily | BaseImage | BaseRecipe,
    BeforeValidator(parse_base),
    PlainSerializer(_as_written, return_type=Any),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"recipe": {"type": "string", "pattern": RECIPE_NAME}},
                    "required": ["recipe"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
