"""Fold what kernel, firmware and systemd write while a VM boots. Pure.

They write several hundred lines before the first script starts. A log keeps them, folded, since
they are the only trace of a boot that hangs. Lines that tell of trouble are never folded, nor are
lines of another program, which journald writes with the same time stamp.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from bakehouse.cloud import serial_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GROUP, END_GROUP = "::group::", "::endgroup::"  # Airflow's page folds what lies between them
WHAT = "lines of the kernel and of systemd"  # ends the title of a group
_FEWEST = 3  # lines that are worth a fold
_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d{3,}\](?:\[ *[TC]\d+\])? ?")
_PROGRAM = re.compile(r"(?!systemd(?:-[\w-]+)?\[|kernel: )[\w.@/-]+\[\d+\]: ")
_BOOT = re.compile(
    r"^\[ {2}OK {2}\] "
    r"|^ {9}(?:Starting|Stopping|Mounting|Unmounting|Activating|Deactivating) "
    r"|^(?:SeaBIOS|iPXE|BdsDxe:|GRUB loading|Welcome to GRUB|Booting from|Booting `"
    r"|UEFI: |CSM|Machine UUID|Loading Linux|Loading initial ramdisk)"
)
_TROUBLE = re.compile(
    r"panic|\boops\b|\bBUG\b|call trace|out of memory|\boom|killed|\berrors?\b(?!=)|fail|segfault"
    r"|protection fault|lockup|blocked for more|no space|read-only|corrupt|denied|timed out"
    r"|emergency|dependency",
    re.IGNORECASE,
)


def is_boot_line(line: str) -> bool:
    """Whether the line is of kernel, firmware or systemd, and tells of no trouble."""
    stamp = _STAMP.match(line)
    if stamp is None:
        boot = _BOOT.match(line) is not None
    else:
        boot = _PROGRAM.match(line, stamp.end()) is None and not serial_output.is_structured(line)
    return boot and _TROUBLE.search(line) is None


def for_task_log(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines as a task log shows them: boot lines in a group that the page folds."""
    for boot, run in _runs(lines):
        if boot:
            yield f"{GROUP}{_count(run)}"
        yield from map(serial_output.shown, run)
        if boot:
            yield END_GROUP


class Unfolded:
    """A task log as a terminal shows it, text by text: of a group of boot lines only its title."""

    def __init__(self) -> None:
        self._inside = False

    def shown(self, text: str) -> str | None:
        """Return the text to show; None for marks of groups, and for what a title stands for."""
        if text.startswith(GROUP):
            self._inside = text.endswith(WHAT)
            return _title(text.removeprefix(GROUP)) if self._inside else None
        if text.startswith(END_GROUP):
            self._inside = False
            return None
        return None if self._inside else text


def for_terminal(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines as a terminal shows them: one line counts those that are folded."""
    for boot, run in _runs(lines):
        if boot:
            yield _title(_count(run))
        else:
            yield from map(serial_output.shown, run)


def _runs(lines: Iterable[str]) -> Iterator[tuple[bool, list[str]]]:
    for boot, run in groupby(filter(None, lines), is_boot_line):
        found = list(run)
        yield boot and len(found) >= _FEWEST, found


def _title(words: str) -> str:
    return f"  │ … {words}"


def _count(run: list[str]) -> str:
    return f"{len(run)} {WHAT}"
