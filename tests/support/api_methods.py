"""Which method of a Google API an HTTP request calls, by the API's discovery document."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.support.called_methods import DOCUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator


def method_of(api: str, verb: str, path: str) -> str:
    """The id of the method of `api`, such as `objects.insert` of `storage.v1`.

    `path` is that of the URL, still quoted, without a query. Raises LookupError.
    """
    for of_verb, template, method in _routes(api):
        if of_verb == verb and template.fullmatch(path):
            return method
    raise LookupError(f"{api} has no method {verb} {path}")


@cache
def _routes(api: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    document = json.loads((DOCUMENTS / f"{api}.json").read_text())
    return tuple(_below(document, f"/{document['servicePath']}"))


def _below(of: dict[str, Any], service: str) -> Iterator[tuple[str, re.Pattern[str], str]]:
    for resource in of.get("resources", {}).values():
        for method in resource.get("methods", {}).values():
            name = ".".join(method["id"].split(".")[-2:])
            path = service + method.get("flatPath", method["path"])
            uploads = method.get("mediaUpload", {}).get("protocols", {})
            downloads = ["/download" + path] if method.get("supportsMediaDownload") else []
            for template in [path, *downloads, *(one["path"] for one in uploads.values())]:
                pattern = re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(template))
                yield method["httpMethod"], re.compile(pattern), name
        yield from _below(resource, service)
