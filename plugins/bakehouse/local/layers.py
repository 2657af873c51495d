"""Decide which layer of an install a local build may go on from. Pure.

A layer is the disk of an earlier builder after a part of its install. It is of use again while
whatever decided its content is unchanged: base image, size of the disk, machine type, Bakehouse's
guest scripts, prepare.sh, the rendered parts so far, and the files of the recipe that these have
read. What a part has looked for and not found is not known; so the names of all files count too,
except those that an install has no business with.
"""

from __future__ import annotations

import posixpath
from hashlib import sha256
from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen
from bakehouse.recipe.install_parts import PARTS
from bakehouse.recipe.templates import TEMPLATES
from bakehouse.recipe.unread import READ

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bakehouse.recipe.commit import GitFile
    from bakehouse.recipe.render import Rendered

EVERYTHING = "*"  # the guest could not tell what was read
_RECIPE = "recipe/"
_SCRIPT_ENDS = ".sh"


class InstallState(Frozen):
    """What decides the content of a disk after an install."""

    base_image_id: str
    machine: tuple[str, int]  # its type, and the size of its disk
    guest: str  # a hash of the guest scripts
    prepare: str  # a hash; empty without one
    parts: tuple[str, ...]  # a hash for each, in order
    names: str  # a hash of the names and modes of the files that an install may look for
    files: dict[str, str]  # a hash of each file of the recipe, by path


class LayerRecord(Frozen):
    """A layer, and what it was made of."""

    image: str
    image_id: str
    self_link: str
    recipe: str
    parts: int
    state: InstallState
    reads: tuple[str, ...]  # files and folders of the recipe, by path; the folder itself is ""


def install_state(
    rendered: Rendered, base_image_id: str, guest: Mapping[str, GitFile], parts: Iterable[str]
) -> InstallState:
    """Return the state of a rendered recipe.

    Args:
        rendered: The recipe.
        base_image_id: The id of its base image.
        guest: Bakehouse's guest scripts, with those of the project that replace some.
        parts: The names of the rendered parts of the install, in order.
    """
    own = {
        path.removeprefix(_RECIPE): file
        for path, file in rendered.files.items()
        if path.startswith(_RECIPE)
    }
    hashes = {path: _hash([file.data]) for path, file in own.items()}
    looked_for = sorted(path for path in own if _is_looked_for(path))
    return InstallState(
        base_image_id=base_image_id,
        machine=(rendered.machine_type, rendered.disk_gb),
        guest=_hash(part for path in sorted(guest) for part in (path.encode(), guest[path].data)),
        prepare=hashes.get("prepare.sh", ""),
        parts=tuple(hashes[part] for part in parts),
        names=_hash(f"{path} {own[path].mode:o}".encode() for path in looked_for),
        files=hashes,
    )


def best_layer(records: Iterable[LayerRecord], state: InstallState) -> LayerRecord | None:
    """Return the layer with the most parts that are unchanged; None if there is none."""
    fitting = [record for record in records if fits(record, state)]
    return max(fitting, key=lambda record: record.parts, default=None)


def fits(record: LayerRecord, state: InstallState) -> bool:
    """Whether an install of this state would have made the same disk."""
    made, count = record.state, record.parts
    same = ("base_image_id", "machine", "guest", "prepare", "names")
    if any(getattr(made, name) != getattr(state, name) for name in same):
        return False
    if count > len(state.parts) or made.parts[:count] != state.parts[:count]:
        return False
    if EVERYTHING in record.reads:
        return made.files == state.files
    return all(_content(made, path) == _content(state, path) for path in record.reads)


def _content(state: InstallState, path: str) -> str | tuple[str, ...]:
    """Return the hash of a file, or the names in a folder."""
    if path in state.files:
        return state.files[path]
    start = f"{path}/" if path else ""
    below = (name.removeprefix(start) for name in state.files if name.startswith(start))
    return tuple(sorted({name.partition("/")[0] for name in below}))


def _is_looked_for(path: str) -> bool:
    if path.startswith((TEMPLATES, PARTS)):
        return False
    return path not in READ and not (posixpath.dirname(path) == "" and path.endswith(_SCRIPT_ENDS))


def _hash(parts: Iterable[bytes]) -> str:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
