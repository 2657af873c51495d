"""Which of what the archives have is news for an image."""

from __future__ import annotations

import pytest

from bakehouse.core.reasons import Reason
from bakehouse.history.manifest import Manifest, Package, PassedOver, Source
from bakehouse.updates.compare import Listing, Update, Updates, updates_in
from bakehouse.updates.release import UpgradePolicy

SOURCE = Source("http://x/debian", "trixie", "main")
SECURITY = SOURCE._replace(suite="trixie-security")
BACKPORTS = SOURCE._replace(suite="trixie-backports")


def has(source: Source = SOURCE, arch: str = "amd64", **versions: str) -> Listing:
    policy = UpgradePolicy.WHEN_NOWHERE_ELSE if source is BACKPORTS else UpgradePolicy.ALWAYS
    return Listing(source, arch, source is SECURITY, policy, versions)


def image(*packages: tuple[str, ...], passed_over: tuple[tuple[str, str], ...] = ()) -> Manifest:
    listed = [Package(name, version, (*arch, "amd64")[0]) for name, version, *arch in packages]
    return Manifest(tuple(listed), passed_over=tuple(PassedOver(*one) for one in passed_over))


BASH = image(("bash", "5.2-2"))


@pytest.mark.parametrize(
    ("manifest", "listings", "found"),
    [
        (BASH, [has(bash="5.2-2")], []),
        (BASH, [has(bash="5.2-1")], []),
        (BASH, [has(other="9")], []),
        (BASH, [has(bash="5.2-3")], ["bash 5.2-2 -> 5.2-3 (trixie)"]),
        (BASH, [has(bash="5.2-2+b1")], ["bash 5.2-2 -> 5.2-2+b1 (trixie)"]),
        (BASH, [has(bash="5.2-2~deb13u1")], []),
        (
            BASH,
            [has(bash="5.2-2"), has(SECURITY, bash="5.2-2+deb13u1")],
            ["bash 5.2-2 -> 5.2-2+deb13u1 (trixie-security, security)"],
        ),
        # the newest is from elsewhere, but a security update stands between
        (
            BASH,
            [has(bash="5.2-4"), has(SECURITY, bash="5.2-3")],
            ["bash 5.2-2 -> 5.2-4 (trixie, security)"],
        ),
        # backports only for what came from there
        (BASH, [has(bash="5.2-2"), has(BACKPORTS, bash="5.3-1~bpo13+1")], []),
        (
            image(("bash", "5.3-1~bpo13+1")),
            [has(bash="5.2-2"), has(BACKPORTS, bash="5.3-2~bpo13+1")],
            ["bash 5.3-1~bpo13+1 -> 5.3-2~bpo13+1 (trixie-backports)"],
        ),
        # another architecture has nothing to say, an index of "all" has
        (BASH, [has(arch="i386", bash="6")], []),
        (BASH, [has(arch="all", bash="6")], ["bash 5.2-2 -> 6 (trixie)"]),
        (
            image(("bash", "5.2-2"), ("doc", "1", "all")),
            [has(bash="5.2-2", doc="2")],
            ["doc 1 -> 2 (trixie)"],
        ),
        # what was there when it was baked is no news
        (image(("bash", "5.2-2"), passed_over=(("bash", "5.2-3"),)), [has(bash="5.2-3")], []),
        (
            image(("bash", "5.2-2"), passed_over=(("bash", "5.2-3"), ("bash", "5.2-1"))),
            [has(bash="5.2-4")],
            ["bash 5.2-2 -> 5.2-4 (trixie)"],
        ),
        (image(), [has(bash="1")], []),
        (BASH, [], []),
    ],
)
def test_what_counts_as_an_update(
    manifest: Manifest, listings: list[Listing], found: list[str]
) -> None:
    assert [str(update) for update in updates_in(manifest, listings)] == found


def update(name: str, *, security: bool = False) -> Update:
    return Update(
        name=name, arch="amd64", installed="1", available="2", suite="s", security=security
    )


@pytest.mark.parametrize(
    ("found", "unread", "reason", "words"),
    [
        ((), (), None, "no updates in 3 indexes"),
        ((update("a"),), (), Reason.PACKAGE_UPDATES, "1 other update (a)"),
        (
            (update("b", security=True), update("a")),
            ("x: gone",),
            Reason.SECURITY_UPDATES,
            "1 security update (b); 1 other update (a); cannot read x: gone",
        ),
        ((), ("x: gone",), Reason.UPDATES_UNKNOWN, "cannot read x: gone"),
    ],
)
def test_the_decision_follows_from_the_updates(
    found: tuple[Update, ...], unread: tuple[str, ...], reason: Reason | None, words: str
) -> None:
    updates = Updates(image="web-1", found=found, unread=unread, indexes=3)
    assert updates.reason == reason
    assert updates.in_words() == words


def test_security_comes_first() -> None:
    manifest = image(("a", "1"), ("b", "1"), ("c", "1"))
    found = updates_in(manifest, [has(a="2", b="2", c="2"), has(SECURITY, c="2")])
    assert [one.name for one in found] == ["c", "a", "b"]
