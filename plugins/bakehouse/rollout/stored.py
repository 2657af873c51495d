"""What a rollout stores while it goes on, and the version of its form. Pure.

Plans and swaps are XComs and arguments of triggers: a rollout that is under way when Bakehouse is
upgraded goes on with what the version before has stored. So a new field has a default that says
what that version did, and the form's number is raised only for a change that an older form cannot
be read through. `tests/unit/rollout/stored` has one example of each form that there was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, model_validator

from bakehouse.core.errors import PermanentError
from bakehouse.core.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
"""0 had no number."""


class Stored(Frozen):
    """State of a rollout that outlives a process."""

    schema_version: int = Field(default=SCHEMA, ge=0, description="of the stored form")

    @model_validator(mode="before")
    @classmethod
    def _is_known(cls, value: Any) -> Any:
        """Refuse what a newer version has stored, before its fields are misread."""
        if isinstance(value, dict):
            _check(value, cls.__name__)
        return value


def _check(value: Mapping[str, Any], name: str) -> None:
    version = value.get("schema_version", 0)
    if isinstance(version, int) and version > SCHEMA:
        raise PermanentError(
            f"this rollout's {name} was stored by a newer version of Bakehouse (form {version};"
            f" this version reads 0 to {SCHEMA}): install that version again, or start another"
            " rollout, which finds each member as it is"
        )
