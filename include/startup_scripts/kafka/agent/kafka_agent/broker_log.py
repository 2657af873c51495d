"""What the broker's own log says of its present start: how far it is, and why it is refused."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_agent.facts import Recovery

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A start with many partitions writes some hundred bytes for each.
TAIL = 8 * 1024 * 1024

STARTED = re.compile(
    r"\bstarting \(kafka\.server\.\w+\)|Starting (?:broker|controller) \(|Registered `?kafka:type"
)
LOADING = re.compile(r"Loading logs from log dirs")
RECOVERING = re.compile(r"(Recovering|Skipping recovery of) (\d+) logs from (\S+) since")
LOADED = re.compile(r"\((\d+)/(\d+) completed in ([^)]+)\)")
ALL_LOADED = re.compile(r"Loaded \d+ logs in \d+")
# Of this broker: the active controller writes of others, too.
DUPLICATE = re.compile(r"Unable to register broker \d+ .*DUPLICATE_BROKER_REGISTRATION")
REGISTERED = re.compile(r"Successfully registered broker")


@dataclass(frozen=True)
class Start:
    """What is known of the present start."""

    recovery: Recovery | None = None
    duplicate_registration: bool = False


def read(path: Path) -> Start:
    """The end of the file; nothing is known where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            content = file.read()
    except OSError:
        return Start()
    return parse(content.decode("utf-8", "replace").splitlines())


def parse(lines: Iterable[str]) -> Start:
    """Line by line; each new start forgets what was before it."""
    loading = done = duplicate = unclean = False
    of: dict[str, tuple[int, int]] = {}
    for line in lines:
        if STARTED.search(line):
            loading = done = duplicate = unclean = False
            of = {}
        elif LOADING.search(line):
            loading, done, unclean, of = True, False, False, {}
        elif found := RECOVERING.search(line):
            of[found[3]] = (0, int(found[2]))
            unclean = unclean or found[1] == "Recovering"
        elif found := LOADED.search(line):
            before = of.get(found[3], (0, 0))[0]
            of[found[3]] = (max(int(found[1]), before), int(found[2]))
        elif ALL_LOADED.search(line):
            done = True
        elif DUPLICATE.search(line):
            duplicate = True
        elif REGISTERED.search(line):
            duplicate = False
    if not loading:
        return Start(None, duplicate)
    total = sum(whole for _, whole in of.values())
    loaded = sum(one for one, _ in of.values())
    # Between the first line and the first number nothing is loaded, and something is under way.
    return Start(
        Recovery(total, total, unclean)
        if done
        else Recovery(loaded, max(total, loaded + 1), unclean),
        duplicate,
    )
