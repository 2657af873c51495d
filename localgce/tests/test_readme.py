"""The quick start of the README."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_quick_start_works(tmp_path: Path) -> None:
    block = re.search(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    install, doctor, *rest = block[1].splitlines()
    assert (install, len(rest)) == ("pip install ./localgce", 3)
    assert doctor.startswith("localgce doctor")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    state = tmp_path / "state"
    script = "\n".join(rest).replace("8790", port).replace("/tmp/gce", str(state))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-c", script]
    done = subprocess.run(
        command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    answer = done.stdout.split("\n", 1)[1] if done.stdout.startswith("ready") else done.stdout
    zones, _ = json.JSONDecoder().raw_decode(answer)
    assert "us-central1-a" in {zone["name"] for zone in zones["items"]}
    assert not state.exists()
