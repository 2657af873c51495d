"""docs/first-hour.md, followed word by word on a fresh clone with instant machines."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 1500.0  # a hang ends; an idle computer takes a tenth of it
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}


@pytest.fixture(autouse=True)
def _as_it_was() -> None:
    """The page starts a stack of its own: the session's is neither needed nor in its way."""


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bakehouse"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
    in_the_afternoon(folder)
    yield folder
    subprocess.run(["make", "down"], cwd=folder, check=False, timeout=120)


def in_the_afternoon(folder: Path) -> None:
    """Whatever the time is, no run of the recipe's schedule is due, or was within the last hour."""
    recipe = folder / "include/recipes/web.yaml"
    text, hour = recipe.read_text("utf-8"), (datetime.now(UTC).hour + 12) % 24
    assert "schedule: 0 3 * * *\n" in text
    recipe.write_text(text.replace("schedule: 0 3 * * *", f"schedule: 0 {hour} * * *"), "utf-8")
    commit = ["git", "commit", "--quiet", "--all", "--message", "Another time"]
    subprocess.run(commit, cwd=folder, env={**os.environ, **IDENTITY}, check=True)


def test_every_command_of_the_first_hour_does_what_the_page_says(clone: Path) -> None:
    page = (clone / "docs/first-hour.md").read_text("utf-8")
    blocks = COMMANDS.findall(page)
    script = clone.with_name("first-hour.sh")
    script.write_text("\n".join(["set -Eeuxo pipefail", "shopt -s expand_aliases", *blocks]))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "GIT_"))}
    done = subprocess.run(
        ["bash", str(script)],
        stdin=subprocess.DEVNULL,
        cwd=clone,
        env={**kept, **IDENTITY, "MACHINES": "instant"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    told = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told[-6000:]
    assert "Traceback" not in told
    first, second = sorted(set(re.findall(r"^(web-\S+) +promoted", done.stdout, re.MULTILINE)))
    moves = re.findall(r"^web +(\S+) +rolled out .* (\d of \d) ", done.stdout, re.MULTILINE)
    newest = dict(reversed([(image, count) for image, count in moves]))
    assert newest == {first: "3 of 3", second: "3 of 3"}
    assert re.search(r"bake, and roll out +\S*bakehouse trigger bake__web --wait", done.stdout)
    assert "it does not render" in done.stdout
    assert "nobody_knows" in done.stdout.partition("it does not render")[2]
