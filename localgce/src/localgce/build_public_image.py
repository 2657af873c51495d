"""`python -m localgce.build_public_image`: `localgce image`, with Python's own library alone.

The image takes longer than all else of a first start: it can be built while packages of Python are
still being installed.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from localgce.core.cache import default_cache
from localgce.core.errors import MachineError
from localgce.machines.qemu import kvm, public_image

if __name__ == "__main__":
    cache = default_cache()
    probe = partial(kvm.choose_accelerator, cache)
    try:
        asyncio.run(public_image.ensure(cache, print, beside=probe))
    except (MachineError, KeyboardInterrupt) as error:
        sys.exit(f"the public image was not built: {error}")
