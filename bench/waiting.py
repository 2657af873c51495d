"""One triggerer's event loop with as many ShutdownTriggers as it is told; see bake_waits.py.

waiting.py PREFIX NUMBER DEADLINE: waits for the builders `<PREFIX>-0` to `-<NUMBER - 1>` until the
epoch second DEADLINE. Prints a line of JSON for each that fires, `{"name", "at"}`, and one when its
standard input is closed, `{"mb", "mb_before", "waiting"}`, and ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import time
from typing import Any

import psutil

ZONE = "us-central1-a"


def megabytes() -> float:
    """What this process alone costs."""
    gc.collect()
    return float(psutil.Process().memory_full_info().uss) / 1e6


async def wait_for(name: str, deadline: float) -> None:
    """Wait with the bake's own trigger; print name, epoch seconds of its event and the result."""
    from bakehouse.bake.triggers import ShutdownTrigger

    arguments: dict[str, Any] = {"conn_id": "google_cloud_default", "zone": ZONE, "name": name}
    trigger = ShutdownTrigger(**arguments, nonce=nonce_of(name), deadline=deadline)
    event = await anext(trigger.run())
    said = event.payload["facts"]["said"]
    ok = any(line.get("result") == "ok" for line in said)
    print(json.dumps({"name": name, "at": time.time(), "ok": ok}), flush=True)


def nonce_of(name: str) -> str:
    """The nonce of a machine, 32 characters, made from its name."""
    return name.encode().hex().ljust(32, "0")[-32:]


async def main(prefix: str, number: int, deadline: float) -> None:
    """Run so many triggers until stdin is closed; print the memory in MB, before and after."""
    import bakehouse.bake.triggers  # ruff: ignore[unused-import]  what a triggerer has loaded in any case

    logging.disable(logging.INFO)  # a triggerer writes to a file for each, of its supervisor
    before = megabytes()
    waits = [asyncio.create_task(wait_for(f"{prefix}-{n}", deadline)) for n in range(number)]
    await asyncio.to_thread(sys.stdin.read)
    open_ones = sum(not task.done() for task in waits)
    told = {"mb": megabytes(), "mb_before": before, "waiting": open_ones}
    print(json.dumps(told), flush=True)
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
