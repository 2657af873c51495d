"""The commands and programs of the README, as they stand there."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .packer import packer
from .terraform import Terraform, command
from .test_gcloud import GCLOUD

if TYPE_CHECKING:
    from .gce import Gce

README = Path(__file__).parents[1] / "README.md"
SECONDS = 590


def block(headline: str, language: str) -> str:
    """The first block of a language below a headline."""
    section = f"\n{README.read_text()}".split(f"\n{headline}\n", 1)[1].split("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None, headline
    return found[1]


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def shell(script: str, **environment: str) -> str:
    """The output of a script that must work, with this environment's localgce."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script],
        env=os.environ | {"PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_quick_start_works(tmp_path: Path) -> None:
    install, doctor, *rest = block("# localgce", "sh").splitlines()
    assert (install, len(rest)) == ("pip install ./localgce", 3)
    assert doctor.startswith("localgce doctor")
    state = tmp_path / "state"
    script = "\n".join(rest).replace("8790", free_port()).replace("/tmp/gce", str(state))
    said = shell(f"set +e\n{script}")
    answer = said.split("\n", 1)[1] if said.startswith("ready") else said
    zones, _ = json.JSONDecoder().raw_decode(answer)
    assert "us-central1-a" in {zone["name"] for zone in zones["items"]}
    assert not state.exists()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed")
def test_the_quick_start_for_gcloud_bakes_boots_and_destroys(tmp_path: Path) -> None:
    port = free_port()
    script = block("### gcloud", "sh").replace("8790", port)
    script = script.replace("localgce up", f"localgce up --port {port}")
    own = {"XDG_STATE_HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path / "gcloud")}
    try:
        said = shell(f"{script}\ngcloud compute instances list\ngcloud compute disks list", **own)
        listed = shell(
            f"curl -s http://127.0.0.1:{port}/compute/v1/projects/demo/global/images", **own
        )
    finally:
        shell("localgce down --now", **own)
    assert "web\tRUNNING" in said.splitlines()
    assert "items" not in json.loads(listed)
    assert (tmp_path / "localgce" / "server.log").exists()


def test_the_quick_start_for_google_cloud_compute_bakes_boots_and_destroys(instant: Gce) -> None:
    pytest.importorskip("google.cloud.compute_v1")
    program = block("### google-cloud-compute", "python")
    program = program.replace("http://127.0.0.1:8790", instant.base)
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert (done.returncode, done.stdout) == (0, "RUNNING\n"), done.stderr
    names = {one["name"] for one in instant.items("global/images")}
    names |= {one["name"] for one in instant.items("zones/us-central1-a/instances")}
    assert not names & {"web", "builder", "web-1"}


def parsed(text: str) -> dict[str, Any]:
    hcl2 = pytest.importorskip("hcl2")
    found: dict[str, Any] = hcl2.loads(text)
    return found


def bare(value: Any) -> Any:
    """What the parser gives, with strings as they are meant: newer parsers keep the quotes."""
    if isinstance(value, str):
        return value.strip('"')
    if isinstance(value, list):
        return [bare(one) for one in value]
    if isinstance(value, dict):
        return {bare(key): bare(one) for key, one in value.items() if key != "__is_block__"}
    return value


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_quick_start_for_packer_bakes_and_destroys(instant: Gce, tmp_path: Path) -> None:
    (source,) = bare(parsed(block("### Packer", "hcl"))["source"])
    config = source["googlecompute"]["web"]
    config["custom_endpoints"]["compute"] = f"{instant.base}/compute/v1/"
    assert packer(config, tmp_path) == "web-2"
    image = instant.get("global/images/web-2")
    assert (image["status"], image["family"]) == ("READY", "web")
    assert not [one for one in instant.items("zones/us-central1-a/instances")
                if one["name"].startswith("packer-")]  # fmt: skip
    instant.do("DELETE", "global/images/web-2")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["tofu", "terraform"])
def test_the_quick_start_for_opentofu_bakes_boots_and_destroys(
    instant: Gce, tmp_path: Path, name: str
) -> None:
    """Without its `init`, which would ask the registry for the provider that is here."""
    configuration = block("### OpenTofu and Terraform", "hcl")
    address = "http://127.0.0.1:8790"
    assert address in configuration
    (tmp_path / "main.tf").write_text(configuration.replace(address, instant.base))
    terraform = Terraform(tmp_path, command(name), "http://127.0.0.1:1")  # the file says where
    steps = block("### OpenTofu and Terraform", "sh").splitlines()
    assert steps == [
        "localgce up --machines instant",
        *("tofu init", "tofu apply -auto-approve", "tofu destroy -auto-approve"),
    ]
    assert terraform.apply() == ""
    assert instant.instance("web")["status"] == "RUNNING"
    assert instant.instance("builder")["status"] == "TERMINATED"
    disk = instant.get("zones/us-central1-a/disks/web")
    assert disk["sourceImage"].endswith("/projects/demo/global/images/web-3")
    assert {change["actions"][0] for change in terraform.plan().values()} == {"no-op"}
    assert terraform.destroy() == ""
    names = {one["name"] for one in instant.items("global/images")}
    names |= {one["name"] for one in instant.items("zones/us-central1-a/instances")}
    assert not names & {"web", "builder", "web-3"}
