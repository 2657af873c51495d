"""Pointers of Git LFS: a small text in a commit that stands for a file on another server. Pure."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple

_LONGEST = 1024  # bytes, as Git LFS has it
_SPEC = re.compile(
    rb"version (https://git-lfs\.github\.com/spec/v1|https?://(hawser|git-media)\S+)\r?\n"
)
_OID = re.compile(rb"^oid sha256:([0-9a-f]{64})\r?$", re.MULTILINE)
_SIZE = re.compile(rb"^size (\d{1,18})\r?$", re.MULTILINE)
MAX_BYTES = 64 * 2**20  # more does not fit a builder's metadata however well it can be packed


class LargeFileMissing(ValueError):
    """The content of a pointer cannot be had; the message says why."""


class Pointer(NamedTuple):
    """What a pointer says; `text` is the pointer itself."""

    oid: str
    size: int
    text: bytes

    def holds(self, data: bytes) -> bool:
        """Whether this is the content."""
        return len(data) == self.size and sha256(data).hexdigest() == self.oid


def pointer_in(data: bytes) -> Pointer | None:
    """Return the pointer that a file consists of, if it is one."""
    if len(data) > _LONGEST or not _SPEC.match(data):
        return None
    oid, size = _OID.search(data), _SIZE.search(data)
    if oid is None or size is None:
        return None
    return Pointer(oid[1].decode(), int(size[1]), data)
