"""orders: the resident service of an image answers the orders of a rollout, and nothing else."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.support.deadlines import SOON

from devstack.waiting import wait_until

from .conftest import Machine, rendered_app

if TYPE_CHECKING:
    from collections.abc import Generator

LIBRARY = "usr/lib/bakehouse"
BOOT_ID = "b001-1d"
FILES = {
    "install.sh.j2": "true\n",
    "health": "#!/bin/bash\necho serving\n",
    "gate": """#!/bin/bash
cat "$BAKEHOUSE_ROOT/gate-says"
echo "beside: $BAKEHOUSE_DOWN" >"$BAKEHOUSE_ROOT/gate-asked"
exit "$(<"$BAKEHOUSE_ROOT/gate-code")"
""",
    "drain": """#!/bin/bash
echo drained >>"$BAKEHOUSE_ROOT/drains"
echo "moved $BAKEHOUSE_ORDER"
""",
    "finalise": """#!/bin/bash
echo "$BAKEHOUSE_ORDER" >>"$BAKEHOUSE_ROOT/finalised"
echo format metadata.version 33
""",
    "templates/etc/app.conf.j2": "greeting={{ greeting }}\npassword={{ db_password }}\n",
    "templates/etc/other.conf.j2": "name={{ instance.name }}\n",
}
NUMBERS = count(1)


def new_nonce() -> str:
    return f"nonce-{next(NUMBERS):08d}"


@pytest.fixture
def image(machine: Machine) -> Machine:
    """A member that has booted from an image with FILES."""
    rules = [{"paths": ["/etc/app.*"], "reload": ["app"]}, {"paths": ["/etc/x/"], "restart": ["x"]}]
    ready = {"timeout": "1s", "min_ready": "1s"}
    recipe = {"services": ["app"], "ready": ready, "boot_time_limit": "20s", "on_change": rules}
    recipe["smoke"] = {"metadata": {"greeting": "a", "db_password": "b"}}
    machine.bake(rendered_app(FILES, **recipe))
    machine.become("member", greeting="hello", db_password="s3cret")
    says(machine, 0, "all partitions have their replicas")
    assert machine.boot().returncode == 0
    return machine


def says(machine: Machine, code: int, text: str) -> None:
    """What the gate says from now on."""
    (machine.root / "gate-code").write_text(f"{code}\n")
    (machine.root / "gate-says").write_text(f"{text}\n")


@contextmanager
def serving(machine: Machine) -> Generator[psutil.Process]:
    """The service runs."""
    command = ("bash", str(machine.root / LIBRARY / "orders"))
    with subprocess.Popen(command, env=machine.environment) as process:
        service = psutil.Process(process.pid)
        try:
            yield service
        finally:
            for one in [*service.children(recursive=True), service]:
                with suppress(psutil.NoSuchProcess):  # it may end in that moment
                    one.kill()


def order(machine: Machine, name: str, nonce: str = "", **more: Any) -> dict[str, Any]:
    """Give an order and return its answer."""
    nonce = nonce or new_nonce()
    seen = len(machine.written)
    give(machine, name, nonce, **more)

    def answers() -> list[dict[str, Any]]:
        told = [json.loads(v) for k, v in machine.written[seen:] if k == f"answer-{name}"]
        return [one for one in told if one["nonce"] == nonce]

    wait_until(lambda: bool(answers()), SOON, f"the answer to {name}", every=0.02)
    return answers()[-1]


def give(machine: Machine, name: str, nonce: str = "", **more: Any) -> None:
    given = {"order": name, "nonce": nonce or new_nonce(), "boot_id": BOOT_ID, "limit": 30}
    machine.change(bakehouse_order=json.dumps({**given, **more}))


def test_the_image_has_a_service_for_orders_that_boot_starts_after_its_report(
    image: Machine,
) -> None:
    unit = (image.root / "etc/systemd/system/bakehouse-orders.service").read_text()
    assert "ExecStart=/usr/lib/bakehouse/orders\n" in unit
    assert "Restart=always\n" in unit
    assert "[Install]" not in unit, "a builder answers no orders"
    assert image.changes[-1].endswith("bakehouse-health.timer bakehouse-orders.service")
    assert image.health["orders"] == ["health", "render", "gate", "drain", "finalise"]


def test_a_gate_that_exits_with_0_is_open_and_with_1_blocked_with_what_it_said(
    image: Machine,
) -> None:
    with serving(image):
        nonce = new_nonce()
        answer = order(image, "gate", nonce)
        assert answer.pop("seconds") >= 0
        assert answer == {
            "order": "gate",
            "nonce": nonce,
            "boot_id": BOOT_ID,
            "image": "app-20261123t0300-c0ffeec-1234",
            "state": "ok",
            "exit_code": 0,
            "leader": False,
            "detail": "all partitions have their replicas",
        }
        says(image, 1, "orders-7 has 1 of 2 replicas in sync")
        answer = order(image, "gate")
        assert (answer["state"], answer["exit_code"]) == ("blocked", 1)
        assert answer["detail"] == "orders-7 has 1 of 2 replicas in sync"
        says(image, 3, 'Traceback: "no"')
        answer = order(image, "gate")
        assert (answer["state"], answer["detail"]) == ("failed", 'Traceback: "no"')


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("leader", True),
        ("leader: controller\nall is well", True),
        ("all is well\nleader: of 7 partitions", True),
        ("the leader is broker 3", False),
        ("leaderless", False),
    ],
)
def test_a_gate_names_its_instance_as_a_leader_by_a_line(
    image: Machine, text: str, leads: bool
) -> None:
    says(image, 0, text)
    with serving(image):
        assert order(image, "gate")["leader"] is leads


def test_a_script_gets_its_order_and_no_input(image: Machine) -> None:
    text = '#!/bin/bash\nread -r line; echo "$# [$line] $BAKEHOUSE_ORDER"\n'
    (image.root / LIBRARY / "gate").write_text(text)
    with serving(image):
        assert order(image, "gate")["detail"] == "0 [] gate"


def test_drain_runs_once_for_a_nonce_and_is_answered_again(image: Machine) -> None:
    with serving(image):
        nonce = new_nonce()
        first = order(image, "drain", nonce)
        assert (first["state"], first["detail"]) == ("ok", "moved drain")
        assert order(image, "drain", nonce, attempt=2) == first
    with serving(image):  # systemd has started it again
        assert order(image, "drain", nonce, attempt=3) == first
        assert (image.root / "drains").read_text() == "drained\n"
        order(image, "drain")
    assert (image.root / "drains").read_text() == "drained\ndrained\n"


def test_an_order_that_was_interrupted_is_not_carried_out_twice(image: Machine) -> None:
    drain = image.root / LIBRARY / "drain"
    drain.write_text('#!/bin/bash\necho began >>"$BAKEHOUSE_ROOT/drains"\nread -t 60 <> <(:)\n')
    drains, nonce = image.root / "drains", new_nonce()
    with serving(image):
        give(image, "drain", nonce)
        wait_until(drains.exists, SOON, "the drain to begin", every=0.02)
    with serving(image):
        answer = order(image, "drain", nonce, attempt=2)
    assert (answer["state"], answer["detail"][:26]) == ("failed", "this order was interrupted")
    assert drains.read_text() == "began\n"


def test_an_order_without_a_script_is_answered_at_once(image: Machine) -> None:
    with serving(image):
        answer = order(image, "resume")
    assert (answer["state"], answer["detail"]) == ("none", "the image has no script resume")


@pytest.mark.long
@pytest.mark.parametrize("name", ["shell", "reboot", "gatex"])
def test_an_order_that_is_none_of_the_five_runs_nothing(image: Machine, name: str) -> None:
    script = image.root / LIBRARY / name
    script.write_text('#!/bin/bash\ntouch "$BAKEHOUSE_ROOT/ran"\n')
    script.chmod(0o755)
    with serving(image):
        answer = order(image, name)
    assert (answer["state"], answer["detail"]) == ("unknown", f"this image knows no order {name}")
    assert not (image.root / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gate",
        "{",
        '{"order": "gate"}',
        '{"order": "drain", "nonce": "n"}',
        '{"order": "../drain", "nonce": "nonce-0815", "boot_id": "b001-1d"}',
        '{"order": "$(touch /tmp/x)", "nonce": "nonce-0815", "boot_id": "b001-1d"}',
        '{"order": "drain", "nonce": "../../nonce", "boot_id": "b001-1d"}',
        '{"order": "drain", "nonce": "nonce-0815", "boot_id": "of another boot"}',
        '{"order": "drain", "nonce": "nonce-0815"}',
        "\x00\xff" * 99,
    ],
)
def test_what_is_no_order_for_this_boot_is_passed_over_and_the_next_one_is_answered(
    image: Machine, text: str
) -> None:
    with serving(image):
        image.change(bakehouse_order=text)
        assert order(image, "gate")["state"] == "ok"
    assert not (image.root / "drains").exists()
    assert [key for key, _ in image.written if key.startswith("answer-")] == ["answer-gate"]


def test_a_script_that_takes_too_long_is_ended_and_the_next_order_is_answered(
    image: Machine,
) -> None:
    (image.root / LIBRARY / "gate").write_text("#!/bin/bash\necho asking\nread -t 60 <> <(:)\n")
    with serving(image):
        answer = order(image, "gate", limit=1)
        assert (answer["state"], answer["exit_code"]) == ("failed", 124)
        assert answer["detail"] == "gate did not end within 1 s; it said: asking"
        assert order(image, "drain")["state"] == "ok"


@pytest.mark.long
@pytest.mark.parametrize(
    "script", ["#!/bin/nowhere\n", "no program", "#!/bin/bash\nno_such_command\n"]
)
def test_a_script_that_cannot_run_is_a_failure_with_its_reason(image: Machine, script: str) -> None:
    (image.root / LIBRARY / "gate").write_text(script)
    with serving(image):
        answer = order(image, "gate")
    assert answer["state"] == "failed"
    assert answer["exit_code"] in {126, 127}
    assert answer["detail"].startswith("gate could not be executed, or a command of it: ")


def test_a_long_answer_is_cut_and_is_json_whatever_it_contains(image: Machine) -> None:
    says(image, 1, 'a "quote" \\ and a tab\t ' + "x" * 50_000)
    with serving(image):
        answer = order(image, "gate")
    assert answer["detail"].startswith('a "quote" \\ and a tab\t xxx')
    assert len(answer["detail"]) == 6000


def test_answers_keep_below_the_limit_of_compute_engine(image: Machine) -> None:
    """Four a minute, beside the health reports: the fifth waits for the rest of the minute."""
    with serving(image):
        for _ in range(4):
            order(image, "gate")
        assert not [call for call in image.calls if call.startswith("sleep 6")]
        order(image, "gate")
    assert "sleep 61" in image.calls


def test_a_refused_answer_and_a_missing_metadata_server_end_nothing(image: Machine) -> None:
    with serving(image) as service:
        image.refuse_writes = True
        give(image, "drain")
        wait_until((image.root / "drains").exists, SOON, "the drain", every=0.02)
        image.refuse_writes = False
        assert order(image, "gate")["state"] == "ok"
        assert service.is_running()
    image.host, host = "127.0.0.1:1", image.host
    with serving(image) as service:
        wait_until(lambda: "sleep 5" in image.calls, SOON, "another try", every=0.02)
        assert service.is_running()
    image.host = host


def test_the_serial_port_has_what_has_changed_and_not_each_answer(image: Machine) -> None:
    with serving(image):
        order(image, "gate")
        order(image, "gate")
        says(image, 1, "blocked")
        order(image, "gate")
    told = [line["answer"]["state"] for line in image.said if "answer" in line]
    assert told == ["ok", "blocked"]


def test_health_reports_now(image: Machine) -> None:
    with serving(image):
        reports = [key for key, _ in image.written].count("health")
        answer = order(image, "health")
        assert (answer["state"], answer["detail"]) == ("ok", "healthy: serving")
        assert [key for key, _ in image.written].count("health") == reports + 1
        image.unit("app", ActiveState="failed", Result="exit-code")
        answer = order(image, "health")
        assert answer["state"] == "failed"
        assert answer["detail"].startswith("unhealthy: app.service has failed")


def test_render_writes_what_has_changed_and_reloads_what_the_recipe_names_for_it(
    image: Machine,
) -> None:
    other = image.root / "etc/other.conf"
    before, calls = other.stat(), len(image.changes)
    with serving(image):
        image.change(greeting="good day", db_password="n3w-secret")
        answer = order(image, "render")
    assert answer["state"] == "ok"
    assert answer["detail"].splitlines() == [
        "changed: /etc/app.conf",
        "reload-or-restart: app",
        "--- /etc/app.conf",
        "+++ /etc/app.conf",
        "@@ -1,2 +1,2 @@",
        "-greeting=hello",
        "-password=***",
        "+greeting=good day",
        "+password=***",
    ]
    text = "greeting=good day\npassword=n3w-secret\n"
    assert (image.root / "etc/app.conf").read_text() == text
    assert image.changes[calls:] == ["systemctl reload-or-restart app"]
    assert (other.stat().st_ino, other.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "secret" not in json.dumps(image.written) + json.dumps(image.said)


def test_render_with_nothing_to_change_restarts_nothing(image: Machine) -> None:
    calls = len(image.changes)
    with serving(image):
        image.change(unused="x")
        answer = order(image, "render")
    assert (answer["state"], answer["detail"]) == ("ok", "no file has changed")
    assert image.changes[calls:] == []


def test_render_with_a_mistake_leaves_every_file_and_every_unit(image: Machine) -> None:
    calls = len(image.changes)
    del image.attributes["db-password"]
    with serving(image):
        image.change(greeting="good day")
        answer = order(image, "render")
    assert answer["state"] == "failed"
    assert answer["detail"] == "etc/app.conf.j2:2: 'db_password' is undefined"
    assert (image.root / "etc/app.conf").read_text() == "greeting=hello\npassword=s3cret\n"
    assert image.changes[calls:] == []


def test_render_is_answered_with_what_is_ill_after_it(image: Machine) -> None:
    image.unit("app", ActiveState="failed", Result="exit-code", ExecMainStatus="9")
    image.meanwhile('echo "99.00 1.00" >"$BAKEHOUSE_ROOT/proc/uptime"')
    with serving(image):
        image.change(greeting="good day")
        answer = order(image, "render", limit=30)
    assert answer["state"] == "failed"
    assert "app.service has failed (exit-code, exit code 9)" in answer["detail"]
    assert "+greeting=good day" in answer["detail"]


def test_render_says_that_a_unit_could_not_be_restarted(image: Machine) -> None:
    (image.root / LIBRARY / "on_change").write_text("restart\tmissing\t/etc/*\n")
    with serving(image):
        image.change(greeting="good day")
        answer = order(image, "render", limit=1)
    assert (answer["state"], answer["exit_code"]) == ("failed", 1)
    assert "systemctl restart missing failed" in answer["detail"]


def test_a_waiting_service_is_one_small_process_and_its_request(image: Machine) -> None:
    with serving(image) as service:
        wait_until(lambda: image.waits > 1, SOON, "the request that waits", every=0.02)
        time.sleep(0.2)
        found = [service, *service.children(recursive=True)]
        names = sorted(process.name() for process in found)
        own = [process.memory_full_info().uss for process in found]
        assert "bash" in names
        assert "curl" in names
        assert len(names) <= 3
        assert sum(own) < 16 * 2**20


def test_data_are_finalised_once_by_the_scripts_answer(image: Machine) -> None:
    nonce = new_nonce()
    with serving(image):
        first = order(image, "finalise", nonce)
        again = order(image, "finalise", nonce, attempt=2)
    assert (first["state"], first["detail"]) == ("ok", "format metadata.version 33")
    assert again == first
    assert (image.root / "finalised").read_text() == "finalise\n", "it was carried out once"


def test_a_gate_is_told_who_else_is_down(image: Machine) -> None:
    asked = image.root / "gate-asked"
    with serving(image):
        order(image, "gate", beside="web-2 web-3")
        assert asked.read_text() == "beside: web-2 web-3\n"
        order(image, "gate")
        assert asked.read_text() == "beside: \n"
