"""QEMU's command line for a machine."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localgce.machines.qemu import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localgce.machines.contract import Attachment, MachineSpec
    from localgce.machines.qemu.files import MachineFiles

QEMU = "qemu-system-x86_64"
SERIAL_PORTS = (1, 2, 3, 4)
DISPLAY = "display"
SLIRP_MAC = "42:01:a9:fe:01:02"
"""The interface to the outside; the public image identifies it by this address."""


@dataclass(frozen=True)
class Lan:
    """The network between machines: Ethernet frames in multicast datagrams on the loopback."""

    group: str
    port: int


def command(
    spec: MachineSpec,
    files: MachineFiles,
    disk: Callable[[str], Path],
    *,
    name_socket: Path,
    accelerator: str,
    lan: Lan | None,
    ports: tuple[int, ...],
) -> list[str]:
    """The command line. The machine waits for `cont`, so that no event is missed."""
    words = [QEMU, "-nodefaults", "-no-user-config", "-daemonize", "-S", "-display", "none"]
    words += ["-name", spec.name.replace(",", ",,"), "-pidfile", str(files.pid)]
    words += ["-D", str(files.log)]
    words += ["-qmp", f"unix:{files.qmp},server=on,wait=off"]
    words += _board(spec, accelerator)
    for port in SERIAL_PORTS:
        words += [
            *("-chardev", f"file,id=serial{port},path={_value(files.serial(port))},append=on"),
            *("-device", f"isa-serial,chardev=serial{port}"),
        ]
    words += ["-device", f"virtio-serial-pci,id={console.CONTROLLER}"]
    words += ["-smbios", f"type=11,value={console.credential()}"]
    if spec.display:
        words += ["-device", f"VGA,id={DISPLAY}"]
    words += ["-device", "virtio-scsi-pci,id=scsi", "-device", "virtio-rng-pci"]
    nvme = 0
    for attachment in spec.attachments:
        words += ["-blockdev", _json(blockdev(attachment, disk(attachment.disk_id)))]
        words += ["-device", _json(device(attachment, nvme))]
        nvme += attachment.local_ssd == "NVME"
    words += _outside(spec, {80: files.metadata, 53: name_socket}, ports)
    return words + _inside(spec, lan)


def node(device_name: str) -> str:
    """The name of a disk in QEMU, which allows 31 characters where Compute Engine allows 63."""
    return "disk-" + hashlib.sha256(device_name.encode()).hexdigest()[:16]


def blockdev(attachment: Attachment, path: Path) -> dict[str, Any]:
    """Arguments of `-blockdev` and `blockdev-add`.

    What the guest flushes reaches the host's page cache, not its disk: it survives a kill of QEMU
    and of the server. Layers are synced when they are frozen.
    """
    return {
        "driver": "qcow2",
        "node-name": node(attachment.device_name),
        "read-only": attachment.read_only,
        "discard": "unmap",
        "cache": {"no-flush": True},
        "file": {"driver": "file", "filename": str(path), "discard": "unmap"},
    }


def device(attachment: Attachment, nvme: int = 0) -> dict[str, Any]:
    """Arguments of `-device` and `device_add`: a disk as Compute Engine's looks to the guest.

    Vendor, product and designator are what /dev/disk/by-id/google-* is made from; of a local SSD
    with NVMe it is the serial number, in which `nvme` counts them.
    """
    name = node(attachment.device_name)
    if attachment.local_ssd == "NVME":
        serial = f"local-nvme-ssd-{nvme}"
        return {"driver": "nvme", "id": f"{name}-device", "drive": name, "serial": serial}
    arguments: dict[str, Any] = {
        "driver": "scsi-hd",
        "id": f"{name}-device",
        "bus": "scsi.0",
        "drive": name,
        "vendor": "Google",
        "product": "EphemeralDisk" if attachment.local_ssd else "PersistentDisk",
        "device_id": attachment.device_name,
    }
    return arguments | ({"bootindex": 0} if attachment.boot else {})


def mac(address: str) -> str:
    """The hardware address that belongs to an internal address, as on Compute Engine."""
    octets = ipaddress.IPv4Address(address).packed
    return ":".join(f"{octet:02x}" for octet in b"\x42\x01" + octets)


def _board(spec: MachineSpec, accelerator: str) -> list[str]:
    # Under TCG each CPU feature that the guest's kernel uses costs time: `max` boots three times as
    # slowly as `qemu64`. The added features are those of x86-64-v2; without svm the guest does not
    # load a hypervisor of its own.
    cpu = "host" if accelerator == "kvm" else "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"
    accel = "kvm" if accelerator == "kvm" else "tcg,thread=multi"
    cpus = spec.cpus if accelerator == "kvm" else spec.emulated_cpus
    return [
        *("-machine", "q35,vmport=off,sata=off,usb=off,smbus=off,hpet=off,i8042=off"),
        *("-accel", accel, "-cpu", cpu),
        *("-smp", str(cpus), "-m", str(spec.memory_mb)),
        # the hardware clock goes on while the machine is paused; the guest's own does not
        *("-rtc", "base=utc,clock=host"),
        *("-smbios", "type=0,vendor=Google,version=Google"),
        *("-smbios", "type=1,manufacturer=Google,product=Google Compute Engine"),
    ]


def _outside(spec: MachineSpec, servers: dict[int, Path], ports: tuple[int, ...]) -> list[str]:
    """QEMU's user-mode network: the outside, 169.254.169.254, forwarded ports."""
    options = [
        "user,id=outside,net=169.254.0.0/16,host=169.254.0.1,dns=169.254.0.3",
        "dhcpstart=169.254.1.2,ipv6=off",
    ]
    for port, socket in servers.items():
        program = f"cmd:socat - UNIX-CONNECT:{shlex.quote(str(socket))}"
        options.append(_value(f"guestfwd=tcp:169.254.169.254:{port}-{program}"))
    options += [f"hostfwd=tcp:{spec.nic.external_ip}:{port}-:{port}" for port in ports]
    nic = f"virtio-net-pci,netdev=outside,mac={SLIRP_MAC},romfile="
    return ["-netdev", ",".join(options), "-device", nic]


def _inside(spec: MachineSpec, lan: Lan | None) -> list[str]:
    """The network between machines, or a hub without other ports."""
    network = "hubport,id=inside,hubid=0"
    if lan:
        network = f"socket,id=inside,mcast={lan.group}:{lan.port},localaddr=127.0.0.1"
    nic = f"virtio-net-pci,netdev=inside,mac={mac(spec.nic.internal_ip)},romfile="
    return ["-netdev", network, "-device", nic]


def _value(text: object) -> str:
    """Within QEMU's options a comma is written twice."""
    return str(text).replace(",", ",,")


def _json(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments)
