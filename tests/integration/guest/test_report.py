"""report: the health of an instance, told again and again, whatever becomes of a single report."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest

from .conftest import START_TIMER, Machine, rendered_app

FILES = {"install.sh.j2": "true\n", "health": "#!/bin/bash\necho serving\n"}
HEALTH = "usr/lib/bakehouse/health"
TIMER = "etc/systemd/system/bakehouse-health.timer"


@pytest.fixture
def image(machine: Machine) -> Machine:
    """A member that has booted from an image with FILES."""
    ready = {"timeout": "1s", "period": "30s", "min_ready": "1s"}
    fields = {"services": ["app"], "ready": ready, "boot_time_limit": "20s"}
    machine.bake(rendered_app(FILES, **fields))
    machine.become("member")
    machine.boot()
    return machine


def uptime(machine: Machine, seconds: str) -> None:
    (machine.root / "proc/uptime").write_text(f"{seconds} 1.00\n")


def told(machine: Machine) -> list[str]:
    """The states that the guest attribute has had."""
    return [json.loads(text)["state"] for key, text in machine.written if key == "health"]


def test_boot_starts_the_timer_that_the_image_has(image: Machine) -> None:
    assert image.changes[-1] == START_TIMER
    timer = (image.root / TIMER).read_text()
    assert re.findall(r"^On\w+Sec=(\d+)$", timer, re.MULTILINE) == ["30", "30"]
    assert (
        "ExecStart=/usr/lib/bakehouse/report\n"
        in (image.root / "etc/systemd/system/bakehouse-health.service").read_text()
    )
    assert not list((image.root / "etc/systemd/system").glob("*.wants/bakehouse-health*"))


def test_the_next_report_has_the_form_of_the_first(image: Machine) -> None:
    first = image.health
    uptime(image, "99.50")
    second = image.report()
    assert json.loads(image.written[-1][1]) == second
    assert second == {**first, "uptime": 99.5, "time": second["time"]}
    assert list(second) == list(first)
    assert (second["period"], second["check_limit"], second["ready_seconds"]) == (30, 6, 12.34)


def test_later_reports_tell_the_seconds_of_the_boot_and_not_their_own(image: Machine) -> None:
    file = image.root / "run/bakehouse/health.json"
    file.write_text(file.read_text().replace('"boot_seconds": 0.00', '"boot_seconds": 1.25'))
    uptime(image, "99.50")
    seconds = [image.report()["boot_seconds"] for _ in range(2)]
    assert seconds == [pytest.approx(1.25)] * 2


def test_a_report_before_the_first_boot_knows_no_seconds(image: Machine) -> None:
    (image.root / "run/bakehouse/health.json").unlink()
    told = image.report()
    assert (told["ready_seconds"], told["boot_seconds"]) == (None, None)


def test_a_service_that_dies_later_is_reported_and_its_recovery_too(image: Machine) -> None:
    image.unit("app", ActiveState="failed", Result="exit-code", ExecMainStatus="3")
    report = image.report()
    assert report["state"] == "unhealthy"
    assert report["detail"].startswith("app.service has failed (exit-code, exit code 3)")
    image.report()
    image.unit("app")
    image.report()
    assert told(image) == ["healthy", "unhealthy", "unhealthy", "healthy"]
    serial = [line["health"]["state"] for line in image.said if "health" in line]
    assert serial == ["healthy", "unhealthy", "healthy"]  # the serial port has the changes alone


def test_a_health_check_that_hangs_is_ended_and_reported_as_ill(image: Machine) -> None:
    (image.root / HEALTH).write_text("#!/bin/bash\necho asking\nread -t 60 <> <(:)\n")
    report = image.report()
    assert report["state"] == "unhealthy"
    assert report["detail"] == "health did not end within 1 s\nasking"


def test_a_check_that_counts_is_busy_and_not_ill(image: Machine) -> None:
    (image.root / HEALTH).write_text("#!/bin/bash\necho busy: 12 of 340\nexit 1\n")
    report = image.report()
    assert report["state"] == "busy"
    assert report["detail"] == "health exited with 1\nbusy: 12 of 340"
    (image.root / HEALTH).write_text("#!/bin/bash\necho busy as ever\nexit 1\n")
    assert image.report()["state"] == "unhealthy"
    (image.root / HEALTH).write_text("#!/bin/bash\necho busy: 12 of 340\n")
    assert image.report()["state"] == "healthy", "the exit code decides"


@pytest.mark.long
def test_a_check_that_nothing_can_end_is_left_behind(image: Machine) -> None:
    """As a process that waits for a dead disk, which no signal reaches."""
    ready = image.root / "usr/lib/bakehouse/ready"
    stuck = image.root / "stuck"
    ready.write_text(f"echo looking\necho $$ >{stuck}\nkill -STOP $$\n")
    (image.stubs / "timeout").write_text('#!/bin/bash\nshift 2\nexec bash "$@"\n')
    (image.stubs / "timeout").chmod(0o755)
    began = time.monotonic()
    report = image.report()
    os.kill(int(stuck.read_text()), signal.SIGKILL)
    assert (report["state"], report["detail"]) == ("unhealthy", "no answer within 6 s; looking")
    assert report["restarts"] is None, "nobody has looked, and the count of before is none"
    assert time.monotonic() - began < 60


def test_a_report_that_cannot_be_written_fails_nothing(image: Machine) -> None:
    image.refuse_writes = True
    assert image.report()["state"] == "healthy"
    image.refuse_writes = False
    image.report()
    assert told(image) == ["healthy", "healthy"]


def test_a_missing_metadata_server_fails_nothing(image: Machine) -> None:
    image.host = "127.0.0.1:1"
    assert image.report()["state"] == "healthy"


def test_restarts_of_the_units_are_counted(image: Machine) -> None:
    image.unit("app", NRestarts="4")
    report = image.report()
    assert (report["state"], report["restarts"]) == ("healthy", 4)


def test_a_member_that_recovers_after_an_unhealthy_boot_is_reported_healthy(
    machine: Machine,
) -> None:
    machine.bake(rendered_app(FILES, services=["app"], boot_time_limit="1s"))
    machine.become("member")
    machine.unit("app", ActiveState="failed", Result="exit-code")
    machine.boot()
    machine.unit("app")
    machine.report()
    assert told(machine) == ["unhealthy", "healthy"]
    assert machine.changes.count(START_TIMER) == 1
