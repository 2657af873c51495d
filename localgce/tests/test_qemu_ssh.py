"""What users of gcloud and Packer do with a real machine: SSH, reports of the guest, names."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from .gce import ZONE
from .guests import SLOW, VMS, external, said, script
from .packer import packer

if TYPE_CHECKING:
    from pathlib import Path

    from .gce import Gce

GCLOUD = shutil.which("gcloud")
pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed"),
    pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="port 22 of 127/8 is for root"),
]
COMPUTE = "https://www.googleapis.com/auth/compute"
# asks for a name by UDP alone, as programs do that do not read `options use-vc`
BY_UDP = """
import socket, struct, sys
name = sys.argv[1]
labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
query = struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + labels + b"\\0" + struct.pack(">HH", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(60)
    client.connect(("169.254.169.254", 53))
    client.send(query)
    print(socket.inet_ntoa(client.recv(4096)[-4:]))
"""


def test_a_user_of_gcloud_works_on_a_real_machine(qemu: Gce, name: str, tmp_path: Path) -> None:
    """One machine for all of it, since a boot is what takes the time."""
    settings = {
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "demo",
        "CLOUDSDK_COMPUTE_ZONE": ZONE,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{qemu.base}/compute/v1/",
    }

    def gcloud(*words: str) -> str:
        done = subprocess.run(
            [str(GCLOUD), "compute", *words],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=SLOW,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ssh(command: str) -> str:
        return gcloud("ssh", f"tester@{name}", f"--command={command}", "--quiet")

    report = 'tell keys "$(ls /etc/ssh | grep -c ssh_host)"'
    account = [{"email": "default", "scopes": [COMPUTE]}]
    metadata = script(report, "tell booted yes")
    qemu.create(name, metadata=metadata, **external(serviceAccounts=account))
    qemu.until(lambda: said(qemu, name, "booted"), SLOW)
    assert said(qemu, name, "keys") == "0"  # nobody has connected yet

    ssh("true")  # which makes a key, and says so
    host, user, admin = ssh("hostname; id -un; sudo id -un").split()
    assert (host, user, admin) == (name, "tester", "root")
    assert ssh("ls /etc/ssh/ssh_host_*_key").split() == [
        "/etc/ssh/ssh_host_ecdsa_key",
        "/etc/ssh/ssh_host_ed25519_key",
    ]
    ssh(f"gcloud compute instances add-metadata {name} --metadata status=done --zone {ZONE}")
    items = {each["key"]: each["value"] for each in qemu.instance(name)["metadata"]["items"]}
    assert items["status"] == "done"
    address = qemu.instance(name)["networkInterfaces"][0]["networkIP"]
    own = f"{name}.{ZONE}.c.demo.internal"
    (tmp_path / "by_udp.py").write_text(BY_UDP)
    gcloud("scp", str(tmp_path / "by_udp.py"), f"tester@{name}:/tmp/", "--quiet")
    assert ssh(f"python3 /tmp/by_udp.py {own}").split() == [address]
    print(ssh("systemd-analyze; systemd-analyze blame | head -25; systemd-analyze critical-chain"))

    qemu.do("DELETE", f"{VMS}/{name}")


def test_packer_connects_and_waits_for_a_script_that_reports(
    qemu: Gce, name: str, tmp_path: Path
) -> None:
    """Its wrapper of start-up scripts sets metadata by `gcloud` in the guest."""
    script_file = tmp_path / "install.sh"
    script_file.write_text("#!/bin/sh\necho baked > /etc/baked\n")
    config = {
        "custom_endpoints": {"compute": f"{qemu.base}/compute/v1/"},
        "access_token": "any",
        "project_id": "demo",
        "zone": ZONE,
        "source_image_family": "debian-12",
        "source_image_project_id": ["debian-cloud"],
        "image_name": name,
        "machine_type": "e2-small",
        "communicator": "ssh",
        "ssh_username": "packer",
        "ssh_timeout": f"{SLOW}s",
        "startup_script_file": str(script_file),
    }
    assert packer(config, tmp_path) == name
    assert qemu.get(f"global/images/{name}")["status"] == "READY"
    qemu.do("DELETE", f"global/images/{name}")
