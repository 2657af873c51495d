"""The guest of machines that a thousand bakes wait for: it chats, and finishes when it is told.

Its attributes: `bakehouse-nonce`, and `bench-until` (epoch seconds; without it it never ends).
"""

from __future__ import annotations

import gzip
import json
import time
from base64 import b64encode
from typing import Any

CHAT_EVERY = 10.0  # seconds
PACKAGES = b64encode(gzip.compress(b"bash\t5.2.15\tamd64\n")).decode()


async def boot(vm: Any) -> None:
    """One builder."""
    attributes = vm.metadata()["attributes"]
    until = float(attributes.get("bench-until", "inf"))
    nonce = attributes["bakehouse-nonce"]
    while (left := until - time.time()) > 0:
        vm.serial(f"Unpacking package {time.time():.0f} ...\n")
        await vm.sleep(min(left, CHAT_EVERY))
    for said in ({"manifest": PACKAGES}, {"result": "ok"}):
        vm.serial(f"bakehouse {json.dumps({'nonce': nonce, **said})}\n")
    await vm.power_off()
