"""What differs between two images, by Debian's rules."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.history.diff import ImageDiff, diff_images, full_report, summarize
from bakehouse.history.manifest import FileFacts, Manifest, Package
from bakehouse.history.versions import newer, newest


def image(*packages: str, **files: object) -> Manifest:
    """Of `name version` and `name version arch`."""
    found = [tuple(text.split()) for text in packages]
    listed = tuple(sorted(Package(p[0], p[1], (*p, "amd64")[2]) for p in found))
    return Manifest(listed, files=FileFacts.model_validate(files))


OLD = image(
    "bash 5.2.15-2+b7",
    "openssl 3.0.15-1~deb12u1",
    "nginx 1.22.1-9",
    "telnet 0.17",
    "libc6 2.36 i386",
    kernel="6.1.0-40",
    used_bytes=10**9,
    enabled=("ssh.service", "telnetd.service"),
)
NEW = image(
    "bash 5.2.15-2+b7",
    "openssl 3.0.16-1~deb12u1",
    "nginx 1.22.1-9~bpo1",
    "jq 1.6",
    "libc6 2.36 amd64",
    kernel="6.1.0-41",
    used_bytes=11 * 10**8,
    enabled=("ssh.service",),
    started=("nginx",),
)


def test_added_removed_upgraded_downgraded() -> None:
    found = diff_images("web-1", OLD, "web-2", NEW)
    assert [(p.name, p.version, p.arch) for p in found.added] == [
        ("jq", "1.6", "amd64"),
        ("libc6", "2.36", "amd64"),
    ]
    assert [(p.name, p.arch) for p in found.removed] == [("libc6", "i386"), ("telnet", "amd64")]
    assert [(p.name, p.old, p.new) for p in found.upgraded] == [
        ("openssl", "3.0.15-1~deb12u1", "3.0.16-1~deb12u1")
    ]
    assert [p.name for p in found.downgraded] == ["nginx"], "~ sorts before everything"
    assert found.files.services_added == ("nginx",)
    assert found.files.services_removed == ("telnetd.service",)


def test_a_diff_is_json() -> None:
    found = diff_images("web-1", OLD, "web-2", NEW)
    form = json.loads(found.model_dump_json())
    assert form["same_packages"] is False
    assert form["upgraded"][0]["new"] == "3.0.16-1~deb12u1"
    assert form["files"]["kernel"] == ["6.1.0-40", "6.1.0-41"]
    del form["same_packages"]
    assert ImageDiff.model_validate(form) == found


def test_the_summary_is_one_line_and_the_text_is_complete() -> None:
    found = diff_images("web-1", OLD, "web-2", NEW)
    assert summarize(found) == (
        "1 upgraded (openssl), 1 downgraded (nginx), 2 added (jq, libc6),"
        " 2 removed (libc6, telnet), kernel 6.1.0-40 -> 6.1.0-41"
    )
    lines = full_report(found).splitlines()
    assert "  openssl 3.0.15-1~deb12u1 -> 3.0.16-1~deb12u1 amd64" in lines
    assert "used on disk: 1000 MB -> 1100 MB" in lines
    assert summarize(diff_images("a", OLD, "b", OLD)) == "the same packages"
    many = image(*(f"p{n:02d} 1" for n in range(20)))
    assert summarize(diff_images("a", image(), "b", many)).endswith("p06, p07 and 12 more)")


@pytest.mark.parametrize(
    ("older", "later"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0+b1"),
        ("2.36-9+deb12u9", "2.36-9+deb12u10"),
        ("9.9", "1:0.1"),
        ("1.0-1~bpo12+1", "1.0-1"),
        ("no version", "0"),
    ],
)
def test_versions_are_compared_as_dpkg_does(older: str, later: str) -> None:
    assert newer(later, older)
    assert not newer(older, later)
    assert newest({older, later}) == later


packages = st.lists(
    st.builds(
        Package, st.sampled_from("abcdef"), st.text(min_size=1), st.sampled_from(["all", "amd64"])
    ),
    unique_by=lambda package: (package.name, package.arch),
)


@given(packages, packages)
def test_the_diff_of_swapped_images_is_the_inverse(old: list[Package], new: list[Package]) -> None:
    one, other = Manifest(tuple(sorted(old))), Manifest(tuple(sorted(new)))
    there, back = diff_images("a", one, "b", other), diff_images("b", other, "a", one)
    assert {*there.added} == {*back.removed}
    changed = {(c.name, c.arch, c.old, c.new) for c in (*there.upgraded, *there.downgraded)}
    turned = {(c.name, c.arch, c.new, c.old) for c in (*back.upgraded, *back.downgraded)}
    assert changed == turned
    assert len(changed) + len(there.added) + len({*old} & {*new}) == len(new)
