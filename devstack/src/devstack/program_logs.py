"""How often a program was started, and the end of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.layout import Layout


def starts(layout: Layout, name: str) -> int:
    """How often the program has started since the start of the stack."""
    try:
        return len((layout.run / f"{name}.starts").read_text(encoding="ascii").splitlines())
    except OSError:
        return 0


def last_lines(layout: Layout, name: str, lines: int = 5) -> str:
    """The end of the program's log on one line, with the path of the file."""
    log: Path = layout.logs / f"{name}.log"
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"has written nothing to {log}"
    texts = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
    return f"{' | '.join(texts)[-600:]} (see {log})"
