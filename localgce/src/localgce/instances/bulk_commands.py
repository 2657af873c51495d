"""The command that creates many instances of one description."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from localgce.core import errors, limits
from localgce.instances import commands

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.instances.addresses import Allocator

_MAX = 1000
_KNOWN = {
    *("count", "minCount", "namePattern", "perInstanceProperties", "instanceProperties"),
    # refused by name
    *("locationPolicy", "instanceFlexibilityPolicy"),
}
_HASHES = re.compile(r"#+")


def insert(context: Context, addresses: Allocator, body: Json, properties: Json) -> Record:
    """Create all instances or none; the operation of the last one, which waits for the others."""
    limits.refuse_others(body, _KNOWN, "resource")
    own: dict[str, Json] = body.get("perInstanceProperties", {})
    hostnames = {
        str(each.get("name") or name): each["hostname"]
        for name, each in own.items()
        if each.get("hostname")
    }
    names = [str(each.get("name") or name) for name, each in own.items()] or _names(context, body)
    count = int(body.get("count", len(names)))
    if not 1 <= count <= _MAX or (own and count != len(own)):
        text = f"Must be 1 to {_MAX}, and as many as perInstanceProperties."
        raise errors.invalid("resource.count", count, text)
    if int(body.get("minCount", count)) > count:
        raise errors.invalid("resource.minCount", body["minCount"], "Must be at most count.")
    for field in ("locationPolicy", "instanceFlexibilityPolicy"):
        if field in body:
            text = "localgce creates machines of one zone and one type."
            raise errors.invalid(f"resource.{field}", "", text)
    group = {"operationGroupId": str(uuid.uuid4())}  # by which clients find the operations
    origin = replace(context.origin, method="compute.instances.insert", request_key=None)
    each_insert = replace(context, origin=origin)
    for name in names:
        hostname = {"hostname": hostnames[name]} if name in hostnames else {}
        one = commands.insert(each_insert, addresses, {**properties, **hostname, "name": name})
        context.store.put(one.changed(**group))
    last = context.find("instances", names[-1])
    done = context.begin(last, "instances.bulkInsert", names=names)
    return context.store.put(done.changed(**group))


def _names(context: Context, body: Json) -> list[str]:
    """`vm-01`, `vm-02`, ... of the pattern `vm-##`: the first numbers that are free."""
    pattern, count = body.get("namePattern"), int(body.get("count", 0))
    if not pattern:
        raise errors.required("resource.namePattern")
    runs = _HASHES.findall(pattern)
    if len(runs) != 1:
        text = "Must have one run of '#'."
        raise errors.invalid("resource.namePattern", pattern, text)
    taken = {r.name for r in context.store.all("instances", context.project, context.scope)}
    found: list[str] = []
    for number in range(1, 10 ** len(runs[0])):
        name = pattern.replace(runs[0], str(number).zfill(len(runs[0])))
        if name not in taken:
            found.append(name)
        if len(found) >= min(count, _MAX):
            return found
    text = f"It has no {count} names that are free."
    raise errors.invalid("resource.namePattern", pattern, text)
