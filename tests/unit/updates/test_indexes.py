"""Release files and package indexes: what is read of them, and what is not believed."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from tests.support.apt import PACKED, index_of, signed

from bakehouse.history.manifest import Source
from bakehouse.updates import release
from bakehouse.updates.index import from_bytes, to_bytes, versions_of
from bakehouse.updates.release import (
    File,
    Unreadable,
    UpgradePolicy,
    check_age,
    folder_of,
    parse,
)

VERSIONS = {f"package-{number}": f"1.{number}" for number in range(3000)}
INDEX = index_of(VERSIONS).encode()
DEBIAN = """Label: Debian-Security
Suite: stable-security
Codename: trixie-security
Valid-Until: Tue, 01 Dec 2026 00:34:33 UTC
Acquire-By-Hash: yes
No-Support-for-Architecture-all: Packages
Architectures: all amd64
SHA256:
 aa 10 main/binary-amd64/Packages
 bb 5 main/binary-amd64/Packages.xz
 cc 7 main/binary-amd64/Packages.gz
 dd 7 main/binary-all/Packages.gz
"""


def packed(data: bytes, packing: str) -> tuple[bytes, File]:
    made = PACKED[packing](data)
    ending = f".{packing}" if packing else ""
    return made, File(f"main/Packages{ending}", len(made), sha256(made).hexdigest())


@pytest.mark.parametrize("packing", ["xz", "gz", ""])
def test_an_index_is_read_in_every_packing(packing: str) -> None:
    assert versions_of(*packed(INDEX, packing)) == VERSIONS


def test_the_newest_of_two_versions_counts() -> None:
    index = index_of({"bash": "5.2-10"}) + "\n" + index_of({"bash": "5.2-9"})
    assert versions_of(*packed(index.encode(), "")) == {"bash": "5.2-10"}


@pytest.mark.parametrize("packing", ["xz", "gz", ""])
def test_another_file_than_the_release_names_is_refused(packing: str) -> None:
    data, file = packed(INDEX, packing)
    with pytest.raises(Unreadable, match="differs in size or SHA256"):
        versions_of(data[:-1] + b"x", file)
    with pytest.raises(Unreadable, match="size"):
        versions_of(data + b"x", file)


@pytest.mark.parametrize("packing", ["xz", "gz"])
def test_a_truncated_or_broken_archive_is_refused(packing: str) -> None:
    data, _ = packed(INDEX, packing)
    for spoiled in (data[: len(data) // 2], b"<html>"):
        file = File(f"Packages.{packing}", len(spoiled), sha256(spoiled).hexdigest())
        with pytest.raises(Unreadable, match="cannot be decompressed"):
            versions_of(spoiled, file)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.updates.index.MAX_UNPACKED_BYTES", 1 << 22)
    for packing in ("xz", "gz"):
        with pytest.raises(Unreadable, match="when decompressed"):
            versions_of(*packed(b"\0" * (1 << 23), packing))


def test_the_cached_form_is_small_and_what_is_broken_is_noticed() -> None:
    small = to_bytes(VERSIONS)
    assert from_bytes(small) == VERSIONS
    assert len(small) < len(INDEX) / 5
    for spoiled in (b"", small[: len(small) // 2], gzip.compress(b"one word\n")):
        with pytest.raises(ValueError, match=r"cached index|not enough values"):
            from_bytes(spoiled)


@pytest.mark.parametrize("data", [DEBIAN.encode(), signed(DEBIAN)])
def test_a_release_file_signed_or_not(data: bytes) -> None:
    found = parse(data)
    assert found.security
    assert found.by_hash
    assert not found.separate_all_index
    assert found.policy is UpgradePolicy.ALWAYS
    source = Source("http://x/debian/", "trixie-security", "main")
    assert folder_of(source) == "http://x/debian/dists/trixie-security/"
    assert release.index_of(found, source, "amd64") == File(
        "main/binary-amd64/Packages.xz", 5, "bb"
    )
    assert release.index_of(found, source, "riscv64") is None
    with pytest.raises(Unreadable, match="has no component contrib"):
        release.index_of(found, source._replace(component="contrib"), "amd64")


@pytest.mark.parametrize(
    ("fields", "apart"),
    [
        ("Architectures: amd64", False),  # as Debian's security archive, which lists the file
        ("Architectures: all amd64\nNo-Support-for-Architecture-all: Packages", False),
        ("Architectures: all amd64", True),
    ],
)
def test_an_index_of_its_own_for_all_architectures(fields: str, apart: bool) -> None:
    text = f"{fields}\nSHA256:\n aa 1 main/binary-all/Packages\n"
    assert parse(text.encode()).separate_all_index is apart


def test_a_flat_repository() -> None:
    found = parse(b"Codename: x\nSHA256:\n aa 10 ./Packages\n")
    source = Source("http://x/repo", "./", "")
    assert folder_of(source) == "http://x/repo/./"
    assert release.index_of(found, source, "flat") == File("./Packages", 10, "aa")


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ("", UpgradePolicy.ALWAYS),
        ("NotAutomatic: yes\n", UpgradePolicy.NEVER),
        ("NotAutomatic: yes\nButAutomaticUpgrades: yes\n", UpgradePolicy.WHEN_NOWHERE_ELSE),
    ],
)
def test_what_apt_would_install_by_itself(fields: str, taken: UpgradePolicy) -> None:
    assert parse(f"{fields}SHA256:\n aa 1 Packages\n".encode()).policy is taken


def test_a_release_that_is_held_back_is_not_believed() -> None:
    found = parse(DEBIAN.encode())
    check_age(found, datetime(2026, 11, 30, tzinfo=UTC))
    with pytest.raises(Unreadable, match="expired at 2026-12-01 00:34 UTC"):
        check_age(found, datetime(2026, 12, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"Suite: x\n",
        b"SHA256:\n aa\n",
        b"SHA256:\n aa many Packages\n",
        b"\xff" * 9,
    ],
)
def test_what_is_no_release_file_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable, match="not a Release file"):
        parse(data)
