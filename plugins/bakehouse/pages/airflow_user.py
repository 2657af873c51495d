"""The rights of Airflow's user, by its auth manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# FastAPI evaluates the annotations of a dependency
from airflow.api_fastapi.core_api.security import (
    GetUserDep,
    requires_access_asset,
)

from bakehouse.core.freeze import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bakehouse.pages.rights import User


class AirflowUser:
    """Asks Airflow's auth manager; fleets and recipes are seen by the right to read their DAGs."""

    def __init__(self, user: Any) -> None:
        self._user = user

    def readable(self, dag_ids: Collection[str]) -> set[str]:
        """Those that the user may read."""
        from airflow.api_fastapi.app import get_auth_manager

        manager = get_auth_manager()
        return set(manager.filter_authorized_dag_ids(dag_ids=set(dag_ids), user=self._user))

    def triggerable(self, dag_ids: Collection[str]) -> set[str]:
        """Those of which the user may start runs."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.models.resource_details import (
            DagAccessEntity,
            DagDetails,
        )

        manager = get_auth_manager()
        return {
            dag_id
            for dag_id in dag_ids
            if manager.is_authorized_dag(
                method="POST",
                access_entity=DagAccessEntity.RUN,
                details=DagDetails(id=dag_id),
                user=self._user,
            )
        }

    def name(self) -> str:
        """The name by which Airflow knows the user."""
        return str(self._user.get_name())

    def may_freeze(self) -> bool:
        """Whether the user may create, change and delete the Variable of the freeze."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.models.resource_details import VariableDetails

        manager = get_auth_manager()
        details = VariableDetails(key=VARIABLE)
        return all(
            manager.is_authorized_variable(method=method, details=details, user=self._user)
            for method in ("POST", "PUT", "DELETE")
        )


def current_user(user: GetUserDep) -> User:
    """Return the user of the question; 401 or 403 for anybody who is none."""
    return AirflowUser(user)


def may_read_assets() -> Callable[..., None]:
    """The dependency that refuses who may not read assets, which images are."""
    found: Callable[..., None] = requires_access_asset(method="GET")
    return found
