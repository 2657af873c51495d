"""boot and smoke: config rendered from metadata, services started, health and checks told."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from psutil import process_iter
from tests.support.deadlines import SOON

from devstack.waiting import wait_until

from .conftest import COMMIT, NONCE, POWER_OFF, START_TIMER, Machine, rendered_app

NETWORK = "systemctl start network-online.target"

FILES = {
    "install.sh.j2": "true\n",
    "templates/etc/app.conf.j2": "greeting={{ greeting }}\nname={{ instance.name }}\n",
    "health": '#!/bin/bash\ntest -s "$BAKEHOUSE_ROOT/etc/app.conf" && echo serving\n',
}


@pytest.fixture
def image(machine: Machine) -> Machine:
    """A machine that has been baked with FILES."""
    machine.bake(rendered_app(FILES, services=["app"], boot_time_limit="15s"))
    (machine.stubs / "calls").unlink()
    return machine


def test_a_member_renders_starts_and_reports(image: Machine) -> None:
    image.become("member", greeting="hello")
    done = image.boot()
    assert done.returncode == 0, done.stderr
    assert (image.root / "etc/app.conf").read_text() == "greeting=hello\nname=app-1\n"
    assert image.changes == [NETWORK, "systemctl start app", START_TIMER]
    moment = datetime.fromisoformat(image.health["time"])
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    assert image.health == {
        "state": "healthy",
        "image": "app-20261123t0300-c0ffeec-1234",
        "git_sha": COMMIT.sha,
        "boot_id": "b001-1d",
        "time": image.health["time"],
        "uptime": 12.34,
        "period": 15,
        "check_limit": 15,
        "restarts": 0,
        "orders": ["health", "render"],
        "ready_seconds": 12.34,
        "boot_seconds": 0.0,
        "detail": "serving",
    }


@pytest.mark.parametrize(
    ("began", "ended", "spent"),
    [("0.08", "0.09", 0.01), ("9.99", "10.00", 0.01), ("12.34", "112.04", 99.7)],
)
def test_a_report_tells_what_the_boot_script_took_of_the_boot(
    image: Machine, began: str, ended: str, spent: float
) -> None:
    uptime = image.root / "proc/uptime"
    image.become("member", greeting="hello")
    uptime.write_text(f"{began} 0\n")
    health = image.root / "usr/lib/bakehouse/health"
    health.write_text(f"#!/bin/bash\necho {ended} 0 >{uptime}\n")
    image.boot()
    assert image.health["state"] == "healthy"
    told = (image.health["ready_seconds"], image.health["boot_seconds"])
    assert told == (float(ended), spent)


def test_an_unhealthy_boot_tells_what_its_script_took_too(image: Machine) -> None:
    image.become("member")
    image.boot()
    told = (image.health["state"], image.health["ready_seconds"], image.health["boot_seconds"])
    assert told == ("unhealthy", 12.34, 0.0)


def test_a_builder_leaves_no_renderer_behind(image: Machine) -> None:
    """It is started before the role is known."""
    image.become("builder")
    assert image.boot().returncode == 0
    assert not (image.root / "etc/app.conf").exists()
    renderers = f"render.py --wait --templates {image.root}"
    wait_until(lambda: not _running(renderers), SOON, "the renderer to end", every=0.1)
    assert image.changes == []


def test_without_a_route_the_metadata_server_is_asked_after_a_while_all_the_same(
    image: Machine,
) -> None:
    """A way by IPv6 is not in that table."""
    routes = image.root / "proc/net/route"
    routes.parent.mkdir()
    routes.write_text("Iface\tDestination\tGateway\n")
    image.become("member", greeting="hello")
    assert image.boot().returncode == 0
    assert image.health["state"] == "healthy"


def test_a_network_that_is_not_online_keeps_no_service_from_starting(image: Machine) -> None:
    stub = image.stubs / "systemctl"
    refuses = '[[ $* != *network-online* ]] || { echo "$0 $*" >>"${0%/*}/calls"; exit 1; }'
    stub.write_text(stub.read_text().replace("\n", f"\n{refuses}\n", 1))
    image.become("member", greeting="hello")
    assert image.boot().returncode == 0
    assert image.health["state"] == "healthy"


def _running(words: str) -> bool:
    return any(words in " ".join(p.info["cmdline"] or ()) for p in process_iter(["cmdline"]))


def test_instance_attributes_win_over_the_projects(image: Machine) -> None:
    image.become("member", greeting="mine")
    image.boot()
    assert "greeting=mine" in (image.root / "etc/app.conf").read_text()


def test_an_undefined_name_is_told_with_file_and_line(image: Machine) -> None:
    image.become("member")
    assert image.boot().returncode == 1
    told = image.health
    assert told["state"] == "unhealthy"
    assert told["detail"] == "etc/app.conf.j2:1: 'greeting' is undefined"
    assert not (image.root / "etc/app.conf").exists()
    assert START_TIMER in image.changes
    assert "systemctl start app" not in image.changes


def test_a_builder_is_left_alone(image: Machine) -> None:
    image.become("builder", greeting="hello")
    assert image.boot().returncode == 0
    assert (image.written, image.calls) == ([], [])


def test_a_service_that_does_not_start(image: Machine) -> None:
    (image.root / "usr/lib/bakehouse/services").write_text("missing\n")
    image.become("member", greeting="hello")
    image.boot()
    assert image.health["state"] == "unhealthy"
    assert "does not exist" in image.health["detail"]


def test_a_boot_that_counts_to_something_is_reported_as_busy_at_once(image: Machine) -> None:
    health = image.root / "usr/lib/bakehouse/health"
    health.write_text("#!/bin/bash\necho busy: 12 of 340\nexit 1\n")
    image.become("member", greeting="hello")
    assert image.boot().returncode == 0
    assert image.health["state"] == "busy"
    assert image.health["detail"] == "health exited with 1\nbusy: 12 of 340"
    assert image.changes[-1] == START_TIMER


def test_unhealthy_until_the_limit(image: Machine) -> None:
    (image.root / "usr/lib/bakehouse/health").write_text("#!/bin/bash\necho no answer\nexit 1\n")
    (image.root / "proc/uptime").write_text("16.00 0\n")
    image.become("member", greeting="hello")
    image.boot()
    said = "health exited with 1\nno answer"
    assert (image.health["state"], image.health["detail"]) == ("unhealthy", said)


def test_units_rendered_from_templates_are_loaded(image: Machine) -> None:
    unit = image.root / "usr/lib/bakehouse/templates/etc/systemd/system/app.service.d/a.conf"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    image.become("member", greeting="hello")
    image.boot()
    assert image.changes == [
        NETWORK,
        "systemctl daemon-reload",
        "systemctl start app",
        START_TIMER,
    ]


def test_a_smoke_test_tells_each_check(image: Machine) -> None:
    test = (
        'check "is true" "try true" true\ncheck "finds it" "look" ls /nowhere\ncheck "3" "" true\n'
    )
    rendered = rendered_app({**FILES, "smoke_test.sh": test}, boot_time_limit="15s")
    image.become("smoke", greeting="hello")
    image.boot()
    done = image.smoke(rendered)
    told = json.loads(image.guest_attributes["smoke"])
    checks = [line["check"] for line in image.said if "check" in line]
    assert (told["result"], told["ready_seconds"], told["error"]) == ("failed", 12.34, None)
    assert told["checks"] == checks
    assert [check["ok"] for check in checks] == [True, False, True]
    assert (checks[1]["name"], checks[1]["hint"]) == ("finds it", "look")
    assert "cannot access" in checks[1]["detail"]
    assert {"nonce": NONCE, **told} in image.said
    assert "check failed: finds it" in done.stdout


def test_a_smoke_test_that_passes(image: Machine) -> None:
    rendered = rendered_app({**FILES, "smoke_test.sh": "check 'is true' '' true"})
    image.become("smoke", greeting="hello")
    image.boot()
    assert image.smoke(rendered).returncode == 0
    assert json.loads(image.guest_attributes["smoke"])["result"] == "ok"
    assert image.changes == [NETWORK, "systemctl start app", START_TIMER, POWER_OFF]


def test_a_smoke_test_that_breaks_names_its_line(image: Machine) -> None:
    rendered = rendered_app({**FILES, "smoke_test.sh": "check 'a' 'b' true\n\nfalse\n"})
    image.become("smoke", greeting="hello")
    image.boot()
    image.smoke(rendered)
    error = json.loads(image.guest_attributes["smoke"])["error"]
    assert (error["script"], error["line"], error["command"]) == ("smoke_test.sh", 3, "false")


def test_an_unhealthy_boot_fails_the_smoke_test(image: Machine) -> None:
    rendered = rendered_app({**FILES, "smoke_test.sh": "check 'never run' '' true\n"})
    image.become("smoke")
    image.boot()
    image.smoke(rendered)
    told = json.loads(image.guest_attributes["smoke"])
    assert (told["result"], told["checks"]) == ("failed", [])
    assert "'greeting' is undefined" in told["error"]["message"]


def test_unhealthy_smoke_machine_says_what_health_printed_and_how_often(image: Machine) -> None:
    health = image.root / "usr/lib/bakehouse/health"
    health.write_text('#!/bin/bash\necho "no \\"leader\\" yet"\nexit 3\n')
    health.chmod(0o755)
    (image.root / "proc/uptime").write_text("16.00 0\n")
    rendered = rendered_app(FILES, boot_time_limit="15s")
    image.become("smoke", greeting="hello")
    image.boot()
    image.smoke(rendered)
    message = json.loads(image.guest_attributes["smoke"])["error"]["message"]
    assert re.fullmatch(
        r"the image boots unhealthy, asked \d+ times until [\d.]+ s after power-on:"
        r' health exited with 3\nno "leader" yet',
        message,
    )


def test_kept_smoke_machine_that_is_started_again_stays_on(image: Machine) -> None:
    rendered = rendered_app({**FILES, "smoke_test.sh": "check 'is false' '' false"})
    image.become("smoke", greeting="hello")
    image.attributes["bakehouse-on-failure"] = "power-off-once"
    image.boot()
    image.smoke(rendered)
    assert image.changes[-1] == POWER_OFF
    before = list(image.changes)
    assert image.smoke(rendered).returncode == 0
    assert image.changes == before


def test_a_boot_that_never_reports_fails_the_smoke_test(image: Machine) -> None:
    (image.root / "proc/uptime").write_text("9999.00 0\n")
    image.become("smoke", greeting="hello")
    image.smoke(rendered_app(FILES))
    assert image.changes == [POWER_OFF]
    assert "did not report" in json.loads(image.guest_attributes["smoke"])["error"]["message"]
