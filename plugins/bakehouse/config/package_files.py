"""Copy files that the package ships into a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.resources.abc import Traversable
    from pathlib import Path


def copy_files(
    source: Traversable,
    target: Path,
    *,
    name: Callable[[str], str] = str,
    content: Callable[[bytes], bytes] = bytes,
) -> list[Path]:
    """Copy a file, or a folder with all that it holds; returns the files written.

    An installed package has lost its modes: a file that begins with `#!` becomes executable.

    Args:
        source: In the package.
        target: Its place in the project.
        name: Of an entry of a folder, by its name in the package.
        content: Of a file, by its content in the package.
    """
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        entries = sorted(source.iterdir(), key=lambda entry: entry.name)
        return [
            file
            for entry in entries
            if entry.name != "__pycache__"
            for file in copy_files(entry, target / name(entry.name), name=name, content=content)
        ]
    data = content(source.read_bytes())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    if data.startswith(b"#!"):
        target.chmod(0o755)
    return [target]
