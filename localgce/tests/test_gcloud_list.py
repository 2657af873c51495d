"""gcloud as its users type it: more than two hundred commands, none of which fails by localgce."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from .test_gcloud import GCLOUD, runner

__all__ = ["runner"]  # the fixture
LIST = Path(__file__).with_name("gcloud_list.txt")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed"),
    pytest.mark.timeout(1800),
]


def sections() -> dict[str, list[str]]:
    """The commands by section."""
    found: dict[str, list[str]] = {}
    for line in LIST.read_text().splitlines():
        if line.startswith("["):
            here = found[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            here.append(line)
    return found


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key of SSH, which gcloud otherwise makes in the home folder."""
    path = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", path], check=True)
    return path


@pytest.mark.parametrize("section", sections())
def test_each_command_of_the_list_works(
    runner: subprocess.Popen[str],
    key: Path,
    tmp_path: Path,
    name: str,
    section: str,
) -> None:
    script = tmp_path / "startup.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    failed = []
    for line in sections()[section]:
        filled = line.format(n=name, key=key, script=script)
        command, _, expected = filled.partition(" -> ")
        status, out, err = run(runner, shlex.split(command))
        if (status != 0) != expected.startswith("!") or expected.strip("!") not in out + err:
            failed.append(f"{line}\n{status} {out[-400:]}\n{err[-600:]}")
    assert not failed, "\n\n".join(failed)


def run(runner: subprocess.Popen[str], words: list[str]) -> tuple[int, str, str]:
    """Exit status, output and messages of a command."""
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(json.dumps(["compute", *words]) + "\n")
    runner.stdin.flush()
    status, out, err = json.loads(runner.stdout.readline())
    return status, out, err


def test_the_list_is_long() -> None:
    assert sum(map(len, sections().values())) > 200
