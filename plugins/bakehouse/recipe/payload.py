"""What the builder unpacks: a tar.gz that is the same bytes for the same files."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.recipe.commit import GitFile

VALUE_BYTES = 262_144  # what Compute Engine takes as one metadata value


class TooBig(ValueError):
    """More than a metadata value holds; the message names the biggest files."""


def pack(files: Mapping[str, GitFile]) -> bytes:
    """Sorted, without times and owners; modes are 755, 644 or a link's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(files):
            _add(tar, path, files[path])
    return gzip.compress(buffer.getvalue(), compresslevel=9, mtime=0)


def encode(files: Mapping[str, GitFile]) -> str:
    """Base64 of the packed files, fit for one metadata value. Raises TooBig."""
    text = b64encode(pack(files)).decode("ascii")
    if len(text) > VALUE_BYTES:
        biggest = sorted(files, key=lambda path: -len(files[path].data))[:5]
        sizes = ", ".join(f"{path} ({len(files[path].data):,} bytes)" for path in biggest)
        raise TooBig(
            f"the recipe's files are {len(text):,} bytes when packed, and a metadata value holds"
            f" {VALUE_BYTES:,}: let install.sh download the big ones. The biggest are {sizes}"
        )
    return text


def fit(name: str, value: str) -> str:
    """The value, if it fits. Raises TooBig."""
    size = len(value.encode())
    if size > VALUE_BYTES:
        raise TooBig(f"{name} is {size:,} bytes, and a metadata value holds {VALUE_BYTES:,}")
    return value


def _add(tar: tarfile.TarFile, path: str, file: GitFile) -> None:
    entry = tarfile.TarInfo(path)
    if stat.S_ISLNK(file.mode):
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, file.data.decode(), 0o777
        tar.addfile(entry)
        return
    entry.size, entry.mode = len(file.data), 0o755 if file.mode & 0o100 else 0o644
    tar.addfile(entry, io.BytesIO(file.data))
