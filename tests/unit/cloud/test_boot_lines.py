"""Which lines of a serial port are folded, and how a log and a terminal show them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.cloud import serial_output
from bakehouse.cloud.boot_lines import END_GROUP, GROUP, for_task_log, for_terminal, is_boot_line

BOOT = [
    "SeaBIOS (version 1.16.2-debian-1.16.2-1)",
    "Booting from Hard Disk...",
    "[    0.000000] Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org)",
    "<6>[    0.412345] pci 0000:00:00.0: [8086:1237] type 00 class 0x060000",
    "[    0.5123456][    T1] smp: Brought up 1 node, 2 CPUs",
    "[    1.234567] systemd[1]: Detected virtualization kvm.",
    "[    1.300000] systemd-journald[211]: Received client request to flush runtime journal.",
    "[    1.400000] kernel: audit: type=1404 enforcing=1",
    "[    2.000000] EXT4-fs (vda1): re-mounted. Opts: errors=remount-ro.",
    "[  OK  ] Started ssh.service - OpenBSD Secure Shell server.",
    "         Starting nginx.service - A high performance web server...",
]
SHOWN = [
    "[   12.345678] Kernel panic - not syncing: VFS: Unable to mount root fs",
    "[   90.000001] Out of memory: Killed process 812 (java) total-vm:4123456kB",
    "[   90.100000] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null)",
    "[    9.000000] blk_update_request: I/O error, dev vda, sector 2048",
    "[    9.500000] EXT4-fs error (device vda1): ext4_find_entry:1455: inode #2",
    "[  300.000000] INFO: task dpkg:812 blocked for more than 120 seconds.",
    "[   20.000000] nginx[700]: segfault at 0 ip 00007f sp 00007f error 4",
    "[FAILED] Failed to start nginx.service - A high performance web server.",
    "[DEPEND] Dependency failed for local-fs.target - Local File Systems.",
    "[   30.123456] systemd[1]: nginx.service: Failed with result 'exit-code'.",
    "[   15.000000] google_metadata_script_runner[512]: startup-script: Unpacking nginx",
    "[   15.100000] cloud-init[498]: Setting up nginx (1.22.1-9) ...",
    "Setting up nginx (1.22.1-9) ...",
    "[1/2] RUN apt-get install nginx",
    "Loading extension module wheel_utils",
    "Starting the import of 12 tables",
    "[2026-11-27 15:00:00] worker started",
    f"[    3.200000] noise bakehouse {json.dumps({'nonce': 'n', 'result': 'ok'})}",
    "web-1 login: ",
]


@pytest.mark.parametrize("line", BOOT)
def test_what_every_boot_writes_is_folded(line: str) -> None:
    assert is_boot_line(line)


@pytest.mark.parametrize("line", SHOWN)
def test_trouble_and_the_lines_of_scripts_are_not(line: str) -> None:
    assert not is_boot_line(line)


def test_a_task_log_has_every_boot_line_in_a_group_that_its_title_counts() -> None:
    shown = list(for_task_log([*BOOT, "", "Setting up nginx", *BOOT[:2]]))
    assert shown[0] == f"{GROUP}{len(BOOT)} lines of the kernel and of systemd"
    assert shown[1 : len(BOOT) + 1] == [f"  │ {line}" for line in BOOT]
    assert shown[len(BOOT) + 1 :] == [
        END_GROUP,
        "  │ Setting up nginx",
        *(f"  │ {line}" for line in BOOT[:2]),
    ], "two lines are not worth a fold"


def test_a_terminal_has_one_line_that_counts_them() -> None:
    panic = SHOWN[0]
    assert list(for_terminal([*BOOT, panic, *BOOT[:3]])) == [
        f"  │ … {len(BOOT)} lines of the kernel and of systemd",
        f"  │ {panic}",
        "  │ … 3 lines of the kernel and of systemd",
    ]


@given(st.lists(st.one_of(st.sampled_from(BOOT + SHOWN), st.text())))
def test_no_line_is_lost_or_moved_and_every_group_is_closed(lines: list[str]) -> None:
    shown = list(for_task_log(lines))
    kept = [line for line in shown if not line.startswith((GROUP, END_GROUP))]
    assert kept == [serial_output.shown(line) for line in lines if line]
    marks = [line[: len(GROUP)] for line in shown if line.startswith((GROUP, END_GROUP))]
    assert marks == [GROUP, END_GROUP[: len(GROUP)]] * (len(marks) // 2)
