"""bake.sh: says how it went, twice, and powers off, whatever happened."""

from __future__ import annotations

import json
import re
import shutil
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from bakehouse.guest import formats
from bakehouse.history import manifest

from .conftest import NONCE, POWER_OFF, Machine, rendered_app

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = 'echo installing\nmkdir -p "$BAKEHOUSE_ROOT/opt/app"\n'


def test_it_installs_says_so_twice_and_powers_off(machine: Machine) -> None:
    rendered = rendered_app(
        {"install.sh.j2": INSTALL, "templates/etc/app.conf.j2": "a={{ a }}\n", "health": "true"},
        services=["app"],
    )
    done = machine.bake(rendered)
    assert done.returncode == 0, done.stderr
    assert "installing" in done.stdout
    assert [line["stage"] for line in machine.said if "stage" in line] == [
        "boot",
        "install",
        "generalise",
    ]
    assert machine.result == {"nonce": NONCE, "result": "ok"}
    assert machine.guest_attributes["result"] == "ok"
    assert machine.calls[-1] == POWER_OFF
    assert "systemctl disable --no-reload --now app" in machine.calls
    assert "systemctl enable --quiet --no-reload bakehouse-boot.service" in machine.calls
    library = machine.root / "usr/lib/bakehouse"
    assert (library / "templates/etc/app.conf.j2").read_text() == "a={{ a }}\n"
    assert (library / "services").read_text() == "app\n"
    assert (library / "health").stat().st_mode & 0o111
    assert json.loads((machine.root / "etc/bakehouse/image.json").read_text())["recipe"] == "app"


def test_the_manifest_is_told_both_ways(machine: Machine) -> None:
    for kernel in ("6.1.0-9-cloud-amd64", "6.1.0-41-cloud-amd64"):
        (machine.root / "boot").mkdir(exist_ok=True)
        (machine.root / f"boot/vmlinuz-{kernel}").touch()
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, services=["app"]))
    text = machine.guest_attributes["manifest"]
    told = manifest.decode(text)
    assert told.packages == (manifest.Package("nginx", "1.22.1", "amd64"),)
    assert told.passed_over == (manifest.PassedOver("nginx", "1.22.0-1"),)
    assert told.sources == (
        manifest.Source("http://deb.debian.org/debian", "bookworm", "main"),
        manifest.Source("http://flat.example/x", "./", ""),
    )
    assert (told.files.os, told.files.kernel) == (("debian", "12"), "6.1.0-41-cloud-amd64")
    assert (told.files.enabled, told.files.started) == (("ssh.service",), ("app",))
    assert told.files.used_bytes is not None
    assert told.files.size_bytes is not None
    assert 0 < told.files.used_bytes < told.files.size_bytes
    assert {"nonce": NONCE, "manifest": text} in machine.said


def test_the_manifest_says_when_each_step_began(machine: Machine) -> None:
    """Since the kernel started; of what went before the script, systemd knows."""
    units = machine.root / "units"
    units.mkdir(exist_ok=True)
    up = "ActiveEnterTimestampMonotonic"
    (units / "network-online.target").write_text(f"{up}=9870000\n")
    (units / "google-guest-agent").write_text(f"{up}=0\n")
    before = time.time()
    machine.bake(rendered_app({"install.sh.j2": INSTALL, "prepare.sh.j2": "true\n"}))
    told = manifest.decode(machine.guest_attributes["manifest"])
    uptime = 12.34
    assert ("network", 9.87) in told.steps
    own = [step for step in told.steps if step.name != "network"]
    assert [step.name for step in own] == [
        "script",
        "prepare",
        "lists",
        "upgrade",
        "install",
        "facts",
        "generalise",
        "power off",
    ]
    assert {step.at for step in own} == {uptime}
    assert told.booted is not None
    assert before - 1 < told.booted + uptime < time.time() + 1


def test_an_image_without_kernel_or_sources_tells_the_rest(machine: Machine) -> None:
    (machine.root / "sources").write_text("")
    (machine.root / "madison").write_text("")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    told = manifest.decode(machine.guest_attributes["manifest"])
    assert (told.sources, told.files.kernel, told.passed_over) == ((), None, ())
    assert len(told.packages) == 1


def test_apt_itself_says_what_its_sources_are(machine: Machine) -> None:
    """Lists of one line, deb822 files, disabled ones; a password never leaves the machine."""
    folder = machine.root / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    (folder / "one.list").write_text(
        "deb [arch=amd64] https://jo:secret@apt.example/debian trixie main contrib\n"
        "# deb http://commented.example x y\ndeb-src http://source.example x y\n"
        "deb http://flat.example/x ./\n"
    )
    (folder / "two.sources").write_text(
        "Types: deb\nURIs: http://deb.example/a http://deb.example/b\nSuites: s s-updates\n"
        "Components: main\n\nTypes: deb\nURIs: http://off.example\nSuites: s\n"
        "Components: main\nEnabled: no\n"
    )
    real, nothing = shutil.which("apt-get"), machine.root / "nothing"
    (machine.stubs / "apt-get").write_text(
        f"""#!/bin/bash
[[ $1 != indextargets ]] || {real} -o Dir::Etc::sourcelist={nothing} \\
  -o Dir::Etc::sourceparts={folder} "$@"\n"""
    )
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    text = machine.guest_attributes["manifest"]
    assert manifest.decode(text).sources == (
        ("http://deb.example/a", "s", "main"),
        ("http://deb.example/a", "s-updates", "main"),
        ("http://deb.example/b", "s", "main"),
        ("http://deb.example/b", "s-updates", "main"),
        ("http://flat.example/x", "./", ""),
        ("https://apt.example/debian", "trixie", "contrib"),
        ("https://apt.example/debian", "trixie", "main"),
    )


def test_a_bake_takes_the_updates_of_its_base(machine: Machine) -> None:
    """What a night finds an update for must not be the same the night after."""
    upgrade = "apt-get --quiet upgrade --with-new-pkgs --no-install-recommends"
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    (called,) = (call for call in machine.calls if call.startswith(upgrade))
    assert called.endswith(" python3-jinja2")


COMPILES = """
[[ ! $* =~ DPkg::Path=([^ ]*) ]] || PATH=${BASH_REMATCH[1]} py3compile -p python3-jinja2
"""


def test_what_the_renderer_compiles_is_compiled_beside_the_install(machine: Machine) -> None:
    machine.stub("apt-get", COMPILES)
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    assert machine.result["result"] == "ok"
    assert machine.calls.count("py3compile -p python3-jinja2") == 1
    assert not list(machine.root.glob("var/lib/bakehouse/compiling*"))


def test_a_module_that_cannot_be_compiled_fails_the_bake(machine: Machine) -> None:
    machine.stub("apt-get", COMPILES)
    (machine.stubs / "py3compile").write_text("#!/bin/bash\nexit 3\n")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    error = machine.result["error"]
    assert (error["script"], error["exit_code"]) == ("bake.sh", 3)
    assert "py3compile" in error["command"]


def test_a_layer_has_what_boot_renders_with_already(machine: Machine) -> None:
    there = machine.root / "usr/lib/python3/dist-packages/jinja2/__init__.py"
    there.parent.mkdir(parents=True)
    there.touch()
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    (upgrade,) = (call for call in machine.calls if "upgrade" in call)
    assert "jinja2" not in upgrade


@pytest.mark.parametrize(
    ("install", "line", "command", "code", "message"),
    [
        ("true\n\nfalse\n", 3, "false", 1, ""),
        ("echo lost >&2\nexit 7\n", 2, "exit 7", 7, "lost"),
        ("cat /nowhere |\n  cat\n", 2, "cat", 1, "No such file"),
        ("f() {\n  ls /nowhere\n}\necho\nf\n", 2, "ls /nowhere", 2, "cannot access"),
        ("true\n(\n  true\n  false\n)\n", 4, "false", 1, ""),
        ("x=$(false) || true\nfalse || true\nset +e\nfalse\nset -e\nexit 3\n", 6, "exit 3", 3, ""),
        ("true\necho $nothing\n", 2, "nothing: unbound variable", 1, "unbound variable"),
        ("no-such-command --flag\n", 1, "no-such-command --flag", 127, "command not found"),
        ('false "it is \\"quoted\\""\n', 1, 'false "it is \\"quoted\\""', 1, ""),
    ],
)
def test_a_failing_install_names_its_own_line(
    machine: Machine, install: str, line: int, command: str, code: int, message: str
) -> None:
    machine.bake(rendered_app({"install.sh.j2": install}))
    error = machine.result["error"]
    assert machine.result["result"] == "failed"
    assert (error["script"], error["line"], error["command"]) == ("install.sh", line, command)
    assert error["exit_code"] == code
    assert message in error["message"]
    assert machine.guest_attributes["result"] == "failed"
    assert json.loads(machine.guest_attributes["error"]) == error
    assert machine.calls[-1] == POWER_OFF


def test_the_message_is_the_end_of_the_output_and_always_text(machine: Machine) -> None:
    noise = "printf 'x%.0s' {1..3000}; printf '\\xff\\x1b[31m the \\\\end \xe4 \\t'; exit 1\n"
    machine.bake(rendered_app({"install.sh.j2": noise}))
    message = machine.result["error"]["message"]
    assert len(message) <= 1200
    assert message.endswith("[31m the \\end \xe4 \t")
    assert json.loads(machine.guest_attributes["error"])["message"] == message


def test_installing_that_does_not_end_is_told(machine: Machine) -> None:
    """`timeout` is told the recipe's deadline; a stub of it has waited long enough."""
    machine.stub("timeout", "exit 124")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, builder={"install_deadline_minutes": 7}))
    assert machine.result["error"]["message"] == "did not end within 7m"
    assert "timeout --kill-after=10 7m bash install.sh" in machine.calls


def test_a_script_that_install_calls_is_named(machine: Machine) -> None:
    files = {"install.sh.j2": "true\n. ./part.sh\n", "part.sh": "true\ntrue\nfalse\n"}
    machine.bake(rendered_app(files))
    error = machine.result["error"]
    assert (error["script"], error["line"]) == ("part.sh", 3)


def test_other_bash_scripts_are_left_as_they_are(machine: Machine) -> None:
    """Maintainer scripts of packages are bash too, and not written to be strict."""
    done = machine.bake(rendered_app({"install.sh.j2": "bash -c 'false; echo lenient $unset'\n"}))
    assert "lenient" in done.stdout
    assert machine.result["result"] == "ok"


def test_a_daemon_left_behind_does_not_hold_the_bake(machine: Machine) -> None:
    machine.bake(rendered_app({"install.sh.j2": "command -p sleep 3 &\necho started\n"}))
    assert machine.result["result"] == "ok"


def test_an_error_of_the_bake_script_itself_is_told(machine: Machine) -> None:
    (machine.stubs / "dpkg-query").write_text("#!/bin/bash\nexit 9\n")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    error = machine.result["error"]
    assert (error["script"], error["exit_code"]) == ("bake.sh", 9)
    assert error["line"] > 0
    assert "dpkg-query" in error["command"]
    assert machine.calls[-1] == POWER_OFF
    assert sum("result" in line for line in machine.said) == 1


@pytest.mark.parametrize(
    ("stub", "line"),
    [("dpkg-query", "dpkg-query"), ("apt-get", "apt-get clean"), ("awk", "awk ")],
)
def test_what_breaks_beside_the_script_is_told_like_the_script(
    machine: Machine, stub: str, line: str
) -> None:
    fails = {
        "apt-get": '[[ $1 != clean ]] || exit 9; [[ $1 != indextargets ]] || echo "x\ty\tz\t."'
    }
    (machine.stubs / stub).write_text(f"#!/bin/bash\n{fails.get(stub, 'exit 9')}\n")
    (machine.stubs / stub).chmod(0o755)
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    error = machine.result["error"]
    assert (error["script"], error["exit_code"]) == ("bake.sh", 9)
    assert line in error["command"]
    assert sum("result" in said for said in machine.said) == 1
    assert machine.calls[-1] == POWER_OFF


def test_no_more_than_three_guest_attributes_a_second(machine: Machine) -> None:
    (machine.stubs / "sleep").unlink()
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    moments = machine.moments
    assert len(moments) == 5
    # 4 pauses of 0.35 s; a server that is slow to read its clock shortens what it sees of them
    assert moments[-1] - moments[0] > 0.7


def test_a_service_that_install_did_not_install(machine: Machine) -> None:
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, services=["missing"]))
    assert "did not install the service missing" in machine.result["error"]["message"]


def test_without_guest_attributes_the_serial_line_stands(machine: Machine) -> None:
    machine.refuse_writes = True
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    assert machine.written == []
    assert machine.result == {"nonce": NONCE, "result": "ok"}
    assert machine.calls[-1] == POWER_OFF


def test_it_does_not_install_twice(machine: Machine) -> None:
    rendered = rendered_app({"install.sh.j2": 'echo x >>"$BAKEHOUSE_ROOT/count"\n'})
    machine.bake(rendered)
    machine.written.clear()
    machine.bake(rendered)
    assert (machine.root / "count").read_text() == "x\n"
    assert machine.written == [("result", "ok")]
    assert machine.calls[-1] == POWER_OFF


def test_a_restart_in_the_middle_is_a_failure(machine: Machine) -> None:
    rendered = rendered_app(
        {"install.sh.j2": "kill -9 $PPID $(cat /proc/$PPID/stat | cut -d' ' -f4)\n"}
    )
    machine.bake(rendered)
    assert not [line for line in machine.said if "result" in line]
    machine.bake(rendered)
    assert machine.result["result"] == "failed"
    assert "restarted" in machine.result["error"]["message"]


def test_a_child_recipe_bakes_on_a_parent_image(machine: Machine) -> None:
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, services=["parent"]))
    machine.written.clear()
    (machine.root / "var/lib/bakehouse/result").write_text("another-nonce\nok\n")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, services=["child"]))
    assert machine.guest_attributes["result"] == "ok"
    assert (machine.root / "usr/lib/bakehouse/services").read_text() == "parent\nchild\n"


DECLARES = """mkdir -p "$BAKEHOUSE_ROOT/etc/bakehouse"
cat >"$BAKEHOUSE_ROOT/etc/bakehouse/formats.json" <<'END'
DECLARED
END
"""


def test_the_manifest_has_the_formats_of_data_that_the_install_declares(machine: Machine) -> None:
    declared = '{"metadata.version": {"min": 7, "max": 33}, "group.version": {"min": 0, "max": 1}}'
    machine.bake(rendered_app({"install.sh.j2": DECLARES.replace("DECLARED", declared)}))
    wanted = (("group.version", 0, 1), ("metadata.version", 7, 33))
    assert manifest.decode(machine.guest_attributes["manifest"]).files.formats == wanted
    machine.written.clear()
    (machine.root / "var/lib/bakehouse/result").write_text("another-nonce\nok\n")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    told = manifest.decode(machine.guest_attributes["manifest"])
    assert told.files.formats == wanted, "a child keeps those of its parent"


def test_formats_that_are_wrong_fail_the_bake_with_all_mistakes(machine: Machine) -> None:
    wrong = (
        '{"a b": {"min": 1, "max": 2}, "x": {"min": "1", "max": 2}, "y": {"min": 3, "max": 2},'
        ' "z": 4, "v": {"min": -1, "max": true}}'
    )
    machine.bake(rendered_app({"install.sh.j2": DECLARES.replace("DECLARED", wrong)}))
    assert machine.result["result"] == "failed"
    assert machine.result["error"]["message"] == (
        "/etc/bakehouse/formats.json, which install.sh writes: 'a b' is no name of a format: at"
        " most 100 of A-Z, a-z, 0-9, '.', '_' and '-'; x: min is '1', which is no whole number from"
        " 0; y: min 3 is greater than max 2; z: 4 is not min and max; v: min is -1, which is no"
        " whole number from 0; v: max is True, which is no whole number from 0. Write it like this:"
        ' {"metadata.version": {"min": 7, "max": 33}}'
    )
    assert machine.calls[-1] == POWER_OFF


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("not JSON", "Expecting value"),
        ("[]", "it is no object of 1 to 200 formats"),
        ("{}", "it is no object of 1 to 200 formats"),
        ('{"a": {"min": 1, "max": 2}, "a": {"min": 1, "max": 3}}', "'a' stands twice"),
    ],
)
def test_what_is_no_declaration_of_formats_is_told(
    tmp_path: Path, declared: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "formats.json"
    file.write_text(declared)
    with pytest.raises(SystemExit, match=re.escape(why)):
        formats.main(str(file))
    assert capsys.readouterr().out == ""


def test_what_tells_machines_apart_is_gone(machine: Machine) -> None:
    traces = [
        "etc/ssh/ssh_host_rsa_key",
        "var/lib/systemd/random-seed",
        "var/lib/dhcp/dhclient.enp0s2.leases",
        "var/lib/apt/lists/deb.debian.org_Packages",
        "var/log/apt/history.log.1.gz",
        "var/log/journal/abc/system.journal",
        "tmp/leftover",
        "etc/apt/apt.conf.d/99bakehouse",
        "etc/dpkg/dpkg.cfg.d/bakehouse",
        "usr/sbin/policy-rc.d",
    ]
    emptied = ["etc/machine-id", "var/log/dpkg.log"]
    for path in traces + emptied:
        _write(machine.root / path)
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    assert "journalctl --relinquish-var" in machine.calls
    assert [path for path in traces if (machine.root / path).exists()] == []
    assert [(machine.root / path).read_text() for path in emptied] == ["", ""]


def test_services_do_not_start_while_installing(machine: Machine) -> None:
    install = '"$BAKEHOUSE_ROOT/usr/sbin/policy-rc.d" || echo "policy $?"\n'
    done = machine.bake(rendered_app({"install.sh.j2": install}))
    assert "policy 101" in done.stdout


def test_it_waits_for_another_apt(machine: Machine) -> None:
    """Another apt-get runs at first; the stub of `sleep` lets it end."""
    _write(machine.root / "proc/77/comm", "apt-get\n")
    machine.meanwhile(f"rm -f {machine.root}/proc/77/comm")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    assert machine.calls.index("sleep 2") < machine.calls.index(machine.updates[0])


def _write(path: Path, text: str = "old") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def systemd(machine: Machine) -> Machine:
    """A machine whose units are files: the host's own systemctl works on its folder."""
    real = shutil.which("systemctl")
    if real is None:
        pytest.skip("no systemctl here")
    (machine.root / "lib/systemd/system").mkdir(parents=True)
    (machine.stubs / "systemctl").write_text(
        f"""#!/bin/bash
echo "systemctl $*" >>"$CALLS"
units=$BAKEHOUSE_ROOT/etc/systemd/system
case $1 in
show)
  unit=${{!#}}
  unit=${{unit%.service}}.service
  link=$(readlink "$units/$unit")
  target=${{link##*/}}
  load=not-found
  [[ -z $target && ! -e $BAKEHOUSE_ROOT/lib/systemd/system/$unit ]] || load=loaded
  [[ $target != null ]] || load=masked target=
  printf 'LoadState=%s\\nId=%s\\n' "$load" "${{target:-$unit}}" ;;
enable | disable | link) exec {real} --root="$BAKEHOUSE_ROOT" "${{@/--now/--quiet}}" ;;
esac
"""
    )
    return machine


UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


def unit_installed(name: str, more: str = "", at: str = "lib/systemd/system") -> str:
    return (
        f'mkdir -p "$BAKEHOUSE_ROOT/{at}"\n'
        f"printf '%s' '{UNIT}{more}' >\"$BAKEHOUSE_ROOT/{at}/{name}.service\"\n"
    )


def test_a_service_is_stored_under_its_real_name(systemd: Machine) -> None:
    """redis, sshd and mysql are such aliases; `disable` of one removes it from the machine."""
    install = unit_installed("kv-server", "Alias=kv.service\n") + "systemctl enable kv-server\n"
    done = systemd.bake(rendered_app({"install.sh.j2": install}, services=["kv"]))
    assert systemd.result["result"] == "ok", done
    units = systemd.root / "etc/systemd/system"
    assert (systemd.root / "usr/lib/bakehouse/services").read_text() == "kv-server\n"
    assert (units / "kv.service").is_symlink(), "another unit may require it by this name"
    assert not (units / "multi-user.target.wants/kv-server.service").is_symlink()


def test_a_service_that_is_named_twice_starts_once(systemd: Machine) -> None:
    install = unit_installed("kv-server", "Alias=kv.service\n") + "systemctl enable kv-server\n"
    systemd.bake(
        rendered_app({"install.sh.j2": install}, services=["kv", "kv-server", "kv-server.service"])
    )
    assert systemd.result["result"] == "ok"
    assert (systemd.root / "usr/lib/bakehouse/services").read_text() == "kv-server\n"


def test_a_unit_that_is_linked_from_elsewhere_stays(systemd: Machine) -> None:
    install = unit_installed("app", at="opt/app") + "systemctl enable /opt/app/app.service\n"
    systemd.bake(rendered_app({"install.sh.j2": install}, services=["app"]))
    assert systemd.result["result"] == "ok"
    units = systemd.root / "etc/systemd/system"
    assert (units / "app.service").is_symlink()
    assert not (units / "multi-user.target.wants/app.service").is_symlink()


def test_an_alias_that_is_no_link_yet_is_told(systemd: Machine) -> None:
    """The package has it as Alias=, and nobody has enabled the unit."""
    install = unit_installed("kv-server", "Alias=kv.service\n")
    systemd.bake(rendered_app({"install.sh.j2": install}, services=["kv"]))
    message = systemd.result["error"]["message"]
    assert message == (
        "install.sh did not install the service kv: it is an alias of kv-server, which is not"
        " enabled: name that one"
    )


def test_an_init_script_is_known_once_systemd_has_read_it(systemd: Machine) -> None:
    systemctl = systemd.stubs / "systemctl"
    lines = systemctl.read_text().replace(
        "case $1 in",
        'case $1 in\ndaemon-reload) touch "$BAKEHOUSE_ROOT/lib/systemd/system/old.service" ;;',
        1,
    )
    systemctl.write_text(lines)
    systemd.bake(rendered_app({"install.sh.j2": INSTALL}, services=["old"]))
    assert systemd.calls.count("systemctl daemon-reload") == 1
    assert (systemd.root / "usr/lib/bakehouse/services").read_text() == "old\n"


def test_a_masked_service_is_told_by_the_bake(systemd: Machine) -> None:
    install = (
        unit_installed("app") + 'ln -s /dev/null "$BAKEHOUSE_ROOT/etc/systemd/system/app.service"\n'
    )
    (systemd.root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
    systemd.bake(rendered_app({"install.sh.j2": install}, services=["app"]))
    message = systemd.result["error"]["message"]
    assert message.startswith("install.sh left the unit app masked, so that it cannot start")


@pytest.mark.parametrize(
    ("identity", "stored"),
    [
        ("Id=foo@bar.service", "foo@bar\n"),
        ("Id=app.socket", "app.socket\n"),
        ("Id=app.timer", "app.timer\n"),
        ("Id=a.socket.service", "a.socket.service\n"),
        (r"Id=srv-my\x2ddata.mount", "srv-my\\x2ddata.mount\n"),
    ],
)
def test_the_real_name_of_each_kind_of_unit(machine: Machine, identity: str, stored: str) -> None:
    (machine.stubs / "systemctl").write_text(
        f"#!/bin/bash\n[[ $1 != show ]] || printf '%s\\n' 'LoadState=loaded' '{identity}'\n"
    )
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, services=["given"]))
    assert (machine.root / "usr/lib/bakehouse/services").read_text() == stored


def test_a_unit_that_systemd_cannot_load_is_told_by_the_bake(machine: Machine) -> None:
    (machine.stubs / "systemctl").write_text(
        "#!/bin/bash\n[[ $1 != show ]] ||"
        " printf '%s\\n' LoadState=bad-setting Id=app.service 'LoadError=x \"bad setting\"'\n"
    )
    machine.bake(rendered_app({"install.sh.j2": INSTALL}, services=["app"]))
    message = machine.result["error"]["message"]
    assert message == 'systemd cannot load the unit app: x "bad setting"'


def test_the_release_files_that_apt_has_verified_by_are_told(machine: Machine) -> None:
    lists = machine.root / "var/lib/apt/lists"
    lists.mkdir(parents=True, exist_ok=True)
    name = "deb.debian.org_debian_dists_bookworm_InRelease"
    (lists / name).write_text("Suite: stable\n")
    (lists / "deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages").write_text("x")
    machine.bake(rendered_app({"install.sh.j2": INSTALL}))
    told = manifest.decode(machine.guest_attributes["manifest"])
    digest = sha256(b"Suite: stable\n").hexdigest()
    assert told.releases == (manifest.ReleaseFile(name, digest),)
    assert not (lists / name).exists()
