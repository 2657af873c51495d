"""A step that reads recipe and scripts from git."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.bake.plan import BakePlan
from bakehouse.operators.base import BakehouseOperator

if TYPE_CHECKING:
    from bakehouse.recipe.render import Rendered

GIT = "bakehouse_repo"


class GitOperator(BakehouseOperator):
    """Through the connection `git_conn_id`, at the plan's commit."""

    def __init__(self, *, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.git_conn_id = git_conn_id

    def rendered(self, plan: BakePlan) -> Rendered:
        """Scripts of the plan's commit. Raises PermanentError, TransientError."""
        from bakehouse.bake.source import rendered_for

        return rendered_for(self.git_conn_id, plan)
