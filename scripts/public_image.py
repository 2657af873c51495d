"""Build localgce's public image unless it is cached, as `localgce image` does, without .venv."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "localgce/src"))

from localgce.core.cache import default_cache
from localgce.core.errors import MachineError
from localgce.machines.qemu import kvm, public_image

if __name__ == "__main__":
    cache = default_cache()
    probe = partial(kvm.choose_accelerator, cache)
    try:
        asyncio.run(public_image.ensure(cache, print, beside=probe))
    except (MachineError, KeyboardInterrupt) as error:
        sys.exit(f"the public image was not made: {error}")
