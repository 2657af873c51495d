"""The type of a task id in files that users write: one of the ids of a flow. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from bakehouse.core.tasks import Flow, task_ids

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


@dataclass(frozen=True)
class TaskOf:
    """Metadata for `Annotated[str, TaskOf(flow)]`; validated like a Literal of the flow's ids."""

    flow: Flow

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """An enum of the ids, also in the JSON schema."""
        return core_schema.literal_schema(list(task_ids(self.flow)))
