"""What a builder is to install.sh: nothing asks, helpers run, names resolve, causes are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import Machine, rendered_app

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

WORKING = "search example.internal\nnameserver 169.254.169.254\n"
STUB_LINK = "../run/systemd/resolve/stub-resolv.conf"


def bake(machine: Machine, install: str, **files: str) -> subprocess.CompletedProcess[str]:
    """A bake; install.sh begins in the folder that stands for /."""
    scripts = {"install.sh.j2": f'cd "$BAKEHOUSE_ROOT"\n{install}', **files}
    return machine.bake(rendered_app(scripts))


def baked(machine: Machine, install: str, **files: str) -> str:
    """What a bake that has ended well has printed."""
    done = bake(machine, install, **files)
    assert machine.result["result"] == "ok", (machine.result, done.stderr)
    return done.stdout


def message(machine: Machine) -> str:
    assert machine.result["result"] == "failed"
    return str(machine.result["error"]["message"])


# Helpers


def test_a_helper_beside_install_runs_where_dpkg_runs_its_own(machine: Machine) -> None:
    """Debian mounts /run noexec, hardened images /tmp too; dpkg executes below /var/lib."""
    files = {"install.sh.j2": "./setup\npwd\n", "setup": "#!/bin/bash\necho helper ran\n"}
    out = machine.bake(rendered_app(files)).stdout
    assert "helper ran" in out
    assert f"{machine.root}/var/lib/bakehouse/payload/recipe" in out
    assert not (machine.root / "var/lib/bakehouse/payload").exists(), "the image has none of it"


def test_a_failed_builder_keeps_the_payload_for_whoever_looks(machine: Machine) -> None:
    bake(machine, "false\n")
    assert (machine.root / "var/lib/bakehouse/payload/recipe/install.sh").exists()


@pytest.mark.parametrize(
    ("options", "folder"), [("rw,nosuid,noexec,relatime", "var/lib/bakehouse/tmp"), ("rw", "")]
)
def test_temporary_files_may_be_executed(machine: Machine, options: str, folder: str) -> None:
    machine.stub("findmnt", f"echo {options}")
    out = baked(machine, 'echo "tmp=${TMPDIR-}"\n')
    assert f"tmp={machine.root / folder if folder else ''}\n" in out
    assert not (machine.root / "var/lib/bakehouse/tmp").exists()


@pytest.mark.parametrize("options", ["rw,noexec", "rw"])
def test_a_smoke_test_may_execute_what_it_writes(machine: Machine, options: str) -> None:
    test = (
        "printf '#!/bin/sh\\necho fine' >helper; chmod +x helper\n"
        'check "a helper" "hint" ./helper\npwd; echo "tmp=${TMPDIR-}"\n'
    )
    machine.stub("findmnt", f"echo {options}")
    rendered = rendered_app({"install.sh.j2": "true\n", "smoke_test.sh": test})
    machine.bake(rendered)
    machine.become("smoke")
    machine.boot()
    out = machine.smoke(rendered).stdout
    assert machine.result["result"] == "ok", machine.result
    place = machine.root / "var/lib/bakehouse/smoke"
    assert f"{place}\n" in out
    assert f"tmp={place / 'tmp' if 'noexec' in options else ''}\n" in out


# Nothing asks

CONFFILE = """mkdir -p deb/DEBIAN deb/etc var/lib/dpkg/{info,updates,triggers} etc home
touch var/lib/dpkg/status
printf '%s\\n' 'Package: tool' 'Version: 1.0' 'Architecture: all' 'Maintainer: A <a@b.c>' \\
  'Description: x' >deb/DEBIAN/control
echo /etc/tool.conf >deb/DEBIAN/conffiles
echo theirs=1 >deb/etc/tool.conf
dpkg-deb --build deb tool.deb
echo ours=1 >etc/tool.conf
# stands for /etc/dpkg/dpkg.cfg.d, which is the host's here
cp etc/dpkg/dpkg.cfg.d/bakehouse home/.dpkg.cfg
HOME=$PWD/home dpkg --root="$PWD" --force-not-root --force-script-chrootless --log=dpkg.log \\
  -i tool.deb
cat etc/tool.conf
"""


def test_dpkg_keeps_a_configuration_file_without_asking(machine: Machine) -> None:
    assert "\nours=1\n" in baked(machine, CONFFILE)


def test_what_asks_is_told_not_to(machine: Machine) -> None:
    out = baked(machine, "env\ncat etc/apt/apt.conf.d/99bakehouse etc/dpkg/dpkg.cfg.d/bakehouse\n")
    assert {
        "DEBIAN_FRONTEND=noninteractive",
        "UCF_FORCE_CONFFOLD=1",
        "NEEDRESTART_SUSPEND=1",
        "APT_LISTCHANGES_FRONTEND=none",
        "APT_LISTBUGS_FRONTEND=none",
        "PAGER=cat",
        "GIT_TERMINAL_PROMPT=0",
        "PIP_NO_INPUT=1",
        "CLOUDSDK_CORE_DISABLE_PROMPTS=1",
        'APT::Update::Error-Mode "any";',
        "force-confdef",
        "force-confold",
    } <= set(out.splitlines())


@pytest.mark.parametrize(("others", "starts"), [((), False), (("20listchanges",), True)])
def test_debconf_alone_is_not_started_before_packages_are_unpacked(
    machine: Machine, others: tuple[str, ...], starts: bool
) -> None:
    """What else a base has there is its owner's."""
    folder = machine.root / "etc/apt/apt.conf.d"
    folder.mkdir(parents=True)
    for name in ("70debconf", *others):
        (folder / name).write_text('DPkg::Pre-Install-Pkgs {"a-hook";};\n')
    out = baked(machine, "cat etc/apt/apt.conf.d/99bakehouse\n")
    assert ("#clear DPkg::Pre-Install-Pkgs;" in out) is not starts


def test_children_without_our_environment_are_told_too_and_the_image_is_not(
    machine: Machine,
) -> None:
    """`sudo`, `su -`, `env -i`: debconf has it in its own file."""
    debconf = machine.root / "etc/debconf.conf"
    theirs = "# See debconf.conf(5)\nConfig: configdb\nTemplates: templatedb\n\nName: config\n"
    debconf.write_text(theirs)
    (machine.root / "etc/sudoers.d").mkdir()
    out = baked(machine, "cat etc/debconf.conf etc/sudoers.d/bakehouse\n")
    assert "Config: configdb\nFrontend: noninteractive\nTemplates: templatedb\n" in out
    assert 'Defaults env_keep += "DEBIAN_FRONTEND DEBCONF_NONINTERACTIVE_SEEN' in out
    assert debconf.read_text() == theirs
    assert list((machine.root / "etc/sudoers.d").iterdir()) == []


def test_a_frontend_of_the_base_stays(machine: Machine) -> None:
    debconf = machine.root / "etc/debconf.conf"
    debconf.write_text("Config: configdb\nFrontend: noninteractive\nTemplates: templatedb\n")
    baked(machine, "true\n")
    assert "Frontend: noninteractive" in debconf.read_text()


# Names

HOOK = "sh -c \"$(sed -n 's/^post-invoke=//p' etc/dpkg/dpkg.cfg.d/bakehouse)\"\n"  # as dpkg runs it
SHOW = 'echo "names: $(grep nameserver etc/resolv.conf)"\n'


@pytest.fixture
def names(machine: Machine) -> Path:
    file = machine.root / "etc/resolv.conf"
    file.write_text(WORKING)
    return file


@pytest.mark.parametrize(
    "link", [STUB_LINK, "../run/systemd/resolve/resolv.conf", "../run/resolvconf/resolv.conf"]
)
def test_names_resolve_at_once_when_a_package_takes_resolv_conf_over(
    machine: Machine, names: Path, link: str
) -> None:
    """systemd-resolved and resolvconf link to what they write once they run, which is at boot."""
    out = baked(machine, f"ln -sf {link} etc/resolv.conf\n{SHOW}")
    assert "names: nameserver 169.254.169.254" in out
    assert str(names.readlink()) == link, "the image has what the package wants"


def test_names_resolve_after_dpkg_where_a_link_leads_nowhere(machine: Machine, names: Path) -> None:
    link = "../run/NetworkManager/resolv.conf"
    out = baked(machine, f"ln -sf {link} etc/resolv.conf\n{HOOK}{SHOW}")
    assert "names: nameserver 169.254.169.254" in out
    assert str(names.readlink()) == link


@pytest.mark.long
@pytest.mark.parametrize(
    "theirs", ["nameserver 127.0.0.1\n", "# written at boot\n", "nameserver ::1\n", ""]
)
def test_a_file_of_a_package_is_put_back_at_the_end(
    machine: Machine, names: Path, theirs: str
) -> None:
    """unbound, dnsmasq: their server starts at boot."""
    out = baked(machine, f"printf '{theirs}' >etc/resolv.conf\n{HOOK}{SHOW}")
    assert "names: nameserver 169.254.169.254" in out
    assert names.read_text() == theirs


def test_a_link_to_the_disk_is_put_back_at_the_end(machine: Machine, names: Path) -> None:
    out = baked(machine, f"ln -sf resolvconf/none etc/resolv.conf\n{HOOK}{SHOW}")
    assert "names: nameserver 169.254.169.254" in out
    assert str(names.readlink()) == "resolvconf/none"


def test_a_file_that_was_removed_stays_removed(machine: Machine, names: Path) -> None:
    out = baked(machine, f"rm etc/resolv.conf\n{HOOK}{SHOW}")
    assert "names: nameserver 169.254.169.254" in out
    assert not names.exists()


@pytest.mark.parametrize(
    "server", ["nameserver 10.0.0.2\n", "nameserver 127.0.0.53\nnameserver 10.0.0.2\n"]
)
def test_names_that_resolve_are_left_alone(machine: Machine, names: Path, server: str) -> None:
    baked(machine, f"printf '{server}' >etc/resolv.conf\n{HOOK}")
    assert names.read_text() == server


@pytest.mark.usefixtures("names")
def test_a_server_that_runs_on_the_builder_is_left_alone(machine: Machine) -> None:
    (machine.root / "proc/net").mkdir()
    line = "  812: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 0 0 0 23 2 x 0\n"
    (machine.root / "proc/net/udp").write_text(line)
    out = baked(machine, f"echo nameserver 127.0.0.1 >etc/resolv.conf\n{HOOK}{SHOW}")
    assert "names: nameserver 127.0.0.1\n" in out


def test_what_has_replaced_the_file_of_a_package_stays(machine: Machine, names: Path) -> None:
    later = "echo nameserver 10.0.0.9 >etc/resolv.conf\n"
    baked(machine, f"echo nameserver 127.0.0.1 >etc/resolv.conf\n{HOOK}{later}{HOOK}")
    assert names.read_text() == "nameserver 10.0.0.9\n"


def test_a_base_with_a_resolver_of_its_own_may_lose_it(machine: Machine, names: Path) -> None:
    """Ubuntu's images: the servers behind the stub are known while it runs."""
    folder = machine.root / "run/systemd/resolve"
    folder.mkdir(parents=True)
    names.unlink()
    names.symlink_to(STUB_LINK)
    (folder / "stub-resolv.conf").write_text("nameserver 127.0.0.53\n")
    (folder / "resolv.conf").write_text("nameserver 10.1.1.1\n")
    out = baked(machine, f"rm -r run/systemd/resolve\n{HOOK}{SHOW}")
    assert "names: nameserver 10.1.1.1\n" in out


def test_an_image_whose_names_nobody_takes_over_keeps_its_file(
    machine: Machine, names: Path
) -> None:
    baked(machine, HOOK)
    assert names.read_text() == WORKING


# The kernel


def kernels(machine: Machine, *releases: str) -> None:
    (machine.root / "boot").mkdir()
    for release in releases:
        (machine.root / f"boot/vmlinuz-{release}").touch()
        (machine.root / f"lib/modules/{release}").mkdir(parents=True)


def test_install_knows_the_kernel_that_the_image_boots(machine: Machine) -> None:
    kernels(machine, "6.1.0-9-cloud-amd64", "6.1.0-41-cloud-amd64")
    machine.stub("uname", "echo 6.1.0-9-cloud-amd64")
    assert "kernel=6.1.0-41-cloud-amd64\n" in baked(machine, 'echo "kernel=$BAKEHOUSE_KERNEL"\n')


def test_a_machine_without_a_kernel_of_its_own_has_the_one_that_runs(machine: Machine) -> None:
    machine.stub("uname", "echo 6.1.0-9-cloud-amd64")
    assert "kernel=6.1.0-9-cloud-amd64\n" in baked(machine, 'echo "kernel=$BAKEHOUSE_KERNEL"\n')


@pytest.mark.parametrize(
    ("built", "warned"),
    [
        ("lib/modules/$(uname -r)/updates/zfs.ko", True),
        ("lib/modules/$(uname -r)/extra/wireguard.ko.xz", True),
        ("lib/modules/$BAKEHOUSE_KERNEL/updates/zfs.ko", False),
        ("lib/modules/{$(uname -r),$BAKEHOUSE_KERNEL}/zfs.ko", False),
    ],
)
def test_a_module_for_the_kernel_that_runs_only_is_warned_of(
    machine: Machine, built: str, warned: bool
) -> None:
    kernels(machine, "6.1.0-9-cloud-amd64", "6.1.0-41-cloud-amd64")
    machine.stub("uname", "echo 6.1.0-9-cloud-amd64")
    install = f"eval 'for f in {built}; do mkdir -p ${{f%/*}}; : >$f; done'\n"
    out = baked(machine, install)
    assert ("has built the module" in out) is warned
    assert ("build it for $BAKEHOUSE_KERNEL, 6.1.0-41-cloud-amd64" in out) is warned


def test_headers_of_the_kernel_that_runs_have_left_the_archive(machine: Machine) -> None:
    machine.stub("uname", "echo 6.1.0-9-cloud-amd64")
    bake(machine, 'echo "E: Unable to locate package linux-headers-$(uname -r)" >&2\nexit 100\n')
    assert "write $BAKEHOUSE_KERNEL" in message(machine)


# Services

RUNNING = 'case "$1" in is-active) exit "${RUNS-3}" ;; *list-unit-files*) ;; esac'


def service_calls(machine: Machine) -> list[str]:
    found = [call for call in machine.calls if "postgresql" in call or "load" in call]
    return [call for call in found if "enable" not in call and "disable" not in call]


def test_a_service_runs_for_the_time_of_a_command(machine: Machine) -> None:
    machine.stub("systemctl", RUNNING)
    machine.stub("createdb", "")
    baked(machine, "with_service postgresql createdb app\n")
    calls = machine.changes  # what is told beside the install may wait in between
    first = calls.index("systemctl start postgresql")
    assert calls[first : first + 3] == [
        "systemctl start postgresql",
        "createdb app",
        "systemctl stop postgresql",
    ]
    assert "systemctl daemon-reload" in calls[:first]


def test_a_service_that_runs_already_stays(machine: Machine) -> None:
    machine.stub("systemctl", RUNNING)
    baked(machine, "export RUNS=0\nwith_service ssh true\n")
    assert not {"systemctl start ssh", "systemctl stop ssh"} & set(machine.calls)


def test_a_command_that_fails_with_a_service_is_named(machine: Machine) -> None:
    machine.stub("systemctl", RUNNING)
    bake(machine, "true\nwith_service postgresql ls /nowhere\n")
    error = machine.result["error"]
    assert (error["script"], error["line"]) == ("install.sh", 3)
    assert error["command"] == "with_service postgresql ls /nowhere"
    assert (error["exit_code"], "cannot access" in error["message"]) == (2, True)


def test_a_function_that_fails_with_a_service_is_named_by_its_own_line(machine: Machine) -> None:
    machine.stub("systemctl", RUNNING)
    bake(machine, "load() {\n  false\n  true\n}\nwith_service postgresql load\n")
    error = machine.result["error"]
    assert (error["script"], error["line"], error["command"]) == ("install.sh", 3, "false")


def test_a_command_that_may_fail_stops_the_service_all_the_same(machine: Machine) -> None:
    machine.stub("systemctl", RUNNING)
    baked(machine, 'with_service postgresql false || echo "code $?"\n')
    assert "systemctl stop postgresql" in machine.calls


def test_a_service_that_does_not_start_is_told_with_its_status(machine: Machine) -> None:
    body = 'case "$*" in is-active*|start*) exit 3 ;; *status*) echo "no such port"; exit 3 ;; esac'
    machine.stub("systemctl", body)
    bake(machine, "with_service postgresql createdb app\n")
    error = machine.result["error"]
    assert (error["script"], error["line"]) == ("install.sh", 2)
    assert error["command"] == "with_service postgresql createdb app"
    assert "no such port" in error["message"]


# Causes


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("tar: x: Cannot write: No space left on device", "raise builder.disk_gb"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "builder.disk_gb"),
        (
            "E: Failed to fetch http://x/p.deb  Hash Sum mismatch",
            "files that do not fit its index",
        ),
        ("E: Failed to fetch http://x/p.deb  File has unexpected size", "do not fit its index"),
        (
            "E: Release file for http://x/dists/s/InRelease is not valid yet (invalid for another"
            " 2h 3min 4s).",
            "the clock of the machine is behind",
        ),
        ("curl: (60) SSL certificate problem: certificate is not yet valid", "the clock of the"),
        (
            "W: GPG error: http://x/debian old InRelease: The following signatures were invalid:"
            " EXPKEYSIG 0123456789ABCDEF A <a@example.org>",
            "the apt source old of http://x/debian cannot be used",
        ),
        (
            "E: The repository 'http://x/debian old Release' does not have a Release file.",
            "mend it in prepare.sh.j2, which runs before the first update",
        ),
        (
            "W: GPG error: https://x/r ./ InRelease: The following signatures couldn't be verified"
            " because the public key is not available: NO_PUBKEY 0123456789ABCDEF",
            "the apt source ./ of https://x/r cannot be used",
        ),
        (
            "E: Failed to fetch http://x/a.deb  Temporary failure resolving 'x'",
            "builder.external_ip",
        ),
        ("curl: (6) Could not resolve host: example.org", "builder.external_ip"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "builder.machine_type"),
        ("OpenJDK: Cannot allocate memory (errno=12)", "builder.machine_type"),
        ("error of its own", ""),
    ],
)
def test_the_cause_of_a_failed_install_is_named_with_its_remedy(
    machine: Machine, said: str, remedy: str
) -> None:
    (machine.root / "said").write_text(f"{said}\n")
    bake(machine, "cat said\nexit 1\n")
    first, *rest = message(machine).splitlines()
    assert remedy in first
    assert [first, *rest][-1] == said
    assert bool(rest) is bool(remedy)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 9 ext4 /", "no space is left on /: raise builder.disk_gb"),
        ("5 9 tmpfs /tmp", "/tmp is full: it is in memory"),
        ("9999 0 ext4 /", "/ has no inodes left"),
    ],
)
def test_a_full_disk_is_seen_where_no_program_names_it(
    machine: Machine, line: str, said: str
) -> None:
    machine.stub("df", f"printf 'Avail IFree Type Mounted\\n99999 99999 ext4 /\\n{line}\\n'")
    bake(machine, "echo short write >&2\nexit 1\n")
    assert message(machine).startswith(said)


def test_a_full_disk_does_not_hide_that_the_install_has_failed(machine: Machine) -> None:
    """The result cannot be written onto the disk then."""
    result = "var/lib/bakehouse/result"
    bake(machine, f"rm {result}; mkdir {result}\necho No space left on device >&2\nexit 1\n")
    error = machine.result["error"]
    assert (error["script"], error["line"]) == ("install.sh", 4)
    assert sum("result" in line for line in machine.said) == 1


def test_what_was_killed_for_memory_is_no_exceeded_deadline(machine: Machine) -> None:
    bake(machine, "kill -9 $$\n")
    assert "choose a larger builder.machine_type" in message(machine)
