"""`POST /_localgce/images`: a file of this computer becomes an image, in a public project too."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgce.core.catalog import PUBLIC_PROJECTS
from localgce.core.errors import ApiError, invalid
from localgce.images import commands

if TYPE_CHECKING:
    from starlette.requests import Request

    from localgce.core.context import Core
    from localgce.core.store import Record

_SECONDS = 3600.0  # a large file is copied


def routes(core: Core) -> list[Route]:
    """The route."""

    async def insert(request: Request) -> Response:
        try:
            image = await _insert(core, await _body(request))
        except ApiError as error:
            return JSONResponse(error.as_json(), error.status)
        return JSONResponse({"image": image.path})

    return [Route("/_localgce/images", insert, methods=["POST"])]


async def _insert(core: Core, given: dict[str, str]) -> Record:
    """Create the image and wait until it is READY; raises ApiError when it cannot be."""
    project, family = given["project"], given["family"]
    if not family:
        raise invalid("family", family, "It must be the name of a family.")
    if project not in {core.settings.project, *PUBLIC_PROJECTS}:
        text = f"It is {core.settings.project}, or one of the public projects."
        raise invalid("project", project, text)
    moment = datetime.fromtimestamp(core.clock.now(), UTC)
    name = f"{family[:40].rstrip('-')}-{moment:%Y%m%d%H%M%S%f}"[:63]
    body = {
        "name": name,
        "family": family,
        "description": f"Imported from {given['file']}"[:2048],
        "rawDisk": {"source": Path(given["file"]).as_uri()},
    }
    context = core.unfaulted("compute.images.insert", project, "global")
    with core.store.transaction():
        begun = commands.insert(context, body, force=False)
    done = await core.operations.wait(begun, _SECONDS)
    for error in done.body.get("error", {}).get("errors", []):
        raise ApiError(400, "failedPrecondition", error["message"])
    return context.find("images", name)


async def _body(request: Request) -> dict[str, str]:
    try:
        given: Any = await request.json()
    except ValueError:
        raise ApiError(400, "parseError", "the body is not JSON") from None
    names = ("file", "family", "project")
    if not isinstance(given, dict) or not all(isinstance(given.get(n), str) for n in names):
        raise ApiError(400, "invalid", f"an import has the texts {', '.join(names)}")
    if not Path(given["file"]).is_absolute():
        raise invalid("file", given["file"], "It must be an absolute path.")
    return {name: given[name] for name in names}
