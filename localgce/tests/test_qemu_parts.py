"""The parts of real machines that can be tested without a boot."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import uuid
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgce import doctor
from localgce.core.errors import MachineError
from localgce.core.subprocesses import run
from localgce.guest import bootable
from localgce.machines.contract import Attachment, MachineSpec, Nic, PublicImage
from localgce.machines.qemu import command as qemu_command
from localgce.machines.qemu import debian, kvm, public_image
from localgce.machines.qemu import names as qemu_names
from localgce.machines.qemu import process as qemu_process
from localgce.machines.qemu import serial as qemu_serial
from localgce.machines.qemu.files import MachineFiles, socket_path, sweep_links
from localgce.machines.qemu.names import Names, NameServer

SPEC = MachineSpec(
    machine_id="1",
    name="web-2",
    project="demo",
    zone="us-central1-a",
    cpus=2,
    emulated_cpus=1,
    memory_mb=2048,
    attachments=(Attachment("d", "x" * 63, boot=True), Attachment("e", "logs", False, True)),
    nic=Nic("10.128.0.2", "127.0.7.1"),
)


def words(folder: Path, *, kvm_here: bool = False, spec: MachineSpec = SPEC) -> list[str]:
    return qemu_command.command(
        spec,
        MachineFiles(folder),
        lambda disk: Path(f"/disks/{disk}.qcow2"),
        name_socket=Path("/s/names.sock"),
        accelerator="kvm" if kvm_here else "tcg",
        lan=qemu_command.Lan("230.0.0.1", 2000),
        ports=(8080,),
    )


def test_the_command_line_has_disks_ports_and_addresses(tmp_path: Path) -> None:
    line = " ".join(words(tmp_path))
    assert f'"device_id": "{"x" * 63}"' in line
    assert '"read-only": true' in line
    assert "hostfwd=tcp:127.0.7.1:8080-:8080" in line
    assert "mac=42:01:0a:80:00:02" in line
    assert f"guestfwd=tcp:169.254.169.254:80-cmd:socat - UNIX-CONNECT:{tmp_path}" in line
    assert "-accel tcg,thread=multi -cpu qemu64" in line
    assert "-smp 1 -m 2048" in line
    with_kvm = " ".join(words(tmp_path, kvm_here=True))
    assert "-accel kvm -cpu host" in with_kvm
    assert "-smp 2 -m 2048" in with_kvm


def test_a_local_ssd_looks_to_the_guest_as_compute_engine_s(tmp_path: Path) -> None:
    """Its name in /dev/disk/by-id is made of these; with NVMe they are counted."""
    ssds = [Attachment(f"s{n}", f"ssd-{n}", False, local_ssd="NVME") for n in range(2)]
    scsi = Attachment("s3", "fast", False, local_ssd="SCSI")
    spec = replace(SPEC, attachments=(*SPEC.attachments, *ssds, scsi))
    line = " ".join(words(tmp_path, spec=spec))
    for number in range(2):
        assert f'"serial": "local-nvme-ssd-{number}"' in line
    assert '"product": "EphemeralDisk", "device_id": "fast"' in line
    assert line.count("PersistentDisk") == len(SPEC.attachments)


@given(st.text(min_size=1, max_size=63))
def test_names_within_qemu_fit_for_any_device_name(name: str) -> None:
    assert len(qemu_command.node(name)) <= 31


def test_a_path_too_long_for_a_socket_is_reached_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / ("long, and with a comma " * 6)
    folder.mkdir()
    short = socket_path(folder / "qmp.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))
    assert (folder / "qmp.sock").is_socket()
    assert socket_path(folder / "qmp.sock") == short
    assert socket_path(tmp_path / "qmp.sock") == tmp_path / "qmp.sock"
    sweep_links()
    assert short.parent.is_symlink()
    shutil.rmtree(folder)
    sweep_links()
    assert not short.parent.is_symlink()


def test_serial_pages_by_offset_and_counts_from_the_end(tmp_path: Path) -> None:
    port = tmp_path / "serial"
    assert qemu_serial.read(port, 5) == (b"", 0, 0)
    port.write_bytes(b"0123456789")
    assert qemu_serial.read(port, 0) == (b"0123456789", 0, 10)
    assert qemu_serial.read(port, 4) == (b"456789", 4, 10)
    assert qemu_serial.read(port, -3) == (b"789", 7, 10)
    assert qemu_serial.read(port, -30) == (b"0123456789", 0, 10)
    assert qemu_serial.read(port, 99) == (b"", 10, 10)


def test_serial_offsets_stay_valid_when_old_output_is_discarded(tmp_path: Path) -> None:
    port = tmp_path / "serial"
    port.write_bytes(b"a" * (3 * qemu_serial.RING) + b"b" * qemu_serial.RING)
    qemu_serial.trim(port)
    with port.open("ab") as file:
        file.write(b"end")
    contents, start, following = qemu_serial.read(port, 0)
    assert (start, following) == (3 * qemu_serial.RING + 3, 4 * qemu_serial.RING + 3)
    assert contents == b"b" * (qemu_serial.RING - 3) + b"end"
    qemu_serial.trim(tmp_path / "missing")


async def test_a_process_is_found_only_by_the_pidfile_it_was_started_with(tmp_path: Path) -> None:
    pidfile = tmp_path / "qemu.pid"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)", "-pidfile", str(pidfile)
    )
    pidfile.write_text(f"{os.getpid()}\n")
    assert qemu_process.find(pidfile) is None
    assert qemu_process.find(tmp_path / "none") is None
    pidfile.write_text(f"{child.pid}\n")
    found = qemu_process.find(pidfile)
    assert found is not None
    assert found.pid == child.pid
    found.kill()
    await asyncio.wait_for(asyncio.gather(found.ended(), found.ended()), 120)
    await child.wait()
    found.kill()
    assert qemu_process.find(pidfile) is None


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return (
        struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    )


def code(reply: bytes | None) -> tuple[int, int]:
    """(result code, number of answers)."""
    assert reply is not None
    return reply[3] & 15, struct.unpack_from(">H", reply, 6)[0]


def test_names_of_machines() -> None:
    names = Names()
    names.add(SPEC)
    zonal = names.answer(query("Web-2.us-central1-a.c.demo.internal"))
    assert code(zonal) == (0, 1)
    assert zonal is not None
    assert zonal.endswith(bytes([10, 128, 0, 2]))
    assert code(names.answer(query("web-2.c.demo.internal"))) == (0, 1)
    assert code(names.answer(query("web-2.us-central1-a.c.demo.internal", kind=28))) == (0, 0)
    assert code(names.answer(query("web-3.us-central1-a.c.demo.internal"))) == (3, 0)
    assert code(names.answer(query("2.0.128.10.in-addr.arpa", kind=12))) == (0, 1)
    assert names.answer(query("deb.debian.org")) is None
    names.remove(SPEC)
    assert code(names.answer(query("web-2.c.demo.internal"))) == (3, 0)


@given(st.binary(max_size=80))
def test_any_query_is_answered_or_rejected(message: bytes) -> None:
    try:
        reply = Names().answer(message)
    except ValueError:
        return
    assert reply is None or reply[:2] == message[:2]


@pytest.mark.parametrize("resolvers", ["search x\n", "nameserver 192.0.2.1\n"])
async def test_without_an_answering_resolver_other_names_are_unknown_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolvers: str
) -> None:
    """A guest agent on a host without internet goes on; it is not asked again for each name."""
    silent = AsyncMock(side_effect=TimeoutError)
    monkeypatch.setattr(qemu_names, "_ask", silent)
    (tmp_path / "resolv.conf").write_text(resolvers)
    server = NameServer(Names(), tmp_path / "resolv.conf")
    await server.open(tmp_path / "names.sock")
    reader, writer = await asyncio.open_unix_connection(tmp_path / "names.sock")
    for name in ("compute.googleapis.com", "deb.debian.org"):
        asked = query(name)
        writer.write(struct.pack(">H", len(asked)) + asked)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        assert code(await reader.readexactly(length)) == (3, 0)
    assert silent.await_count == resolvers.count("nameserver")
    writer.close()
    await writer.wait_closed()
    await server.close()


@pytest.mark.parametrize(("kind", "expected"), [(1, (0, 1)), (28, (0, 0))])
async def test_a_start_up_script_by_url_is_fetched_without_internet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, expected: tuple[int, int]
) -> None:
    """Its runner waits until storage.googleapis.com has an address, wherever the script is."""
    asked = query("storage.googleapis.com", kind)
    monkeypatch.setattr(qemu_names, "_ask", AsyncMock(return_value=qemu_names._unknown(asked)))
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    server = NameServer(Names(), tmp_path / "resolv.conf")
    await server.open(tmp_path / "names.sock")
    reader, writer = await asyncio.open_unix_connection(tmp_path / "names.sock")
    writer.write(struct.pack(">H", len(asked)) + asked)
    (length,) = struct.unpack(">H", await reader.readexactly(2))
    reply = await reader.readexactly(length)
    assert code(reply) == expected
    assert reply.endswith(bytes(4)) is (kind == 1)
    known = qemu_names._reply(asked, len(asked), kind, bytes([1, 2, 3, 4]), known=True)
    assert qemu_names._awaited(asked, known) == known
    writer.close()
    await writer.wait_closed()
    await server.close()


@pytest.mark.skipif(shutil.which("sfdisk") is None, reason="sfdisk is missing")
def test_sfdisk_accepts_the_partition_table(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    bootable.write_boot_loader(disk, b"B" * 512, b"C" * 30000, uuid.uuid4())
    said = subprocess.run(["sfdisk", "--verify", disk], capture_output=True, text=True, check=True)
    assert "No errors detected" in said.stdout
    listed = subprocess.run(["sfdisk", "--dump", disk], capture_output=True, text=True, check=True)
    assert "label: gpt" in listed.stdout
    assert "raw1 : start=        4096" in listed.stdout
    assert bootable.root_blocks(64 << 20) * 8 <= (64 << 20) // 512 - 4096 - 33
    with pytest.raises(ValueError, match="does not fit"):
        bootable.write_boot_loader(disk, b"B" * 512, b"C" * (2 << 20), uuid.uuid4())


async def test_a_failing_command_is_reported_in_one_line() -> None:
    assert await run("echo", "fine") == "fine\n"
    with pytest.raises(MachineError, match="sh: second"):
        await run("sh", "-c", "echo first >&2; echo second >&2; exit 3")
    with pytest.raises(MachineError, match="no-such-program is not installed"):
        await run("no-such-program")


async def test_a_cancelled_command_leaves_no_child() -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        run("sh", "-c", "sleep 600 & echo $! >&2; wait", line=started.set_result)
    )
    pid = int(await asyncio.wait_for(started, 120))
    child = qemu_process.Process(pid, os.pidfd_open(pid))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(child.ended(), 120)


async def test_the_accelerator_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALGCE_ACCEL", "kvm")
    assert (await kvm.choose_accelerator(tmp_path)).accelerator == "kvm"
    monkeypatch.setenv("LOCALGCE_ACCEL", "tcg")
    assert (await kvm.choose_accelerator(tmp_path)).accelerator == "tcg"


async def test_the_accelerator_is_stored_until_kvm_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = []

    async def probe(kernel: Path) -> kvm.Accelerator:
        await asyncio.sleep(0)
        probes.append(kernel)
        return kvm.Accelerator("kvm", "fine")

    monkeypatch.setattr(kvm, "probe", probe)
    kept = [await kvm._remembered(tmp_path / "kvm.json", Path("k")) for _ in range(2)]
    assert [chosen.accelerator for chosen in kept] == ["kvm", "kvm"]
    assert len(probes) == 1
    kvm.disable_kvm(tmp_path)
    assert (await kvm._remembered(tmp_path / "kvm.json", Path("k"))).accelerator == "tcg"


@pytest.mark.parametrize(
    ("boots", "silent", "deadline", "accelerator", "reason"),
    [
        ("echo Booting; echo Unable to mount root fs", 60.0, 60.0, "kvm", "succeeded"),
        ("echo Booting; exec sleep 600", 0.5, 60.0, "tcg", "hung: no line of the kernel for"),
        ("exec sleep 600", 0.5, 60.0, "tcg", "hung: no line of the kernel for"),
        ("while :; do echo more; sleep 0.1; done", 60.0, 2.0, "tcg", "did not end in 2 s"),
        ("echo no such CPU >&2; exit 1", 60.0, 60.0, "tcg", "failed: no such CPU"),
    ],
    ids=["it works", "hung after a line", "hung at once", "without an end", "refused"],
)
async def test_a_probe_ends_soon_also_where_the_boot_does_not(
    monkeypatch: pytest.MonkeyPatch,
    boots: str,
    silent: float,
    deadline: float,
    accelerator: str,
    reason: str,
) -> None:
    def command(_: Path, serial: Path, __: str) -> list[str]:
        return ["sh", "-c", f"exec >{shlex.quote(str(serial))}; {boots}"]

    monkeypatch.setattr(kvm, "_command", command)
    monkeypatch.setattr(kvm, "SILENT", silent)
    monkeypatch.setattr(kvm, "DEADLINE", deadline)
    found = await kvm.probe(Path("vmlinuz"))
    assert found.accelerator == accelerator
    assert f"a probe boot with kvm {reason}" in found.reason


def test_what_is_missing_is_reported_with_its_package() -> None:
    there = doctor.Check("qemu-img", True, "/usr/bin/qemu-img")
    missing = doctor.Check("socat", False, "is not installed", "apt-get install socat")
    note = doctor.Check("acceleration", False, "no KVM", fatal=False)
    text = doctor.report([there, missing, note])
    assert "FAIL  socat          is not installed" in text
    assert "apt-get install socat" in text
    assert "This host can run instant machines only: socat." in text
    assert "--machines qemu" in doctor.report([there, note])


def test_a_slow_emulator_is_named_with_its_remedy() -> None:
    old = "QEMU emulator version 7.2.19 (Debian 1:7.2+dfsg-7+deb12u16)\nCopyright (c) 2003-2022"
    assert "QEMU 7.2 starts" in doctor.slow_emulator(old)
    assert "backports" in doctor.slow_emulator(old)
    for version in ("QEMU emulator version 10.0.2 (Debian 1:10.0.2)", "QEMU 8", ""):
        assert doctor.slow_emulator(version) == ""


@pytest.mark.parametrize("release", debian.RELEASES, ids=lambda release: release.family)
def test_the_public_image_has_its_sources_as_those_of_compute_engine_have_them(
    monkeypatch: pytest.MonkeyPatch, release: debian.Release
) -> None:
    """As mirror lists; and a cache with the image of another form builds it again."""
    with tarfile.open(fileobj=io.BytesIO(debian.overlay(release, b""))) as overlay:
        contents = {member.name: overlay.extractfile(member) for member in overlay}
        files = {path: file.read().decode() for path, file in contents.items() if file}
    sources = files["etc/apt/sources.list.d/debian.sources"]
    lists = re.findall(r"^URIs: mirror\+file://(\S+)$", sources, re.MULTILINE)
    assert [files[path[1:]] for path in lists] == [
        "https://deb.debian.org/debian\n",
        "https://deb.debian.org/debian-security\n",
    ]
    assert re.findall(r"^Suites: (.*)$", sources, re.MULTILINE) == [
        f"{release.suite} {release.suite}-updates",
        f"{release.suite}-security",
    ]
    before = debian.ingredients(release)
    changed = debian.overlay(release, b"") + b"other sources"
    monkeypatch.setattr(debian, "overlay", lambda *_: changed)
    assert debian.ingredients(release) != before


def test_each_release_has_an_image_of_its_own_in_the_cache(tmp_path: Path) -> None:
    found = [public_image.identity(tmp_path, release) for release in debian.RELEASES]
    assert [image.family for image in found] == [each.family for each in debian.RELEASES]
    assert len({image.layer_path.parent for image in found}) == len(found)
    assert public_image.identity(tmp_path) == found[0]
    assert public_image.any_kernel(tmp_path) is None
    kernel, _ = public_image.kernel(found[-1])
    kernel.touch()
    assert public_image.any_kernel(tmp_path) == kernel


def make_root(root: Path) -> None:
    """A root file system of no more than what the disk boots with; each file holds its name."""
    for name in ("grub/i386-pc/boot.img", "grub/i386-pc/core.img", "vmlinuz-6", "initrd.img-6"):
        file = root / "boot" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)


async def test_kvm_is_probed_while_the_disk_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of this test is made once the probe has begun, and the probe ends after the disk."""
    begun, made = asyncio.Event(), asyncio.Event()
    probed = []

    async def bootstrap(_release: object, scratch: Path, *_: object) -> Path:
        await asyncio.to_thread(make_root, scratch / "root")
        return scratch / "root"

    async def make_disk(*_: object) -> None:
        await begun.wait()
        made.set()

    async def probe() -> None:
        kernel = public_image.any_kernel(tmp_path)
        assert kernel is not None
        probed.append(kernel.name)
        begun.set()
        await made.wait()

    async def convert(*words: object) -> None:
        await asyncio.to_thread(Path(str(words[-1])).write_bytes, b"disk")

    monkeypatch.setattr(public_image, "_bootstrap", bootstrap)
    monkeypatch.setattr(public_image, "_make_disk", make_disk)
    monkeypatch.setattr(public_image, "run", convert)
    monkeypatch.setattr(bootable, "write_boot_loader", lambda *_: None)
    image = await public_image.ensure(tmp_path, lambda _: None, beside=probe)
    assert image.ready
    assert probed == [public_image.kernel(image)[0].name]
    await public_image.ensure(tmp_path, lambda _: None, beside=probe)
    assert len(probed) == 1


def test_the_image_is_built_by_python_s_own_library(tmp_path: Path) -> None:
    """Up to where Debian's programs are needed, which are not in this PATH."""
    source = Path(public_image.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-S", "-m", "localgce.build_public_image"],
        env={"PYTHONPATH": str(source), "HOME": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "the public image was not built: the package mmdebstrap is missing\n"
    assert done.returncode == 1


async def test_who_waits_for_the_build_of_another_process_reports_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asyncio.Event()
    built = []

    async def build(
        image: PublicImage, _: object, progress: public_image.Progress, __: object
    ) -> None:
        progress("making the disk")
        await seen.wait()
        built.append(image.name)
        await asyncio.to_thread(image.layer_path.write_bytes, b"disk")
        progress("it is ready")

    reported: list[str] = []

    def report(line: str) -> None:
        reported.append(line)
        if line == "making the disk":
            seen.set()

    monkeypatch.setattr(public_image, "_build", build)
    first = asyncio.create_task(public_image.ensure(tmp_path, lambda _: None))
    await asyncio.sleep(0)
    second = await public_image.ensure(tmp_path, report)
    assert await first == second
    assert built == [second.name]
    assert reported == [
        "another process builds the image; waiting for it", "making the disk", "it is ready"
    ]  # fmt: skip


async def test_a_disk_that_cannot_be_made_ends_the_probe_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    async def refuse(*_: object) -> None:
        await asyncio.sleep(0)
        raise MachineError("no space left")

    async def keep(*_: object) -> dict[str, bytes]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return {}

    async def bootstrap(*_: object) -> Path:
        await asyncio.sleep(0)
        return tmp_path

    monkeypatch.setattr(public_image, "_bootstrap", bootstrap)
    monkeypatch.setattr(public_image, "_make_disk", refuse)
    monkeypatch.setattr(public_image, "_keep_kernel", keep)
    with pytest.raises(MachineError, match="no space left"):
        await public_image.ensure(tmp_path, lambda _: None)
    assert ended == [True]
