"""The cookbook's `data-disk`, in a folder that stands for /: it formats nothing that has content.

Disks are files, and the programs that read and write them are real; what needs a kernel is noted.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = PROJECT / "plugins/bakehouse/cookbook/postgres/startup_scripts/files/data-disk"
ROW = b"a row that somebody needs"
OWNER = pwd.getpwuid(os.getuid()).pw_name
PATHS = f"/usr/sbin:/sbin:{os.environ['PATH']}"
needs_mkfs = pytest.mark.skipif(not shutil.which("mkfs.ext4", path=PATHS), reason="no e2fsprogs")
pytestmark = needs_mkfs

# a mount is a link: what is written below the mount point is in a folder that stands for the disk
MOUNT = """#!/bin/bash
echo "mount $*" >>"$NOTED"
if [[ $1 == --bind ]]; then rmdir "$3"; ln -s "$2" "$3"; else rmdir "$6"; ln -s "$ON_DISK" "$6"; fi
"""
MOUNTPOINT = "#!/bin/bash\n[[ -L $2 ]]\n"
UDEVADM = "#!/bin/bash\n"


class Machine:
    """A boot disk (a folder), and perhaps a data disk (a file)."""

    def __init__(self, folder: Path) -> None:
        self.root, self.noted, self.on_disk = folder / "root", folder / "noted", folder / "on_disk"
        self.disk = self.root / "dev/disk/by-id/google-data"
        self.disk.parent.mkdir(parents=True)
        self.on_disk.mkdir()
        stubs = folder / "bin"
        stubs.mkdir()
        for name, text in {"mount": MOUNT, "mountpoint": MOUNTPOINT, "udevadm": UDEVADM}.items():
            (stubs / name).write_text(text)
            (stubs / name).chmod(0o755)
        text = PROGRAM.read_text().replace("[[ -b $device ]]", "[[ -f $device ]]")
        text = text.replace("/dev/disk/by-id", str(self.disk.parent))
        self.program = folder / "data-disk"
        self.program.write_text(text.replace("/srv/data", f"{self.root}/srv/data"))
        self.environment = {
            "PATH": f"{stubs}:{PATHS}",
            "NOTED": str(self.noted),
            "ON_DISK": str(self.on_disk),
        }

    def blank(self, mib: int = 16) -> None:
        with self.disk.open("wb") as file:
            file.truncate(mib << 20)

    def boot(self, device: str = "data", command: str = "") -> subprocess.CompletedProcess[str]:
        words = [str(self.root / "var/lib/db"), f"{OWNER}:{OWNER}", "750", *command.split()]
        return subprocess.run(
            ["bash", str(self.program), *words],
            env={**self.environment, "DATA_DISK": device},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )

    def replace_boot_disk(self) -> None:
        for name in ("srv", "var"):
            shutil.rmtree(self.root / name)

    def mounts(self) -> list[str]:
        return self.noted.read_text().splitlines() if self.noted.exists() else []

    @property
    def data(self) -> Path:
        return self.root / "var/lib/db"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def filesystem_of(disk: Path, tag: str = "TYPE") -> str:
    command = ["blkid", "--probe", "--match-tag", tag, "--output", "value", str(disk)]
    done = subprocess.run(command, env={"PATH": PATHS}, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_a_blank_disk_is_formatted_and_mounted_by_its_uuid(machine: Machine) -> None:
    machine.blank()
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    assert "is blank and is formatted" in done.stdout
    assert filesystem_of(machine.disk) == "ext4"
    uuid = filesystem_of(machine.disk, "UUID")
    first, second = machine.mounts()
    assert first == f"mount -t ext4 -o noatime UUID={uuid} {machine.root}/srv/data"
    assert second == f"mount --bind {machine.root}/srv/data/db {machine.data}"


def test_data_survive_another_boot_disk_and_another_boot(machine: Machine) -> None:
    machine.blank()
    assert machine.boot().returncode == 0
    uuid = filesystem_of(machine.disk, "UUID")
    (machine.data / "row").write_bytes(ROW)
    assert machine.boot().returncode == 0, "the same machine boots again"
    machine.replace_boot_disk()
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    assert "formatted" not in done.stdout
    assert filesystem_of(machine.disk, "UUID") == uuid
    assert (machine.data / "row").read_bytes() == ROW


def test_a_disk_that_has_grown_has_a_file_system_that_grows(machine: Machine) -> None:
    machine.blank(16)
    assert machine.boot().returncode == 0
    with machine.disk.open("r+b") as file:
        file.truncate(32 << 20)
    machine.replace_boot_disk()
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    blocks = subprocess.run(
        ["dumpe2fs", "-h", str(machine.disk)],
        env={"PATH": PATHS},
        capture_output=True,
        text=True,
        check=True,
    )
    count, size = (
        int(line.split(":")[1])
        for line in blocks.stdout.splitlines()
        if line.startswith(("Block count:", "Block size:"))
    )
    assert count * size == 32 << 20


def content(machine: Machine, kind: str) -> None:
    machine.blank()
    tools = {
        "partitions": ["sfdisk", "--quiet", str(machine.disk)],
        "xfs": ["mkfs.xfs", "-q", str(machine.disk)],
        "vfat": ["mkfs.vfat", str(machine.disk)],
        "swap": ["mkswap", str(machine.disk)],
    }
    if kind in tools:
        if not shutil.which(tools[kind][0], path=PATHS):
            pytest.skip(f"{tools[kind][0]} is not installed")
        table = ",,L\n" if kind == "partitions" else ""
        subprocess.run(
            tools[kind],
            input=table,
            env={"PATH": PATHS},
            text=True,
            check=True,
            capture_output=True,
        )
        return
    with machine.disk.open("r+b") as file:
        file.seek({"bytes at the start": 0, "bytes after 3 MiB": 3 << 20}[kind])
        file.write(ROW)


@pytest.mark.parametrize(
    "kind", ["partitions", "vfat", "swap", "xfs", "bytes at the start", "bytes after 3 MiB"]
)
def test_a_disk_with_any_other_content_is_refused_and_left_as_it_is(
    machine: Machine, kind: str
) -> None:
    if kind == "xfs":
        machine.blank(400)
    content(machine, kind)
    before = machine.disk.read_bytes()
    done = machine.boot()
    assert done.returncode == 1
    assert "has content that is not an ext4 file system; it is left as it is" in done.stderr
    assert machine.disk.read_bytes() == before
    assert machine.mounts() == []


def test_without_its_disk_a_machine_fails_and_keeps_nothing_on_the_boot_disk(
    machine: Machine,
) -> None:
    done = machine.boot()
    assert done.returncode == 1
    assert "there is no disk with the device name 'data': attach one" in done.stderr
    assert not machine.data.exists()


@pytest.mark.parametrize("device", ["", "../sda", "a b", "-x"])
def test_what_is_no_device_name_is_refused(machine: Machine, device: str) -> None:
    done = machine.boot(device)
    assert done.returncode == 1
    assert f"data-disk '{device}' is not a device name" in done.stderr


def test_none_keeps_the_data_on_the_boot_disk_and_says_so(machine: Machine) -> None:
    done = machine.boot("none")
    assert done.returncode == 0, done.stderr
    assert "is on the boot disk, and is lost with it" in done.stdout
    assert machine.data.is_dir()
    assert len(machine.mounts()) == 1


def test_the_folder_is_there_only_when_it_is_complete(machine: Machine, tmp_path: Path) -> None:
    machine.blank()
    fails = tmp_path / "first-boot"
    fails.write_text('#!/bin/bash\ntouch "$1/half"\nexit 1\n')
    fails.chmod(0o755)
    assert machine.boot(command=str(fails)).returncode == 1
    assert not (machine.on_disk / "db").exists()
    fails.write_text('#!/bin/bash\ntouch "$1/whole"\n')
    done = machine.boot(command=str(fails))
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (machine.on_disk / "db").iterdir()] == ["whole"]
    fails.write_text("#!/bin/bash\nexit 1\n")
    assert machine.boot(command=str(fails)).returncode == 0, "it is the first boot's only"
