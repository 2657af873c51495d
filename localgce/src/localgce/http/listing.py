"""Lists of any resources: filter, order, pages, and the aggregated form by scope."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from localgce.core import catalog, links
from localgce.core.errors import ApiError, Json
from localgce.http import filters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localgce.http.call import Call

DEFAULT_PAGE = 500
_Key = tuple[Any, ...]


def list_of(call: Call[Any], kind: str, items: Iterable[Json]) -> Json:
    """A page of `compute#<kind>List` over the bodies."""
    page, token = page_of(call, items)
    path = f"projects/{call.context.project}/{call.context.scope}/{call.method.segments[-1]}"
    result: Json = {
        "kind": f"compute#{kind}List",
        "id": path,
        "items": page,
        "selfLink": links.url(path),
    }
    return _finish(result, page, token)


def aggregated(call: Call[Any], kind: str, items: Iterable[Json], scopes: Iterable[str]) -> Json:
    """A page of `compute#<kind>AggregatedList`: items by scope, a warning for an empty scope."""
    page, token = page_of(call, items)
    collection = call.method.segments[-1]
    by_scope: dict[str, Json] = {scope: {} for scope in scopes}
    for item in page:
        scope = _scope_of(item)
        by_scope.setdefault(scope, {}).setdefault(collection, []).append(item)
    for scope, found in by_scope.items():
        if not found:
            found["warning"] = _no_results(scope)
    path = f"projects/{call.context.project}/aggregated/{collection}"
    result: Json = {
        "kind": f"compute#{kind}AggregatedList",
        "id": path,
        "items": by_scope,
        "selfLink": links.url(path),
    }
    if token:
        result["nextPageToken"] = token
    return result


def zonal(call: Call[Any], kind: str, items: Iterable[Json]) -> Json:
    """`aggregated` over all zones."""
    return aggregated(call, kind, items, [f"zones/{zone}" for zone in catalog.zones()])


def regional(call: Call[Any], kind: str, items: Iterable[Json]) -> Json:
    """`aggregated` over all regions."""
    return aggregated(call, kind, items, [f"regions/{region}" for region in catalog.REGIONS])


def zonal_and_regional(call: Call[Any], kind: str, items: Iterable[Json]) -> Json:
    """`aggregated` over all zones and regions."""
    scopes = [f"zones/{zone}" for zone in catalog.zones()]
    scopes += [f"regions/{region}" for region in catalog.REGIONS]
    return aggregated(call, kind, items, scopes)


def _finish(result: Json, page: list[Json], token: str | None) -> Json:
    if not page:
        del result["items"]
    if token:
        result["nextPageToken"] = token
    return result


def page_of(call: Call[Any], items: Iterable[Json]) -> tuple[list[Json], str | None]:
    """The page for the request's filter, order and token, and the next page's token."""
    text = call.query.get("filter")
    if text:
        accepts = filters.parse(text)
        items = [item for item in items if accepts(item)]
    descending = _newest_first(call.query.get("orderBy"))
    keyed = sorted(((_key(item, descending), item) for item in items), key=lambda pair: pair[0])
    token = call.query.get("pageToken")
    if token:
        after = _read_token(token)
        keyed = [pair for pair in keyed if list(pair[0]) > after]
    size = call.query.get("maxResults")
    size = DEFAULT_PAGE if size is None else size
    if not 0 <= size <= DEFAULT_PAGE:
        text = f"Invalid value for field 'maxResults': '{size}'. Must be 0 to {DEFAULT_PAGE}."
        raise ApiError(400, "invalid", text, location="maxResults")
    page = keyed[:size]
    more = len(keyed) > size and page
    return [item for _, item in page], _write_token(page[-1][0]) if more else None


def _newest_first(order: str | None) -> bool:
    if order in {None, "", "name", "name asc"}:
        return False
    if order == "creationTimestamp desc":
        return True
    message = f"Invalid value for field 'orderBy': '{order}'. Invalid order by."
    raise ApiError(400, "invalid", message, location="orderBy")


def _key(item: Json, newest_first: bool) -> _Key:
    name, link = str(item["name"]), str(item.get("selfLink", ""))
    if not newest_first:
        return (name, link)
    times = (item.get(key) for key in ("creationTimestamp", "insertTime", "timestamp"))
    created = next((time for time in times if time), None)
    seconds = datetime.fromisoformat(created).timestamp() if created else 0.0
    return (-seconds, name, link)


def _write_token(key: _Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_token(token: str) -> list[Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token.encode()))
        if not isinstance(found, list) or len(found) not in {2, 3}:
            raise ValueError
        numbers = found[: len(found) - 2]
        if not all(isinstance(n, float) for n in numbers):
            raise ValueError
        if not all(isinstance(text, str) for text in found[-2:]):
            raise ValueError
    except (ValueError, binascii.Error):
        message = f"Invalid value for field 'pageToken': '{token}'. Invalid page token."
        raise ApiError(400, "invalid", message, location="pageToken") from None
    return found


def _scope_of(item: Json) -> str:
    for kind in ("zone", "region"):
        if item.get(kind):
            return f"{kind}s/{links.last(item[kind])}"
    return "global"


def _no_results(scope: str) -> Json:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }
