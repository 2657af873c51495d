"""Mirror lists: what `mirror+file:/etc/apt/mirrors/debian.list` as the URI of a source means. Pure.

See apt-transport-mirror(1): a URL, after a tab what it is for (`priority:1 type:index arch:amd64`);
the lowest priority is tried first, a mirror without one last. The images of `debian-cloud` have
their sources in this form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.history.manifest import Mirror
from bakehouse.updates.release import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable

_IN_THE_IMAGE = frozenset({"file", "copy", "cdrom"})


def is_in_the_image(uri: str) -> bool:
    """Whether an archive lies on the disk itself: a bake alone changes it."""
    return uri.partition(":")[0] in _IN_THE_IMAGE


def is_mirror_list(uri: str) -> bool:
    """Whether the URI names a list of mirrors instead of an archive."""
    return uri.partition(":")[0].partition("+")[0] == "mirror"


def address_of(uri: str) -> str:
    """Return the URL of the list itself; `mirror:` alone is `mirror+http:`."""
    return uri.removeprefix("mirror+") if uri.startswith("mirror+") else f"http:{uri[7:]}"


def parse(uri: str, data: bytes) -> tuple[Mirror, ...]:
    """Parse a list that was fetched. Raises Unreadable."""
    found = []
    for line in data.decode("utf-8", "replace").splitlines():
        url, _, purpose = line.partition("\t")
        if url.strip() and not line.startswith("#"):
            found.append(Mirror(uri, url.strip(), " ".join(purpose.split())))
    if not found or any(":" not in mirror.url for mirror in found):
        raise Unreadable(f"{uri} is not a list of mirrors")
    return tuple(found)


def indexes_of(mirrors: Iterable[Mirror], architectures: frozenset[str]) -> list[str]:
    """Return the URLs that apt reads indexes of these architectures from, the best first."""
    wanted = {"type": {"index"}, "arch": architectures | {"all"}}
    found = []
    for mirror in mirrors:
        purpose = [tag.partition(":")[::2] for tag in mirror.purpose.split()]
        asked = {key: {value for name, value in purpose if name == key} for key in wanted}
        if all(not asked[key] or asked[key] & wanted[key] for key in wanted):
            found.append((_priority(dict(purpose).get("priority", "")), mirror.url))
    return [url for _, url in sorted(found, key=lambda one: one[0])]


def _priority(text: str) -> float:
    return int(text) if text.isascii() and text.isdigit() else float("inf")
