"""Archives of the bake script, read by the real apt-get: what half fails never ends as an image."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bakehouse.history import manifest
from bakehouse.updates import mirror_list

from .archives import INDEX, Archive, deb, use
from .conftest import Machine, rendered_app

REMEDY = "mend it in prepare.sh.j2, which runs before the first update"


def bake(machine: Machine, **files: str) -> dict[str, Any]:
    """The result of a bake with these scripts."""
    scripts = {f"{name}.sh.j2": text for name, text in {"install": "true\n", **files}.items()}
    machine.bake(rendered_app(scripts))
    return machine.result


def test_sources_that_answer(machine: Machine, archive: Archive) -> None:
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    assert bake(machine)["result"] == "ok"
    assert len(machine.updates) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("security/", 503),
        ("security/", 500),
        ("security/", 403),
        (f"security/{INDEX}", 503),
        (f"security/{INDEX}", 404),
    ],
)
def test_a_suite_that_does_not_answer_is_tried_again_and_then_named(
    machine: Machine, archive: Archive, path: str, code: int
) -> None:
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    archive.answer(path, code)
    result = bake(machine)
    assert result["result"] == "failed"
    assert result["error"]["script"] == "apt-get update"
    assert result["error"]["exit_code"] == 100
    assert f"security of {archive.url}" in result["error"]["message"]
    assert "prepare.sh.j2" in result["error"]["message"]
    assert len(machine.updates) == 4
    pauses = [call for call in machine.calls if call.startswith("sleep ") and "." not in call]
    assert pauses == ["sleep 5", "sleep 20", "sleep 60"]
    assert not [call for call in machine.calls if "upgrade" in call]


def test_a_server_that_is_gone_is_named(machine: Machine, archive: Archive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    use(machine, deb(archive, "stable"), f"deb [trusted=yes] http://127.0.0.1:{port}/x security m")
    error = bake(machine)["error"]
    assert f"http://127.0.0.1:{port}/x/dists/security/InRelease" in error["message"]
    assert "builder.external_ip" in error["message"]


@pytest.mark.parametrize("path", ["security/", f"security/{INDEX}"])
def test_a_suite_that_answers_in_the_end_is_enough(
    machine: Machine, archive: Archive, path: str
) -> None:
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    archive.answer(path, 503)
    archive.mended = machine.root / "mended"
    (machine.stubs / "sleep").write_text(f"#!/bin/bash\n[[ $1 != 20 ]] || touch {archive.mended}\n")
    assert bake(machine)["result"] == "ok"
    assert len(machine.updates) == 3


def test_an_apt_that_only_warns_is_not_believed(machine: Machine) -> None:
    """As before 2.1, which does not know APT::Update::Error-Mode."""
    warning = "W: Failed to fetch http://x/dists/security/InRelease  503  Service Unavailable"
    machine.stub("apt-get", f'echo "{warning}" >&2')
    error = bake(machine)["error"]
    assert (error["script"], error["exit_code"]) == ("apt-get update", 100)
    assert warning in error["message"]


def test_a_package_that_the_archive_has_replaced_meanwhile_is_looked_for_again(
    machine: Machine,
) -> None:
    said = "E: Failed to fetch http://x/pool/a.deb  404  Not Found"
    machine.stub(
        "apt-get",
        'tries=$(grep -c upgrade "$CALLS")\n'
        f'if [[ $* == *upgrade* && $tries -lt 3 ]]; then echo "{said}"; exit 100; fi',
    )
    assert bake(machine)["result"] == "ok"
    assert len(machine.updates) == 3


def test_an_upgrade_that_breaks_on_the_machine_is_not_tried_again(machine: Machine) -> None:
    said = "E: Sub-process /usr/bin/dpkg returned an error code (1)"
    machine.stub("apt-get", f'[[ $* != *upgrade* ]] || {{ echo "{said}"; exit 100; }}')
    error = bake(machine)["error"]
    assert (error["script"], error["message"]) == ("apt-get upgrade", said)
    assert sum("upgrade" in call for call in machine.calls) == 1


LEFT = 'sed -i /backports/d "$BAKEHOUSE_ROOT/etc/apt/sources.list"\n'


@pytest.mark.parametrize("options", ["trusted=yes", "arch=amd64"])
def test_a_suite_that_has_left_the_archive_is_named_with_the_remedy(
    machine: Machine, archive: Archive, options: str
) -> None:
    use(machine, deb(archive, "stable"), deb(archive, "stable-backports", options))
    message = bake(machine)["error"]["message"]
    assert f"the apt source stable-backports of {archive.url} cannot be used" in message
    assert REMEDY in message


def test_prepare_mends_the_sources_of_the_base(machine: Machine, archive: Archive) -> None:
    use(machine, deb(archive, "stable"), deb(archive, "stable-backports"))
    assert bake(machine, prepare=LEFT)["result"] == "ok"
    assert len(machine.updates) == 1


def test_a_release_that_has_expired_is_named_and_mended(machine: Machine, archive: Archive) -> None:
    archive.publish("security", Valid_Until=datetime.now(UTC) - timedelta(days=1))
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    message = bake(machine)["error"]["message"]
    assert "/debian/dists/security/" in message
    assert "expired" in message
    assert REMEDY in message


def test_prepare_accepts_an_expired_release(machine: Machine, archive: Archive) -> None:
    archive.publish("security", Valid_Until=datetime.now(UTC) - timedelta(days=1))
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    mend = 'sed -i "s/trusted=yes/& check-valid-until=no/" "$BAKEHOUSE_ROOT/etc/apt/sources.list"\n'
    assert bake(machine, prepare=mend)["result"] == "ok"


def test_a_suite_that_nobody_has_signed_is_named(machine: Machine, archive: Archive) -> None:
    use(machine, deb(archive, "stable"), deb(archive, "security", "trusted=no"))
    message = bake(machine)["error"]["message"]
    assert f"the apt source security of {archive.url} cannot be used" in message
    assert REMEDY in message


def test_an_index_that_does_not_fit_its_release(machine: Machine, archive: Archive) -> None:
    archive.publish("security", digest="0" * 64)
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    message = bake(machine)["error"]["message"]
    assert "files that do not fit its index" in message
    assert "/dists/security/" in message


def test_a_clock_that_is_behind(machine: Machine, archive: Archive) -> None:
    archive.publish("security", Date=datetime.now(UTC) + timedelta(hours=2))
    use(machine, deb(archive, "stable"), deb(archive, "security"))
    message = bake(machine)["error"]["message"]
    assert "the clock of the machine is behind" in message
    assert "is not valid yet" in message


def test_an_update_of_install_itself_fails_as_a_whole_too(
    machine: Machine, archive: Archive
) -> None:
    use(machine, deb(archive, "stable"))
    install = (
        f"echo '{deb(archive, 'added')}' >>\"$BAKEHOUSE_ROOT/etc/apt/sources.list\"\n"
        "apt-get update\necho reached\n"
    )
    archive.answer("added/", 503)
    error = bake(machine, install=install)["error"]
    assert (error["script"], error["line"], error["command"]) == ("install.sh", 2, "apt-get update")


def test_mistakes_in_prepare_are_named_as_those_of_install(machine: Machine) -> None:
    error = bake(machine, prepare="true\nset -o pipefail\nls /nowhere\n")["error"]
    assert (error["script"], error["line"], error["command"]) == ("prepare.sh", 3, "ls /nowhere")
    assert "cannot access" in error["message"]
    assert not [call for call in machine.calls if call.startswith("apt-get")]


MIRRORS = """# ours
http://jo:secret@one.example/debian/\tpriority:1 type:index

https://two.example/debian
"""


def test_the_manifest_has_the_lines_of_mirror_lists(machine: Machine, archive: Archive) -> None:
    """What the worker asks then is what apt has asked."""
    use(machine)
    mirrors = machine.root / "etc/apt/mirrors/debian.list"
    mirrors.write_text(f"# all\n\n{archive.url}\tpriority:2\r\n")
    (machine.root / "etc/apt/sources.list.d/debian.sources").write_text(
        f"Types: deb\nURIs: mirror+file://{mirrors}\nSuites: stable security\n"
        "Components: main\nTrusted: yes\n"
    )
    assert bake(machine)["result"] == "ok"
    told = manifest.decode(machine.guest_attributes["manifest"])
    uri = "mirror+file:/etc/apt/mirrors/debian.list"
    assert [tuple(source) for source in told.sources or ()] == [
        (uri, "security", "main"),
        (uri, "stable", "main"),
    ]
    assert told.mirrors == (manifest.Mirror(uri, archive.url, "priority:2"),)
    assert mirror_list.indexes_of(told.mirrors, frozenset({"amd64"})) == [archive.url]


@pytest.mark.parametrize(
    "uri", ["mirror+file:/etc/apt/mirrors/x", "mirror+copy:/etc/apt/mirrors/x"]
)
def test_a_password_in_a_mirror_list_stays_on_the_machine(machine: Machine, uri: str) -> None:
    (machine.root / "sources").write_text(f"source\t{uri}\tstable\tmain\n")
    (machine.root / "etc/apt/mirrors").mkdir(parents=True)
    (machine.root / "etc/apt/mirrors/x").write_text(MIRRORS)
    bake(machine)
    assert manifest.decode(machine.guest_attributes["manifest"]).mirrors == (
        manifest.Mirror(uri, "http://one.example/debian/", "priority:1 type:index"),
        manifest.Mirror(uri, "https://two.example/debian", ""),
    )


def test_a_mirror_list_that_is_gone_leaves_the_manifest_whole(machine: Machine) -> None:
    sources = "source\tmirror+file:/etc/apt/mirrors/gone\tstable\tmain\n"
    (machine.root / "sources").write_text(sources)
    assert bake(machine)["result"] == "ok"
    told = manifest.decode(machine.guest_attributes["manifest"])
    assert (len(told.sources or ()), told.mirrors) == (1, ())


def test_a_mirror_list_that_apt_cannot_find_is_named(machine: Machine, archive: Archive) -> None:
    use(machine, deb(archive, "stable"), "deb mirror+file:/nowhere/debian.list security main")
    message = bake(machine)["error"]["message"]
    assert "the apt source security of mirror+file:/nowhere/debian.list cannot be used" in message
    assert REMEDY in message


@pytest.mark.parametrize("kept", [True, False])
def test_a_base_for_others_keeps_lists_and_cache_and_no_packages(
    machine: Machine, *, kept: bool
) -> None:
    known = ("lib/apt/lists/x_InRelease", "cache/apt/srcpkgcache.bin", "cache/apt/pkgcache.bin")
    package = machine.root / "var/cache/apt/archives/app_1_amd64.deb"
    install = (
        'cd "$BAKEHOUSE_ROOT/var"; mkdir -p lib/apt/lists cache/apt/archives\n'
        f"touch {' '.join(known)}\n"
    )
    if kept:  # otherwise `apt-get clean`, a stub here, deletes it
        install += f"touch {package}\n"
    machine.bake(rendered_app({"install.sh.j2": install}, image={"keep_package_lists": kept}))
    assert machine.result["result"] == "ok"
    assert ("apt-get clean" in machine.calls) is not kept
    assert [name for name in known if (machine.root / "var" / name).exists()] == (
        list(known) if kept else []
    )
    assert not package.exists()
