"""What a real guest sees: the time after a suspension, its local SSDs, its network."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from .gce import DEBIAN, REGION, ZONE, instance
from .guests import SLOW, VMS, said, script, serial

if TYPE_CHECKING:
    from .gce import Gce

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1500)]
SUSPENDED = 40  # seconds
TICK = 'while sleep 1; do echo "clock $(date +%s) of the guest" > /dev/ttyS0; done'
BY_ID = "/dev/disk/by-id/google-local"
BOOT = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}


def seconds_behind(gce: Gce, name: str) -> float | None:
    """How far the guest's last tick lies behind this host's clock; None before the first."""
    ticks = re.findall(r"clock (\d+) of the guest", serial(gce, name))
    return time.time() - int(ticks[-1]) if ticks else None


def test_a_resumed_guest_has_the_right_time_and_its_local_ssds(qemu: Gce, name: str) -> None:
    """The agent sets the clock by the hardware's when the metadata has another drift token.

    One machine for both, since a boot is what takes the time.
    """
    ssd = {"initializeParams": {"diskType": f"zones/{ZONE}/diskTypes/local-ssd"}}
    ssds = [{"type": "SCRATCH", "interface": each, **ssd} for each in ("NVME", "SCSI")]
    report = (
        f'tell sizes "$(blockdev --getsize64 {BY_ID}-nvme-ssd-0 {BY_ID}-ssd-1 | xargs)"',
        f"mkfs.ext4 -q -E nodiscard {BY_ID}-nvme-ssd-0 && mount {BY_ID}-nvme-ssd-0 /mnt",
        "echo hello > /mnt/mark && sync && tell mark $(cat /mnt/mark)",
        f"systemd-run --unit=tick bash -c '{TICK}'",
    )
    body = instance(name, metadata=script(*report), disks=[BOOT, *ssds])
    body["machineType"] = f"zones/{ZONE}/machineTypes/custom-1-1024"
    qemu.do("POST", VMS, body)
    qemu.until(lambda: seconds_behind(qemu, name) is not None, SLOW)
    assert said(qemu, name, "sizes") == " ".join([str(375 << 30)] * 2)
    assert said(qemu, name, "mark") == "hello"

    qemu.do("POST", f"{VMS}/{name}/suspend", discardLocalSsd=False)
    time.sleep(SUSPENDED)
    assert (seconds_behind(qemu, name) or 0) >= SUSPENDED - 2  # it does not tick meanwhile
    qemu.do("POST", f"{VMS}/{name}/resume")
    qemu.until(lambda: (seconds_behind(qemu, name) or 0) < SUSPENDED / 2, 240)
    qemu.do("DELETE", f"{VMS}/{name}")


def test_machines_of_one_s_own_network_reach_each_other(qemu: Gce, name: str) -> None:
    """Whatever range it has; one of them has moved there from the default network."""
    network, region = f"global/networks/{name}", f"regions/{REGION}/subnetworks"
    qemu.do("POST", "global/networks", {"name": name, "autoCreateSubnetworks": False})
    qemu.do("POST", region, {"name": name, "network": network, "ipCidrRange": "10.77.3.0/27"})
    serve = "cd /run && echo found > page && python3 -m http.server 8123 &"
    qemu.create(f"{name}-1", metadata=script(serve), networkInterfaces=[{"network": network}])
    ask = f"curl -s --retry 60 --retry-all-errors --retry-delay 2 http://{name}-1:8123/page"
    qemu.do("POST", VMS, instance(f"{name}-2", metadata=script(f'tell page "$({ask})"')))
    qemu.do("POST", f"{VMS}/{name}-2/stop")
    path, query = f"{VMS}/{name}-2/updateNetworkInterface", {"networkInterface": "nic0"}
    qemu.do("PATCH", path, {"network": network}, **query)
    qemu.do("POST", f"{VMS}/{name}-2/start")
    qemu.until(lambda: said(qemu, f"{name}-2", "page"), SLOW)
    assert said(qemu, f"{name}-2", "page") == "found"
    for each in (f"{name}-1", f"{name}-2"):
        qemu.do("DELETE", f"{VMS}/{each}")
    qemu.do("DELETE", f"{region}/{name}")
    qemu.do("DELETE", network)
