"""The calls beside Compute Engine that a check of a project's set-up makes.

`testIamPermissions` of a project (Resource Manager v1 and v3) and of a service account (IAM), and
`getEffectiveOrgPolicy`. Which permissions and policies there are is decided by faults alone, of the
kinds `deny_permission` and `enforce_org_policy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgce.core import permissions
from localgce.core.errors import ApiError, Json

if TYPE_CHECKING:
    from starlette.requests import Request

    from localgce.core.context import Core

MOST = 100  # permissions of one call, as Resource Manager has it
_TEST, _POLICY = ":testIamPermissions", ":getEffectiveOrgPolicy"


def routes(core: Core) -> list[Route]:
    """The routes."""
    pages = _Pages(core)
    projects = [f"/{version}/projects/{{resource:path}}" for version in ("v1", "v3")]
    return [Route(path, pages.answer, methods=["POST"]) for path in projects]


class _Pages:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def answer(self, request: Request) -> Response:
        """One call of a project or of one of its service accounts."""
        resource, colon, verb = request.path_params["resource"].rpartition(":")
        parts = resource.split("/")
        seen: Json = {
            "time": self._core.clock.now(),
            "http": request.method,
            "path": request.url.path,
            "method": _method(parts, verb),
            "resource": parts[-1],
            "query": dict(request.query_params),
        }
        self._core.faults.requests.append(seen)
        try:
            given = await request.json() if await request.body() else {}
            shown = self._shown(parts, f"{colon}{verb}", seen["method"], given)
        except ValueError:
            error = ApiError(400, "parseError", "the body is not JSON")
            seen["status"] = error.status
            return JSONResponse(error.as_json(), error.status)
        except ApiError as error:
            seen["status"] = error.status
            return JSONResponse(error.as_json(), error.status)
        seen["status"] = 200
        return JSONResponse(shown)

    def _shown(self, parts: list[str], verb: str, method: str, given: Any) -> Json:
        is_account = len(parts) == 3 and parts[1] == "serviceAccounts"
        if not (verb == _TEST and (is_account or len(parts) == 1)) and not (
            verb == _POLICY and len(parts) == 1
        ):
            raise ApiError(501, "notImplemented", f"localgce does not implement {method}")
        for rule in self._core.faults.for_call(method, parts[-1]):
            if rule.kind == "http":
                raise rule.call_error()
        if not isinstance(given, dict):
            raise ApiError(400, "badRequest", "the body is not an object")
        self._core.project_record(self._core.settings.project if parts[0] == "-" else parts[0])
        return self._policy(parts[0], given) if verb == _POLICY else self._allowed(given)

    def _allowed(self, given: Json) -> Json:
        asked = given.get("permissions", [])
        if not isinstance(asked, list) or len(asked) > MOST:
            raise ApiError(400, "badRequest", f"permissions is not a list of at most {MOST}")
        faults = self._core.faults
        allowed = [permission for permission in asked if not faults.denies(permission)]
        return {"permissions": allowed} if allowed else {}

    def _policy(self, project: str, given: Json) -> Json:
        if self._core.faults.denies("orgpolicy.policy.get"):
            raise permissions.forbidden("orgpolicy.policy.get", f"projects/{project}")
        constraint = str(given.get("constraint", ""))
        enforced = {"enforced": True} if self._core.faults.enforces(constraint) else {}
        return {"constraint": constraint, "booleanPolicy": enforced}


def _method(parts: list[str], verb: str) -> str:
    if len(parts) == 1:
        return f"cloudresourcemanager.projects.{verb}"
    return f"iam.projects.{parts[1]}.{verb}"
