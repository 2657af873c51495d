"""Debian's releases as real machines; that of Debian 12 boots in all other tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localgce.machines.qemu.debian import DEBIAN_13

from .gce import instance
from .guests import SLOW, VMS, said, script

if TYPE_CHECKING:
    from .gce import Gce

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]


def test_a_machine_of_debian_13_boots_and_reports(qemu: Gce, name: str) -> None:
    report = (
        ". /etc/os-release",
        'tell suite "$VERSION_CODENAME"',
        'tell failed "$(systemctl --failed --quiet --plain --no-legend | wc -l)"',
        'tell sources "$(grep -c trixie /etc/apt/sources.list.d/debian.sources)"',
        'tell listening "$(systemctl is-active ssh.socket localgce-names.socket | xargs)"',
        "/sbin/hwclock --version && gcloud version && tell programs yes",
        "tell done yes",
    )
    body = instance(name, metadata=script(*report))
    family = f"projects/debian-cloud/global/images/family/{DEBIAN_13.family}"
    body["disks"][0]["initializeParams"]["sourceImage"] = family
    qemu.do("POST", VMS, body)
    qemu.until(lambda: said(qemu, name, "done"), SLOW)
    keys = ("suite", "failed", "sources", "listening", "programs")
    found = {key: said(qemu, name, key) for key in keys}
    assert found == {
        "suite": DEBIAN_13.suite,
        "failed": "0",
        "sources": "2",
        "listening": "active active",
        "programs": "yes",
    }
    qemu.do("DELETE", f"{VMS}/{name}")
