"""The inner loop by its commands, on instant machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.local.commands import Loop

PATIENCE = 600  # seconds for an end: it ends what hangs, and says nothing of speed
pytestmark = pytest.mark.timeout(1500)


@pytest.mark.long
def test_a_work_tree_is_built_with_its_uncommitted_changes_and_an_unchanged_one_is_not_again(
    loop: Loop,
) -> None:
    page = loop.file("startup_scripts/web/smoke_test.sh")
    page.write_text(page.read_text() + "# a change that nobody has committed\n")

    first = loop("build", "web")

    assert first.returncode == 0, first.stdout + first.stderr
    assert "dirty: 1 uncommitted change" in first.stdout
    assert "guest reports: stage install" in first.stdout, "the install is seen"
    image = first.stdout.splitlines()[-1].split()[1]
    again = loop("build", "web")
    assert again.returncode == 0
    assert f"web is unchanged ({head(loop)[:7]}, dirty: 1 uncommitted change): {image}" in (
        again.stdout
    )
    assert "building" not in again.stdout
    shown = images(loop)
    assert [(one["name"], one["state"], one["commit"]) for one in shown] == [
        (image, "tested", f"{head(loop)[:7]}+")
    ]
    assert shown[0]["expires"], "a local image has an end"
    assert loop.machines() == []


@pytest.mark.long
def test_a_smoke_test_runs_alone_on_the_newest_image(loop: Loop) -> None:
    image = loop("build", "web").stdout.split()[-1]

    passed = loop("test", "web")

    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "stage install" not in passed.stdout
    assert "check passed" in passed.stdout
    assert "passes its smoke test" in passed.stdout
    assert image not in loop.machines()


@pytest.mark.long
def test_a_run_is_healthy_and_its_machine_goes_with_ctrl_c(loop: Loop) -> None:
    with loop.start("run", "web", "-m", "greeting=hello") as process:
        said = until(process, "is healthy")
        (machine,) = loop.machines()
        assert machine.startswith("run-web-")
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=PATIENCE)[0]

    assert process.returncode == 0, said + rest
    assert f"deleting {machine}" in rest
    assert loop.machines() == []


@pytest.mark.long
def test_a_run_boots_no_smoke_test_and_the_next_build_makes_up_for_it(loop: Loop) -> None:
    health = loop.file("startup_scripts/web/health")
    health.write_text(health.read_text() + "# for a run\n")
    with loop.start("run", "web") as process:
        said = until(process, "is healthy")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert not [line for line in said.splitlines() if line.startswith("smoke_test ")]
    name = next(line for line in said.splitlines() if line.startswith("booting ")).split()[1]
    assert {one["name"]: one["state"] for one in images(loop)}[name] == "untested"

    built = loop("build", "web")

    assert built.returncode == 0, built.stdout + built.stderr
    assert f"testing {name}, which was run untested" in built.stdout
    assert "stage install" not in built.stdout
    assert {one["name"]: one["state"] for one in images(loop)}[name] == "tested"
    assert "unchanged" in loop("build", "web").stdout


@pytest.mark.long
def test_a_machine_without_its_runtime_config_says_why_it_is_unhealthy(loop: Loop) -> None:
    done = loop("run", "web", "-m", "instant-unhealthy=no database")

    assert done.returncode == 1
    assert done.stderr.startswith("bakehouse: web does not run: run-web-")
    assert done.stderr.strip().endswith("is unhealthy: no database")
    assert loop.machines() == []


@pytest.mark.long
def test_a_failed_install_has_its_reason_in_one_line_and_leaves_nothing(loop: Loop) -> None:
    done = loop("build", "web", "--var", "instant_fail_install=no such package")

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("bakehouse: web is not built: ")
    assert "install.sh line 1" in line
    assert "no such package" in line
    assert "Traceback" not in done.stdout + done.stderr
    assert loop.machines() == []


@pytest.mark.long
def test_a_failed_smoke_test_names_the_check(loop: Loop) -> None:
    done = loop("build", "web", "--var", "instant_fail_check=the page is there")

    assert done.returncode == 1
    assert "the page is there" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.long
def test_what_a_killed_build_has_left_goes_with_rm(loop: Loop) -> None:
    with loop.start("build", "web", "--var", "instant_hang=install") as process:
        until(process, "stage install")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (machine,) = loop.machines()

    done = loop("rm")

    assert done.stdout.splitlines() == [f"deleted machine {machine}"]
    assert loop.machines() == []


@pytest.mark.long
def test_the_next_build_deletes_what_a_killed_one_has_left(loop: Loop) -> None:
    with loop.start("build", "web", "--var", "instant_hang=install") as process:
        until(process, "stage install")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (machine,) = loop.machines()

    done = loop("build", "web", "--force")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"deleting {machine}, which build__" in done.stdout
    assert loop.machines() == []


@pytest.mark.long
def test_a_build_that_is_interrupted_deletes_its_machine(loop: Loop) -> None:
    with loop.start("build", "web", "--var", "instant_hang=install") as process:
        until(process, "stage install")
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=PATIENCE)[0]

    assert process.returncode == 130
    assert "bakehouse: interrupted" in rest
    assert loop.machines() == []


@pytest.mark.long
def test_a_killed_server_is_started_again_with_all_that_it_had(loop: Loop) -> None:
    before = images(loop)
    assert before
    record = json.loads((loop.project / ".bakehouse/local/instant/server.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    while Path(f"/proc/{record['pid']}/cmdline").exists():
        time.sleep(0.05)

    assert images(loop) == before


@pytest.mark.long
def test_a_build_goes_on_after_the_last_part_of_the_install_that_is_unchanged(loop: Loop) -> None:
    folder = loop.file("startup_scripts/web")
    (folder / "install.d").mkdir()
    (folder / "install.sh.j2").rename(folder / "install.d/10-nginx.sh.j2")
    (folder / "install.d/20-more.sh.j2").write_text("true\n")
    (folder / "health").write_text("exit 0 # once more\n")
    first = loop("build", "web")
    assert first.returncode == 0, first.stdout + first.stderr
    assert parts_run(first.stdout) == ["install.d/10-nginx.sh", "install.d/20-more.sh"]

    (folder / "install.d/20-more.sh.j2").write_text("true # changed\n")
    second = loop("build", "web")
    (folder / "health").write_text("exit 0 # changed\n")
    third = loop("build", "web")

    assert "part 2 to 2 of the install is run" in second.stdout, second.stdout
    assert parts_run(second.stdout) == ["install.d/20-more.sh"]
    assert "nothing of the install is run" in third.stdout, third.stdout
    assert parts_run(third.stdout) == []
    assert parts_run(loop("build", "web", "--force").stdout) == [
        "install.d/10-nginx.sh",
        "install.d/20-more.sh",
    ]
    layers = [one for one in everything(loop) if one["kind"] == "layer"]
    assert {one["state"] for one in layers} == {"part 1", "part 2"}
    assert all(one["expires"] for one in layers)
    loop("rm", "--layers")
    assert [one for one in everything(loop) if one["kind"] == "layer"] == []
    assert images(loop), "the images stay"
    (folder / "health").write_text("exit 0 # changed again\n")
    assert len(parts_run(loop("build", "web").stdout)) == 2, "without a layer all is installed"


def parts_run(output: str) -> list[str]:
    return [line.split()[1] for line in output.splitlines() if line.endswith(" is taken as run")]


@pytest.mark.long
def test_mistakes_are_one_line_with_what_to_do(loop: Loop) -> None:
    for arguments, said in {
        ("build", "wep"): "wep is not built: there is no recipe 'wep' in include/recipes/."
        " Did you mean web?",
        ("build", "web", "--var", "page"): "--var 'page' is not NAME=VALUE",
        ("build", "web", "--var", "pagge=x"): "the recipe web has no vars pagge",
        ("build", "web", "--machines", "kvm"): "--machines is qemu or instant, not 'kvm'",
        ("build", "web", "--on", "nowhere"): "there is no connection 'nowhere'",
        ("run", "web", "-p", "http"): "-p 'http' is not HOST:GUEST, two port numbers",
        ("run", "web", "-p", "0:80"): "a port is a number from 1 to 65535",
        ("run", "web", "-p", "8080:80"): "an instant machine has no ports",
        ("run", "web-1"): "it is neither a recipe nor a local image",
        ("rm", "web-1"): "there is no web-1: `bakehouse ps` lists what there is",
    }.items():
        done = loop(*arguments)
        assert done.returncode == 1, arguments
        assert said in done.stderr, arguments
        assert "Traceback" not in done.stdout + done.stderr, arguments
    assert loop.machines() == []


def head(loop: Loop) -> str:
    done = subprocess.run(
        ["git", "-C", str(loop.project), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def everything(loop: Loop) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads("[" + loop("ps", "--json").stdout.partition("[")[2])
    return listed


def images(loop: Loop) -> list[dict[str, str]]:
    return [one for one in everything(loop) if one["kind"] == "image"]


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read its output as far as this text."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"{text!r} never came:\n{said}")
