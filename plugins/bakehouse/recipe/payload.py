"""The payload that the builder unpacks: a reproducible tar.gz."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.recipe.commit import GitFile

VALUE_BYTES = 262_144  # the limit of Compute Engine for one metadata value


TOTAL_BYTES = 524_288  # of all keys and values of a VM


class TooBig(ValueError):
    """A value exceeds the limit of metadata values; the message names the biggest files."""


def pack(files: Mapping[str, GitFile]) -> bytes:
    """Pack the files sorted, without times and owners; modes are 755, 644 or a link's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(files):
            _add(tar, path, files[path])
    return gzip.compress(buffer.getvalue(), compresslevel=9, mtime=0)


def encode(files: Mapping[str, GitFile], spare: int = 0) -> str:
    """Pack and encode the files as one metadata value, with bytes to spare. Raises TooBig."""
    text = b64encode(pack(files)).decode("ascii")
    if len(text) > VALUE_BYTES - spare:
        biggest = sorted(files, key=lambda path: -len(files[path].data))[:5]
        sizes = ", ".join(f"{path} ({len(files[path].data):,} bytes)" for path in biggest)
        raise TooBig(
            f"the recipe's files are {len(text):,} bytes when packed; a metadata value has at most"
            f" {VALUE_BYTES:,}: let install.sh download the big ones. The biggest are {sizes}"
        )
    return text


def fit(name: str, value: str) -> str:
    """Return the value if it fits into one metadata value. Raises TooBig."""
    size = len(value.encode())
    if size > VALUE_BYTES:
        raise TooBig(f"{name} is {size:,} bytes; a metadata value has at most {VALUE_BYTES:,}")
    return value


def fit_together(name: str, metadata: Mapping[str, str]) -> None:
    """Check that keys and values fit into one VM's metadata together. Raises TooBig."""
    sizes = {key: len(key) + len(value.encode()) for key, value in metadata.items()}
    if (total := sum(sizes.values())) > TOTAL_BYTES:
        biggest = sorted(sizes, key=lambda key: -sizes[key])[:3]
        told = ", ".join(f"{key} ({sizes[key]:,} bytes)" for key in biggest)
        raise TooBig(
            f"the metadata of {name} is {total:,} bytes; a VM has at most {TOTAL_BYTES:,}:"
            f" let the scripts download the big ones. The biggest are {told}"
        )


def _add(tar: tarfile.TarFile, path: str, file: GitFile) -> None:
    entry = tarfile.TarInfo(path)
    if stat.S_ISLNK(file.mode):
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, os.fsdecode(file.data), 0o777
        tar.addfile(entry)
        return
    entry.size, entry.mode = len(file.data), 0o755 if file.mode & 0o100 else 0o644
    tar.addfile(entry, io.BytesIO(file.data))
