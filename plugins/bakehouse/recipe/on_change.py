"""What is restarted when a rendered file changes without a boot: `on_change` of a recipe. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.recipe.readiness import UnitName

if TYPE_CHECKING:
    from collections.abc import Iterator

RenderedPath = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^/[^\x00-\x1f\x7f]{0,1000}$", "is not an absolute path or glob, such as /etc/app/*"
        )
    ),
]


class OnChange(Frozen):
    """Units that are reloaded or restarted when one of the files changes, in this order."""

    paths: tuple[RenderedPath, ...] = Field(
        default=("/*",),
        min_length=1,
        description="rendered files, such as [/etc/nginx/]; all by default",
    )
    reload: tuple[UnitName, ...] = Field(
        default=(), description="units that read their files again, such as [nginx]"
    )
    restart: tuple[UnitName, ...] = Field(
        default=(), description="units that must be started again, such as [app]"
    )

    @model_validator(mode="after")
    def _names_a_unit(self) -> Self:
        if not self.reload and not self.restart:
            raise PydanticCustomError("on_change", "names no unit: give reload or restart")
        return self

    def lines(self) -> Iterator[str]:
        """As the guest reads it: verb, unit and pattern, in which `*` is any text, `/` too."""
        for path in self.paths:
            pattern = f"{path}*" if path.endswith("/") else path
            for unit in self.reload:
                yield f"reload-or-restart\t{unit}\t{pattern}"
            for unit in self.restart:
                yield f"restart\t{unit}\t{pattern}"
