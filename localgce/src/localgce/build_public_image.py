"""`python -m localgce.build_public_image`: `localgce image`, with Python's own library alone.

The image takes longer than all else of a first start: it can be built while packages of Python are
still being installed.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING

from localgce.core.cache import default_cache
from localgce.core.errors import MachineError
from localgce.machines.qemu import kvm, public_image
from localgce.machines.qemu.debian import DEBIAN_12, Release

if TYPE_CHECKING:
    from pathlib import Path


async def build(cache: Path, progress: public_image.Progress, release: Release = DEBIAN_12) -> None:
    """Build the image unless it is cached, and probe KVM beside it. Raises MachineError."""
    await public_image.ensure(cache, progress, release, partial(kvm.choose_accelerator, cache))


if __name__ == "__main__":
    try:
        asyncio.run(build(default_cache(), print))
    except (MachineError, KeyboardInterrupt) as error:
        sys.exit(f"the public image was not built: {error}")
