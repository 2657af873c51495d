"""The folder that servers share: public images, and whether KVM works on this host."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/localgce`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "localgce"
