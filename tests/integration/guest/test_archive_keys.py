"""Keys of archives on a builder, by the real apt-get and gpgv: collected once, with equal trust."""

from __future__ import annotations

import shutil
import subprocess
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from .archives import Archive, Key, deb, use
from .conftest import Machine, rendered_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    shutil.which("apt-key") is None, reason="this apt verifies without apt-key"
)
COLLECTED = "Dir::Bin::apt-key="


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[Key, Key]]:
    """Two archives' keys."""
    with TemporaryDirectory(prefix="keys-") as home:  # short: gpg's agent has a socket there
        made = Key(home, "one@example.org"), Key(home, "two@example.org")
        for key in made:
            key.make()
        yield made
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def trusted(machine: Machine) -> Path:
    return machine.root / "etc/apt/trusted.gpg.d"


def bake(machine: Machine) -> dict[str, Any]:
    """Its result; apt-key is the real one, which is written down."""
    machine.stub("apt-key", f'exec {shutil.which("apt-key")} "$@"')
    machine.bake(rendered_app({"install.sh.j2": "true\n"}))
    return machine.result


@pytest.mark.parametrize("kinds", [("asc", "asc"), ("gpg", "gpg"), ("asc", "gpg"), ("gpg", "asc")])
def test_all_trusted_keys_are_collected(
    machine: Machine, archive: Archive, keys: tuple[Key, Key], kinds: tuple[str, str]
) -> None:
    use(machine, deb(archive, "stable", "arch=amd64"), deb(archive, "security", "arch=amd64"))
    for suite, key, kind in zip(("stable", "security"), keys, kinds, strict=True):
        archive.sign(suite, key)
        content = key.armoured() if kind == "asc" else key.binary()
        (trusted(machine) / f"{suite}.{kind}").write_bytes(content)
    assert bake(machine)["result"] == "ok"
    assert COLLECTED in machine.updates[0]
    assert not [call for call in machine.calls if call.startswith("apt-key")]
    assert not list(machine.root.glob("var/lib/bakehouse/keys*"))


def test_a_signature_by_another_key_is_refused(
    machine: Machine, archive: Archive, keys: tuple[Key, Key]
) -> None:
    mine, another = keys
    use(machine, deb(archive, "stable", "arch=amd64"))
    archive.sign("stable", another)
    (trusted(machine) / "mine.asc").write_bytes(mine.armoured())
    message = bake(machine)["error"]["message"]
    assert COLLECTED in machine.updates[0]
    assert f"the apt source stable of {archive.url} cannot be used" in message
    assert "NO_PUBKEY" in message


def test_a_text_that_was_changed_is_refused(
    machine: Machine, archive: Archive, keys: tuple[Key, Key]
) -> None:
    key = keys[0]
    use(machine, deb(archive, "stable", "arch=amd64"))
    archive.sign("stable", key)
    signed = archive.files["/debian/dists/stable/InRelease"]
    archive.files["/debian/dists/stable/InRelease"] = signed.replace(b"amd64", b"arm64")
    (trusted(machine) / "mine.asc").write_bytes(key.armoured())
    assert "BADSIG" in bake(machine)["error"]["message"]


@pytest.mark.parametrize(("signer", "result"), [("named", "ok"), ("trusted for all", "failed")])
def test_a_source_that_names_its_key_is_verified_by_this_alone(
    machine: Machine, archive: Archive, keys: tuple[Key, Key], signer: str, result: str
) -> None:
    by = dict(zip(("named", "trusted for all"), keys, strict=True))
    named = machine.root / "etc/apt/named.asc"
    use(machine, deb(archive, "stable", f"arch=amd64 signed-by={named}"))
    (trusted(machine) / "other.asc").write_bytes(by["trusted for all"].armoured())
    named.write_bytes(by["named"].armoured())
    archive.sign("stable", by[signer])
    assert bake(machine)["result"] == result
    assert [call for call in machine.calls if call.startswith("apt-key") and str(named) in call]


def unreadable(machine: Machine) -> None:
    (trusted(machine) / "other.asc").write_text("hidden")
    (trusted(machine) / "other.asc").chmod(0o600)


def of_an_unknown_kind(machine: Machine) -> None:
    (trusted(machine) / "other.gpg").write_bytes(b"\0\0\0\x20KBXf")


def broken(machine: Machine) -> None:
    (trusted(machine) / "other.asc").write_text("-----BEGIN PGP\n\n***\n-----END PGP\n")


def of_old(machine: Machine) -> None:
    (machine.root / "etc/apt/trusted.gpg").write_bytes(b"\x99")


def by_another_program(machine: Machine) -> None:
    settings = machine.root / "etc/apt/apt.conf.d"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "verify").write_text('APT::Key::gpgvcommand "/usr/bin/gpgv";\n')


OTHERS = [unreadable, of_an_unknown_kind, broken, of_old, by_another_program]


@pytest.mark.parametrize("case", OTHERS)
def test_apt_key_decides_about_anything_else(
    machine: Machine, archive: Archive, case: Callable[[Machine], None]
) -> None:
    use(machine, deb(archive, "stable"))
    case(machine)
    assert bake(machine)["result"] == "ok"
    assert COLLECTED not in machine.updates[0]
    assert not list(machine.root.glob("var/lib/bakehouse/keys*"))
