"""What the guides in docs/ say, read for the tests that hold it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@cache
def lines_of(guide: Path, section: str) -> list[str]:
    """The lines of a section's list, without the dash."""
    pattern = rf"^## {re.escape(section)}\n(.*?)^## "
    found = re.search(pattern, guide.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found, f"{guide} has no section {section}"
    return re.findall(r"^- (.+)$", found[1], re.MULTILINE)
