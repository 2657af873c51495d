"""An install in parts, and the layers that local builds keep after each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bakehouse.history import manifest

from .conftest import POWER_OFF, rendered_app

if TYPE_CHECKING:
    from .conftest import Machine

PARTS = {
    "install.d/20-app.sh.j2": 'cat files/app >>"$BAKEHOUSE_ROOT/installed"\n',
    "install.d/10-base.sh.j2": 'echo base >>"$BAKEHOUSE_ROOT/installed"\n',
    "files/app": "app\n",
    "files/other": "nobody reads it\n",
    "templates/etc/app.conf.j2": "a\n",
    "health": "true\n",
}


def installed(machine: Machine) -> list[str]:
    file = machine.root / "installed"
    return file.read_text().splitlines() if file.exists() else []


def test_parts_run_in_order_and_each_is_a_stage(machine: Machine) -> None:
    done = machine.bake(rendered_app(PARTS))

    assert done.returncode == 0, done.stderr
    assert installed(machine) == ["base", "app"]
    assert [line["stage"] for line in machine.said if "stage" in line] == [
        "boot",
        "install",
        "install install.d/10-base.sh",
        "install install.d/20-app.sh",
        "generalise",
    ]
    assert "layer" not in machine.guest_attributes, "a bake of the DAG keeps none"


def test_a_part_that_fails_is_named_with_its_line_and_no_later_one_runs(machine: Machine) -> None:
    parts = {**PARTS, "install.d/10-base.sh.j2": "true\nfalse # here\n"}

    machine.bake(rendered_app(parts))

    error = machine.result["error"]
    assert (error["script"], error["line"], error["command"]) == ("10-base.sh", 2, "false")
    assert installed(machine) == []


def test_a_layer_is_gone_on_from_after_the_parts_that_it_has(machine: Machine) -> None:
    machine.attributes["bakehouse-installed-parts"] = "1"

    done = machine.bake(rendered_app(PARTS))

    assert done.returncode == 0, done.stderr
    assert installed(machine) == ["app"]
    assert not any(" update" in f" {call}" for call in machine.calls if "apt-get" in call)
    assert machine.result["result"] == "ok"


def test_a_layer_with_the_whole_install_runs_none_of_it(machine: Machine) -> None:
    machine.attributes["bakehouse-installed-parts"] = "2"

    machine.bake(rendered_app(PARTS, services=["app"]))

    assert installed(machine) == []
    assert machine.result["result"] == "ok"
    assert (machine.root / "usr/lib/bakehouse/templates/etc/app.conf.j2").exists()
    assert "systemctl disable --no-reload --now app" in machine.calls


def test_a_kept_layer_is_told_with_the_files_that_its_parts_have_read(machine: Machine) -> None:
    machine.attributes |= {
        "bakehouse-installed-parts": "1",
        "bakehouse-keeps-layers": "TRUE",
        "bakehouse-layer-kept": "2",
    }

    machine.bake(rendered_app(PARTS))

    number, *reads = machine.guest_attributes["layer"].split("\n")
    assert number == "2"
    if reads != ["*"]:  # the tests' own disk may be mounted noatime
        assert sorted(filter(None, reads)) == ["files/app", "install.d/20-app.sh"]
    assert machine.result["result"] == "ok"
    assert not (machine.root / "etc/apt/apt.conf.d/99bakehouse").exists()
    kept = machine.root / "var/lib/bakehouse"
    assert sorted(path.name for path in kept.iterdir()) == ["identity", "result"]


ENABLED = "etc/systemd/system/multi-user.target.wants/app.service"
ENABLING = f'ln -s /lib/systemd/system/app.service "$BAKEHOUSE_ROOT/{ENABLED}"\n'


@pytest.mark.long
def test_what_an_install_has_enabled_does_not_start_from_its_layer(machine: Machine) -> None:
    machine.attributes["bakehouse-keeps-layers"] = "TRUE"
    machine.meanwhile(
        'ls -R "$BAKEHOUSE_ROOT/etc/systemd/system" >"$BAKEHOUSE_ROOT/seen.new"\n'
        'mv -n "$BAKEHOUSE_ROOT/seen.new" "$BAKEHOUSE_ROOT/seen"'
    )

    machine.bake(rendered_app({"install.sh.j2": ENABLING, "health": "true\n"}))

    seen = (machine.root / "seen").read_text()
    assert "ssh.service" in seen, "what its base starts"
    assert "app.service" not in seen, "while the layer is kept"
    assert (machine.root / ENABLED).is_symlink(), "afterwards it is as the install has left it"
    assert machine.result["result"] == "ok"


def test_a_builder_from_a_layer_has_again_what_the_install_has_enabled(machine: Machine) -> None:
    kept = machine.root / "var/lib/bakehouse"
    kept.mkdir(parents=True)
    link = machine.root / "etc/rc2.d/S01app"
    (kept / "starts").write_text(
        f"{machine.root / ENABLED}\t/lib/systemd/system/app.service\n{link}\t../init.d/app\n"
    )
    machine.attributes["bakehouse-installed-parts"] = "2"

    machine.bake(rendered_app(PARTS))

    assert (machine.root / ENABLED).readlink().name == "app.service"
    assert link.readlink().as_posix() == "../init.d/app"
    assert not (kept / "starts").exists()


def test_a_layer_with_the_whole_install_tells_the_packages_that_it_had(machine: Machine) -> None:
    kept = machine.root / "var/lib/bakehouse"
    kept.mkdir(parents=True)
    (kept / "packages").write_text("nginx\t1.0\tamd64\n")
    (kept / "passed_over").write_text("")
    (kept / "sources-of-image").write_text("source\thttp://layer.example\tbookworm\tmain\n")
    machine.attributes["bakehouse-installed-parts"] = "2"

    machine.bake(rendered_app(PARTS))

    told = manifest.decode(machine.guest_attributes["manifest"])
    assert told.packages == (manifest.Package("nginx", "1.0", "amd64"),)
    assert told.sources == (manifest.Source("http://layer.example", "bookworm", "main"),)
    assert not (kept / "packages").exists(), "no image has them"


def test_what_starts_by_itself_is_told_with_what_stands_behind_an_alias(machine: Machine) -> None:
    system = machine.root / "etc/systemd/system"
    for link, target in {
        "multi-user.target.wants/app.service": "/lib/systemd/system/app.service",
        "getty.target.wants/getty@tty1.service": "/lib/systemd/system/getty@.service",
        "sockets.target.wants/app.socket": "/lib/systemd/system/app.socket",
        "dm.service": "/lib/systemd/system/lightdm.service",
        "masked.service": "/dev/null",
        "linked.service": "/opt/linked.service",
    }.items():
        (system / link).parent.mkdir(parents=True, exist_ok=True)
        (system / link).symlink_to(target)

    machine.bake(rendered_app({"install.sh.j2": "true\n", "health": "true\n"}))

    told = manifest.decode(machine.guest_attributes["manifest"])
    assert told.files.enabled == (
        "app.service",
        "getty@.service",
        "lightdm.service",
        "ssh.service",
    )


def test_what_an_earlier_builder_has_unpacked_into_a_layer_is_not_taken(machine: Machine) -> None:
    stale = machine.root / "var/lib/bakehouse/payload/recipe/templates/etc/old.conf"
    stale.parent.mkdir(parents=True)
    stale.write_text("old\n")
    (machine.root / "var/lib/bakehouse/starts").touch()
    machine.attributes["bakehouse-installed-parts"] = "2"

    machine.bake(rendered_app(PARTS))

    assert not (machine.root / "usr/lib/bakehouse/templates/etc/old.conf").exists()


def test_a_builder_that_is_to_stay_does_not_power_off_when_its_install_fails(
    machine: Machine,
) -> None:
    machine.attributes["bakehouse-on-failure"] = "stay"

    machine.bake(rendered_app({**PARTS, "install.d/10-base.sh.j2": "false\n"}))

    assert machine.result["result"] == "failed"
    assert POWER_OFF not in machine.calls
    assert (machine.root / "var/lib/bakehouse/payload/recipe/files/app").exists()


def test_a_builder_that_is_kept_powers_off_once_and_stays_when_somebody_starts_it(
    machine: Machine,
) -> None:
    machine.attributes["bakehouse-on-failure"] = "power-off-once"
    broken = rendered_app({**PARTS, "install.d/10-base.sh.j2": "false\n"})

    machine.bake(broken)
    assert machine.calls.count(POWER_OFF) == 1
    machine.bake(broken)

    assert machine.calls.count(POWER_OFF) == 1, "it stays for whoever looks at it"
    assert installed(machine) == []


def test_a_builder_that_is_to_stay_powers_off_when_its_install_is_right(machine: Machine) -> None:
    machine.attributes["bakehouse-on-failure"] = "stay"

    machine.bake(rendered_app(PARTS))

    assert machine.calls[-1] == POWER_OFF
