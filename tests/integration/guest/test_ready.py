"""`ready`: each unit by what success means for it, then what the recipe declares."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.http_servers import SilentHandler, running

from bakehouse.recipe.guest_scripts import guest_scripts

from .conftest import Machine, rendered_app

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = {"install.sh.j2": "true\n"}
NEVER_RAN = {"ActiveState": "inactive", "SubState": "dead", "ExecMainStartTimestampMonotonic": "0"}


@pytest.fixture
def image(machine: Machine) -> Machine:
    """An image with the program `ready`, and no service yet."""
    library = machine.root / "usr/lib/bakehouse"
    library.mkdir(parents=True)
    (library / "ready").write_bytes(guest_scripts()["guest/ready.sh"].data)
    started(machine)
    return machine


def started(machine: Machine) -> None:
    """Boot's note that each start job has succeeded."""
    (machine.root / "run/bakehouse").mkdir(parents=True, exist_ok=True)
    (machine.root / "run/bakehouse/started").touch()


def declare(machine: Machine, *services: str, **settings: object) -> None:
    library = machine.root / "usr/lib/bakehouse"
    (library / "services").write_text("".join(f"{unit}\n" for unit in services))
    lines = "".join(f"{name}='{value}'\n" for name, value in settings.items())
    (library / "ready.conf").write_text(lines)


def asked(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = (machine.root / "usr/lib/bakehouse/ready").read_text()
    return machine.run(f"set -- {' '.join(arguments)}\n{script}")


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({}, 0),
        ({"ActiveState": "reloading", "SubState": "reload"}, 0),
        ({"Type": "forking", "PIDFile": "/run/x"}, 0),
        ({"Type": "notify", "ActiveState": "activating", "SubState": "start"}, 1),
        ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"}, 1),
        ({"ActiveState": "inactive", "SubState": "dead-before-auto-restart"}, 1),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}, 2),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "start-limit-hit"}, 2),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "oom-kill"}, 2),
        ({"Type": "oneshot", "SubState": "exited"}, 0),
        ({"Type": "oneshot", **NEVER_RAN}, 0),  # its job has ended well: systemd has forgotten it
        ({"Type": "oneshot", "ActiveState": "activating", "SubState": "start"}, 1),
        ({"Type": "oneshot", **NEVER_RAN, "Result": "exit-code"}, 2),
        ({"Type": "oneshot", "ActiveState": "failed", "Result": "timeout"}, 2),
        ({"Type": "simple", **NEVER_RAN}, 2),
        ({"Type": "dbus", **NEVER_RAN, "TriggeredBy": "idle.socket"}, 2),
        ({"Type": "simple", **NEVER_RAN, "TriggeredBy": "gone.socket app.socket"}, 0),
        ({"Type": "", "LoadState": "masked", **NEVER_RAN}, 2),
        ({"Type": "", "LoadState": "not-found", **NEVER_RAN}, 2),
        ({"LoadState": "bad-setting", "LoadError": "bad unit file", **NEVER_RAN}, 2),
    ],
)
def test_each_kind_of_unit_is_judged_by_what_success_means_for_it(
    image: Machine, properties: dict[str, str], code: int
) -> None:
    declare(image, "app")
    image.unit("app", **properties)
    for trigger in ("idle.socket", "gone.socket"):
        image.unit(trigger, **NEVER_RAN)
    image.unit("app.socket", SubState="listening")
    done = asked(image)
    assert done.returncode == code, done
    assert ("app.service" in done.stdout) == (code > 0)


@pytest.mark.parametrize(
    ("unit", "state", "code"),
    [
        ("app.socket", {"ActiveState": "active", "SubState": "listening"}, 0),
        ("app.timer", {"ActiveState": "active", "SubState": "waiting"}, 0),
        ("app.target", {"ActiveState": "active", "SubState": "active"}, 0),
        ("app.path", {"ActiveState": "active", "SubState": "waiting"}, 0),
        ("srv-data.mount", {"ActiveState": "active", "SubState": "mounted"}, 0),
        ("app.target", {"ActiveState": "inactive", "SubState": "dead"}, 2),
        ("app.timer", {"ActiveState": "inactive", "SubState": "dead", "Result": "success"}, 2),
        ("app.socket", {"ActiveState": "failed", "SubState": "failed", "Result": "resources"}, 2),
    ],
)
def test_units_that_are_no_services(
    image: Machine, unit: str, state: dict[str, str], code: int
) -> None:
    declare(image, unit)
    image.say_of_unit(unit, {"Id": unit, "LoadState": "loaded", **state})
    assert asked(image).returncode == code


def test_an_instance_of_a_template_is_judged_under_its_name(image: Machine) -> None:
    declare(image, "app@one", "app@two")
    image.unit("app@two", ActiveState="failed", Result="exit-code", ExecMainStatus="3")
    done = asked(image)
    assert done.stdout == "app@two.service has failed (exit-code, exit code 3)\n"


def test_a_oneshot_unit_that_was_never_started_is_not_ready(image: Machine) -> None:
    (image.root / "run/bakehouse/started").unlink()
    declare(image, "app")
    image.unit("app", Type="oneshot", **NEVER_RAN)
    assert asked(image).stdout == "app.service has not run\n"


def test_every_dead_unit_is_told_with_its_last_lines(image: Machine) -> None:
    (image.stubs / "journalctl").write_text('#!/bin/bash\necho "no port for $3"\n')
    declare(image, "one", "two", "three")
    image.unit("one", ActiveState="failed", Result="exit-code", ExecMainStatus="1")
    image.unit("three", ActiveState="activating", SubState="auto-restart")
    done = asked(image)
    assert done.returncode == 2, "one of them does not come back"
    assert done.stdout == (
        "one.service has failed (exit-code, exit code 1); it said last: no port for one.service\n"
        "three.service is activating (auto-restart); it said last: no port for three.service\n"
    )


def test_a_systemd_that_answers_nothing_is_not_ready(image: Machine) -> None:
    declare(image, "app")
    (image.stubs / "systemctl").write_text("#!/bin/bash\necho Connection timed out\nexit 1\n")
    done = asked(image)
    assert (done.returncode, done.stdout) == (2, "app is Connection timed out\n")


@pytest.mark.parametrize(
    ("later", "why"),
    [
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "1"}, "has failed"),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "is activating (auto-restart)"),
        ({"NRestarts": "1"}, "was started again"),
        ({"InvocationID": "another"}, "was started again"),
        ({"MainPID": "8"}, "was started again"),
        ({"Type": "forking", "MainPID": "8"}, "was started again"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "has ended by itself"),
    ],
)
def test_a_service_that_dies_seconds_after_its_start_is_told(
    image: Machine, later: dict[str, str], why: str
) -> None:
    declare(image, "app")
    first = {"MainPID": "7", "InvocationID": "first"}
    image.unit("app", **{**first, **later})
    changed = (image.root / "units/app").read_text()
    image.unit("app", **first)
    image.meanwhile(f"cat >{image.root}/units/app <<'END'\n{changed}END")
    done = asked(image, "--watch")
    assert done.returncode == 2
    assert done.stdout.startswith("app.service ")
    assert why in done.stdout


@pytest.mark.parametrize(
    "later",
    [
        {"Type": "notify", "MainPID": "8"},  # it may hand over, that is its protocol
        {"Type": "oneshot", "InvocationID": "", **NEVER_RAN},
        {"Type": "forking", "MainPID": "0"},
        {"ActiveState": "reloading"},
    ],
)
def test_what_is_no_death_is_not_taken_for_one(image: Machine, later: dict[str, str]) -> None:
    declare(image, "app")
    first = {"MainPID": "7", "InvocationID": "first", "Type": later.get("Type", "simple")}
    image.unit("app", **{**first, **later})
    changed = (image.root / "units/app").read_text()
    image.unit("app", **first)
    image.meanwhile(f"cat >{image.root}/units/app <<'END'\n{changed}END")
    assert asked(image, "--watch").returncode == 0


def test_units_are_watched_for_the_seconds_of_min_ready(image: Machine) -> None:
    declare(image, "app", min_ready=2)
    asked(image, "--watch")
    assert image.calls.count("sleep 0.5") == 4
    (image.stubs / "calls").unlink()
    declare(image)
    asked(image, "--watch")
    assert image.calls == [], "there is nothing to watch"


@pytest.mark.parametrize(
    ("started_before", "looks"),
    [(0, 6), (1, 4), (2, 2), (60, 2)],
    ids=["just now", "a second ago", "two seconds ago", "a minute ago"],
)
def test_without_min_ready_units_are_watched_until_three_seconds_after_the_last_start(
    image: Machine, started_before: int, looks: int
) -> None:
    """One second at least: the checks are their first requests."""
    declare(image, "old", "app")
    up = 100
    (image.root / "proc").mkdir(exist_ok=True)
    (image.root / "proc/uptime").write_text(f"{up}.00 1.00\n")
    image.unit("old", ExecMainStartTimestampMonotonic="7000000")
    image.unit("app", ExecMainStartTimestampMonotonic=str((up - started_before) * 1_000_000 - 1))
    asked(image, "--watch")
    assert image.calls.count("sleep 0.5") == looks


@pytest.mark.parametrize(
    ("kinds", "checks", "looks"),
    [
        (("notify", "notify"), {}, 2),
        (("dbus", "oneshot"), {}, 2),
        (("forking", "notify"), {}, 6),
        (("forking", "notify"), {"tcp": 1}, 2),
        (("notify", "simple"), {"tcp": 1}, 6),
        (("simple", "notify"), {"tcp": 1}, 6),
    ],
)
def test_units_that_say_that_they_are_up_are_watched_for_a_second(
    image: Machine, kinds: tuple[str, str], checks: dict[str, int], looks: int
) -> None:
    """A forking one says so where something else has found it to answer."""
    names = ("one", "other")
    declare(image, *names, **checks)
    (image.root / "proc").mkdir(exist_ok=True)
    (image.root / "proc/uptime").write_text("100.00 1.00\n")
    for name, kind in zip(names, kinds, strict=True):
        image.unit(name, Type=kind, ExecMainStartTimestampMonotonic="99999999")
    asked(image, "--watch")
    assert image.calls.count("sleep 0.5") == looks


def test_a_boot_tries_and_watches_in_one_process(image: Machine) -> None:
    run = image.root / "run/bakehouse"
    run.mkdir(parents=True, exist_ok=True)
    declare(image, "app", min_ready=1)
    image.unit("app", MainPID="7")
    (image.root / "proc/uptime").write_text("45.67 1.00\n")
    assert asked(image, "--then-watch").returncode == 0
    assert (run / "ready_at").read_text() == "45.67"
    image.meanwhile(f"sed -i s/^MainPID=.*/MainPID=8/ {image.root}/units/app")
    (image.root / "usr/lib/bakehouse/health").write_text("#!/bin/bash\necho serving\n")
    (image.root / "usr/lib/bakehouse/health").chmod(0o755)
    done = asked(image, "--then-watch")
    assert (done.returncode, done.stdout) == (3, "serving\n")
    assert "was started again" in (run / "watched").read_text()


def test_a_boot_that_is_not_ready_watches_nothing(image: Machine) -> None:
    declare(image, "app")
    image.unit("app", ActiveState="activating", SubState="start")
    (image.root / "run/bakehouse/ready_at").unlink(missing_ok=True)
    assert asked(image, "--then-watch").returncode == 1
    assert not (image.root / "run/bakehouse/ready_at").exists()
    assert image.calls.count("sleep 0.5") == 0


@pytest.mark.parametrize("arguments", [(), ("--watch",), ("--then-watch",)])
def test_how_often_units_were_started_again_is_left_for_the_report(
    image: Machine, arguments: tuple[str, ...]
) -> None:
    declare(image, "one", "other", tcp=1)
    image.unit("one", NRestarts="2")
    image.unit("other", NRestarts="3")
    (image.root / "run/bakehouse").mkdir(parents=True, exist_ok=True)
    asked(image, *arguments)
    assert (image.root / "run/bakehouse/restarts").read_text() == "5"


def test_a_restart_before_the_first_look_counts_unless_readiness_is_checked(
    image: Machine,
) -> None:
    """A service that waits for its database by failing is ready when its check says so."""
    declare(image, "app")
    image.unit("app", NRestarts="2")
    assert asked(image, "--watch").returncode == 2
    declare(image, "app", tcp=1)
    assert asked(image, "--watch").returncode == 0


def test_a_port_that_nobody_listens_on_is_told(image: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        declare(image, tcp=port, host="127.0.0.1")
        assert asked(image).returncode == 0
    done = asked(image)
    assert done.returncode == 1
    assert done.stdout == f"tcp port {port} of 127.0.0.1: Connection refused\n"


class Answering(SilentHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.respond(status=int(self.path.rpartition("/")[2]))


@pytest.fixture
def port() -> Iterator[int]:
    with running(Answering) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/200", "", None),
        ("/302", "", None),
        ("/404", "", "status 404"),
        ("/503", "", "status 503"),
        ("/401", "401", None),
        ("/200", "204", "status 200 instead of 204"),
        ("/a;b&$(c)?d=[e]{f}/204", "204", None),
    ],
)
def test_an_http_answer_is_ready_by_its_status(
    image: Machine, port: int, path: str, status: str, said: str | None
) -> None:
    declare(
        image,
        http_scheme="http",
        http_port=port,
        http_path=path,
        http_status=status,
        host="127.0.0.1",
    )
    done = asked(image)
    assert done.returncode == (said is not None)
    assert done.stdout == (f"http://127.0.0.1:{port}{path}: {said}\n" if said else "")


def test_a_server_that_answers_nothing_is_told(image: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        declare(
            image, http_scheme="http", http_port=port, http_path="/", host="127.0.0.1", timeout=1
        )
        done = asked(image)
    assert done.returncode == 1
    assert done.stdout.startswith(f"http://127.0.0.1:{port}/: curl: (28) ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (b"", "is neither a program nor begins with #!"),
        (b"echo fine\n", "is neither a program nor begins with #!"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is neither a program nor begins"),
        (b"\xef\xbb\xbf#!/bin/bash\ntrue\n", "is neither a program nor begins with #!"),
        (b"#!/bin/bash\r\ntrue\r\n", "has line ends of Windows"),
        (b"#!/usr/bin/env bash\r\ntrue\r\n", "has line ends of Windows"),
        (b"#!/opt/none/python3\n", "needs /opt/none/python3, which does not exist"),
        (b"#!/usr/bin/env no-such-thing\n", "needs /usr/bin/env no-such-thing, which does not"),
        (b"#!\n", "which does not exist"),
        (b"#!/tmp\n", "needs /tmp, which does not exist"),
        (b"\x7fELF\x02\x01\x01\x00of another machine\n", "exit code 126"),
        (b"#!/bin/bash\nno-such-command\n", "exit code 127"),
        (b"#!/bin/bash\nexit 126\n", "exit code 126"),
        (b"#!/bin/bash\nexec command -p sleep 60\n", "could not be executed"),
        (b"#!/bin/bash\n/bin/sleep 60\n", "did not end within 1 s"),
        (b"#!/bin/bash\ntrap '' TERM\n/bin/sleep 60 & wait; wait\n", "did not end within 1 s"),
        (b"#!/bin/bash\necho not yet; exit 3\n", "not yet"),
    ],
)
def test_a_health_script_that_cannot_be_executed_is_never_healthy(
    image: Machine, script: bytes, said: str
) -> None:
    declare(image, timeout=1 if "did not end" in said else 60)
    health = image.root / "usr/lib/bakehouse/health"
    health.write_bytes(script)
    health.chmod(0o755)
    done = asked(image)
    assert done.returncode == 1, done
    assert said in done.stdout


def test_a_health_script_that_is_not_executable_is_never_healthy(image: Machine) -> None:
    (image.root / "usr/lib/bakehouse/health").write_text("#!/bin/bash\ntrue\n")
    done = asked(image)
    assert (done.returncode, done.stdout) == (1, "health is not executable\n")


@pytest.mark.parametrize(
    "script",
    [
        b"#!/bin/bash\necho serving\n",
        b"#! /usr/bin/env -S bash -e\necho serving\n",
        b"#!/usr/bin/env bash\n/bin/sleep 30 &\necho serving\n",  # which holds its output open
    ],
)
def test_a_health_script_that_answers(image: Machine, script: bytes) -> None:
    health = image.root / "usr/lib/bakehouse/health"
    health.write_bytes(script)
    health.chmod(0o755)
    done = asked(image)
    assert (done.returncode, done.stdout) == (0, "serving\n")


def baked(machine: Machine, files: dict[str, str] | None = None, **fields: Any) -> None:
    done = machine.bake(rendered_app({**INSTALL, **(files or {})}, **fields))
    assert done.returncode == 0, done
    machine.become("member")


def test_an_image_of_which_one_service_is_dead_is_unhealthy(machine: Machine) -> None:
    baked(machine, services=["steady", "crash"])
    machine.unit("crash", ActiveState="failed", Result="exit-code", ExecMainStatus="1")
    assert machine.boot().returncode == 1
    assert machine.health["state"] == "unhealthy"
    assert machine.health["detail"] == "crash.service has failed (exit-code, exit code 1)"


def test_the_plain_word_of_systemd_counts_for_each_unit_too(machine: Machine) -> None:
    """Systemctl as it answers where `show` shows nothing: `is-active` is 0 if any unit is."""
    baked(machine, services=["steady", "crash"])
    (machine.stubs / "systemctl").write_text(
        "#!/bin/bash\n[[ $1 != is-active ]] && exit 0\nshift; code=3\n"
        'for u in "$@"; do [[ $u == crash ]] && echo failed || { echo active; code=0; }; done\n'
        "exit $code\n"
    )
    machine.boot()
    assert machine.health["state"] == "unhealthy"
    assert machine.health["detail"].startswith("crash is failed")


def test_a_service_that_dies_in_the_seconds_after_its_start(machine: Machine) -> None:
    baked(machine, services=["app"])
    machine.unit("app", ActiveState="failed", Result="signal", ExecMainStatus="11")
    dead = (machine.root / "units/app").read_text()
    (machine.root / "units/app").unlink()
    machine.meanwhile(f"cat >{machine.root}/units/app <<'END'\n{dead}END")
    machine.boot()
    assert machine.health["state"] == "unhealthy"
    assert "app.service has failed (signal, exit code 11)" in machine.health["detail"]


def test_ready_seconds_end_when_it_is_ready_and_not_when_its_watch_ends(machine: Machine) -> None:
    baked(machine, services=["app"])
    machine.meanwhile(f"echo 15.40 0 >{machine.root}/proc/uptime")
    machine.boot()
    assert (machine.health["state"], machine.health["ready_seconds"]) == ("healthy", 12.34)
    assert machine.calls.count("sleep 0.5") == 1, "three seconds have passed"


def test_a_service_is_ready_once_it_listens(machine: Machine) -> None:
    """A unit of Type=simple is active long before: boot waits, and the time counts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    baked(machine, services=["app"], ready={"tcp": port, "host": "127.0.0.1", "interval": "2s"})
    listens = machine.stubs / "listens"
    machine.meanwhile(
        f"[[ $1 == 2 && ! -e {listens} ]] || exit 0; touch {listens}\n"
        f"echo 14.00 0 >{machine.root}/proc/uptime\n"
        f"python3 -c \"import socket; s = socket.create_server(('127.0.0.1', {port}));"
        f" open('{listens}', 'w').write('yes'); s.settimeout(100); s.accept()\" >/dev/null 2>&1 &\n"
        f"until [[ -s {listens} ]]; do :; done"
    )
    machine.boot()
    assert (machine.health["state"], machine.health["ready_seconds"]) == ("healthy", 14.0)
    assert machine.calls.count("sleep 2") == 1


def test_not_ready_by_its_deadline_is_unhealthy(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ready = {"tcp": port, "host": "127.0.0.1", "deadline": "30s"}
    baked(machine, services=["app"], ready=ready)
    machine.meanwhile(f"echo 42.50 0 >{machine.root}/proc/uptime")
    machine.boot()
    assert machine.health["state"] == "unhealthy"
    assert machine.health["detail"] == f"tcp port {port} of 127.0.0.1: Connection refused"
    assert machine.calls.count("sleep 0.3") == 1


def test_a_script_of_the_recipe_is_asked_whether_it_is_ready(machine: Machine) -> None:
    baked(machine, {"check-app": "#!/bin/bash\necho warm\n"}, ready={"script": "check-app"})
    machine.boot()
    assert (machine.health["state"], machine.health["detail"]) == ("healthy", "warm")


def test_a_script_that_install_did_not_create_fails_the_bake(machine: Machine) -> None:
    machine.bake(rendered_app(INSTALL, ready={"script": "/usr/local/bin/ready"}))
    message = machine.result["error"]["message"]
    assert message == "install.sh did not install /usr/local/bin/ready, which `ready` names"
    machine.written.clear()
    script = {"install.sh.j2": 'install -D /bin/true "$BAKEHOUSE_ROOT/usr/local/bin/ready"\n'}
    (machine.root / "var/lib/bakehouse/result").unlink()
    (machine.root / "dev/ttyS0").unlink()
    machine.bake(rendered_app(script, ready={"script": "/usr/local/bin/ready"}))
    assert machine.result["result"] == "ok"


def test_a_unit_may_say_when_it_is_ready(machine: Machine) -> None:
    baked(machine, ready={"unit": "docker.socket"})
    dead = {"Id": "docker.socket", "LoadState": "loaded", "ActiveState": "failed"}
    machine.say_of_unit("docker.socket", dead)
    machine.boot()
    assert machine.health["detail"].startswith("docker.socket has failed")
    assert machine.changes[-1] != "systemctl start docker.socket", "it is not ours to start"


def test_values_of_ready_reach_the_image_as_they_stand(machine: Machine) -> None:
    path = "/a?b='c'&d=\"$(touch${IFS}/tmp/x)\"`id`"
    baked(machine, ready={"http": {"port": 8080, "path": path, "status": 204}, "timeout": "2s"})
    settings = machine.root / "usr/lib/bakehouse/ready.conf"
    shown = subprocess.run(
        ("bash", "-c", f'. {settings}; printf %s "$http_path"'),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == path


def test_an_image_keeps_what_its_parent_declares_unless_it_declares_its_own(
    machine: Machine,
) -> None:
    settings = machine.root / "usr/lib/bakehouse/ready.conf"
    baked(machine, ready={"tcp": 9092})
    (machine.root / "var/lib/bakehouse/result").unlink()
    baked(machine, services=["child"])
    assert "tcp=9092\n" in settings.read_text()
    (machine.root / "var/lib/bakehouse/result").unlink()
    baked(machine, ready={"min_ready": "20s"})
    assert "tcp=''\n" in settings.read_text()
    assert "min_ready=20\n" in settings.read_text()


def test_a_start_that_does_not_end_is_ended_by_the_limit(machine: Machine) -> None:
    """A start job of Type=oneshot has no deadline of its own."""
    baked(machine, services=["app"], boot_time_limit="20s")
    (machine.root / "run").mkdir(exist_ok=True)
    machine.stub("timeout", '[[ $2 != systemctl ]] || exit 124\nexec /usr/bin/timeout "$@"')
    machine.unit("app", ActiveState="activating", SubState="start", Type="oneshot")
    machine.boot()
    assert "timeout 8 systemctl start app" in machine.calls
    assert machine.health["state"] == "unhealthy"
    assert machine.health["detail"].startswith("app.service is activating (start)")


def test_a_service_may_fail_its_first_start_where_readiness_is_checked(machine: Machine) -> None:
    health = "#!/bin/bash\necho serving\n"
    baked(machine, {"health": health}, services=["app"])
    systemctl = machine.stubs / "systemctl"
    as_before = systemctl.read_text()
    systemctl.write_text(f"#!/bin/bash\n[[ $1 != start ]] || exit 1\n{as_before}")
    machine.unit("app", NRestarts="1")
    machine.boot()
    assert machine.health["state"] == "healthy"


def test_a_service_that_is_gone_after_the_smoke_test_fails_it(machine: Machine) -> None:
    dead = "Id=app.service\\nLoadState=loaded\\nActiveState=failed\\nResult=oom-kill\\n"
    test = (
        'check a b true\nmkdir -p "$BAKEHOUSE_ROOT/units"\n'
        f"printf '{dead}' >\"$BAKEHOUSE_ROOT/units/app\"\n"
    )
    rendered = rendered_app({**INSTALL, "smoke_test.sh": test}, services=["app"])
    machine.bake(rendered)
    machine.become("smoke")
    machine.boot()
    machine.smoke(rendered)
    told = json.loads(machine.guest_attributes["smoke"])
    assert told["result"] == "failed"
    assert "not ready after the smoke test: app.service has failed" in told["error"]["message"]
