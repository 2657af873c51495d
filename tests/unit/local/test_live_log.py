"""What the terminal shows of the log of a build's tasks."""

from __future__ import annotations

from bakehouse.cloud.boot_lines import for_task_log
from bakehouse.local.live_log import Lines


def test_a_group_of_boot_lines_is_one_line() -> None:
    shown: list[str] = []
    lines = Lines(shown.append)
    lines.task = "wait_for_shutdown"
    boot = [f"[    0.{n:06}] pci 0000:00:0{n}.0" for n in range(5)]
    for text in ["waiting", *for_task_log([*boot, "Setting up nginx"])]:
        lines.line(text)
    assert shown == [
        "wait_for_shutdown  waiting",
        "  │ … 5 lines of the kernel and of systemd",
        "  │ Setting up nginx",
    ]
