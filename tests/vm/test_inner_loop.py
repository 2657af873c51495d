"""The inner loop on real machines: an edit is seen without an install, and a shell looks inside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.support.connections import commit_all
from tests.support.paths import PROJECT

from devstack import machines
from devstack.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = "include/startup_scripts/web/templates/var/www/html/index.html.j2"
INSTALL = "include/startup_scripts/web/install.sh.j2"
COMMAND_SECONDS = 3600


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    able, words = machines.doctor()
    if not able:
        pytest.skip(f"no real machines here: {machines.reason(words)}")
    folder = tmp_path_factory.mktemp("loop")
    shutil.copytree(PROJECT / "include", folder / "include")
    shutil.copyfile(PROJECT / "airflow_settings.yaml", folder / "airflow_settings.yaml")
    commit_all(folder, "A project")
    yield folder
    done = bakehouse(folder, "rm", "--all")
    assert done.returncode == 0, done.stderr
    assert not (folder / ".bakehouse/local/qemu").exists()


def bakehouse(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bakehouse.cli", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "BAKEHOUSE_LOCAL_MACHINES": "qemu"}


def test_an_edited_template_is_served_without_an_install_and_a_shell_looks_inside(
    project: Path,
) -> None:
    first = bakehouse(project, "build", "web")
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr
    assert "is kept" in first.stdout, "the layer of the install"
    page = project / PAGE
    page.write_text(page.read_text() + "<!-- an edit that nobody has committed -->\n")
    port = free_port()

    with subprocess.Popen(
        command("run", "web", "-m", "greeting=ahoy", "-p", f"{port}:8080"),
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if " is healthy; " in line:
                break
        assert " is healthy; " in said, said[-3000:]
        assert "nothing of the install is run" in said
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            served = answer.read().decode()
        assert "an edit that nobody has committed" in served
        assert "ahoy" in served
        machine = said.split(" is healthy; ")[0].split()[-1]
        looked = bakehouse(project, "shell", machine, "-c", "id -un; systemctl is-active nginx")
        assert (looked.returncode, looked.stdout) == (0, "root\nactive\n"), looked.stderr
        failed = bakehouse(project, "shell", machine, "-c", "cat /no/such/file")
        assert failed.returncode == 1
        traces = "find /etc /usr/lib /var/lib /root -xdev -name '*localgce-console*' | wc -l"
        assert bakehouse(project, "shell", machine, "-c", traces).stdout == "0\n"
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=300)[0]
    assert process.returncode == 0, rest[-2000:]
    assert machine not in bakehouse(project, "ps").stdout


def test_a_failed_install_stays_at_its_line_and_the_shell_is_there(project: Path) -> None:
    install = project / INSTALL
    before = install.read_text()
    install.write_text("touch half-done\nfalse # here\n")

    done = bakehouse(project, "build", "web", "--shell")

    assert done.returncode == 1
    (reason,) = done.stderr.splitlines()
    assert "install.sh line 2: `false`" in reason
    stays = next(line for line in done.stdout.splitlines() if "stays as it is" in line)
    machine = stays.split()[0]
    assert "running, kept" in bakehouse(project, "ps").stdout
    looked = bakehouse(project, "shell", machine, "-c", "ls /var/lib/bakehouse/payload/recipe")
    assert "half-done" in looked.stdout.split(), looked.stdout + looked.stderr
    assert bakehouse(project, "rm", machine).returncode == 0
    install.write_text(before)
