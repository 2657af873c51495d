"""Links between resources: written with the base of Compute Engine, read with any base."""

from __future__ import annotations

import re
from dataclasses import dataclass

from localgce.core.errors import ApiError

BASE = "https://www.googleapis.com/compute/v1/"
_VERSION = "(?:v1|beta|alpha|staging_v1)/"
_API = re.compile(
    rf"^(?:https?://[^/]+/(?:compute/)?{_VERSION}|/?compute/{_VERSION}"  # Packer: no host
    r"|//compute\.googleapis\.com/)"  # a full resource name, as audit logs and IAM write it
)
_FULL = re.compile(
    r"^projects/(?P<project>[^/]+)/(?P<scope>global|zones/[^/]+|regions/[^/]+)"
    r"/(?P<collection>[A-Za-z]+)/(?P<name>.+)$"
)
_PARTIAL = re.compile(
    r"^(?P<scope>global|zones/[^/]+|regions/[^/]+)/(?P<collection>[A-Za-z]+)/(?P<name>.+)$"
)


@dataclass(frozen=True)
class Link:
    """Where a resource is."""

    project: str
    scope: str
    collection: str
    name: str  # for a family: `family/F`

    @property
    def path(self) -> str:
        """`projects/p/zones/z/disks/d`."""
        return f"projects/{self.project}/{self.scope}/{self.collection}/{self.name}"


def url(path: str) -> str:
    """The full link of a project-relative path."""
    return BASE + path


def parse(value: str, *, project: str, field: str) -> Link:
    """A full or partial URL of a resource; `project` is the default.

    Raises the 400 that names the field for a malformed link.
    """
    path = _API.sub("", value).lstrip("/")
    full = _FULL.match(path)
    if full:
        return Link(**full.groupdict())
    partial = _PARTIAL.match(path)
    if partial:
        return Link(project=project, **partial.groupdict())
    text = f"Invalid value for field '{field}': '{value}'. The URL is malformed."
    raise ApiError(400, "invalid", text)


def canonical(value: str, project: str) -> str:
    """The link as Compute Engine stores it, whatever base the client used; what is no link stays.

    `project` is that of a link which names none (`zones/Z/disks/D`).
    """
    path = _API.sub("", value).lstrip("/")
    if _FULL.match(path):
        return BASE + path
    return f"{BASE}projects/{project}/{path}" if _PARTIAL.match(path) else value


def last(value: str) -> str:
    """The name at a link's end."""
    return value.rstrip("/").rsplit("/", 1)[-1]
