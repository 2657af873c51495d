"""What differs between two images besides packages, and which upgrades are security updates."""

from __future__ import annotations

import pytest
from tests.support.events import bake, fixes, image, update

from bakehouse.history.comparison import compare, report, security_fixes, with_security
from bakehouse.history.diff import ImageDiff, diff_images
from bakehouse.history.manifest import Manifest, Package

OLD, NEW = image(1), image(2)


def packages(old: str = "1.0-1", new: str = "1.0-3") -> ImageDiff:
    before, after = (Manifest((Package("openssl", one, "amd64"),)) for one in (old, new))
    return diff_images(OLD, before, NEW, after)


@pytest.mark.parametrize(
    ("fix", "is_security"),
    [("1.0-2", True), ("1.0-3", True), ("1.0-4", False), ("1.0-1", False)],
)
def test_an_upgrade_is_a_security_update_if_it_contains_one(fix: str, is_security: bool) -> None:
    (change,) = with_security(
        packages(), security_fixes([fixes(OLD, update("openssl", fix))])
    ).upgraded
    assert change.security is is_security


def test_another_package_and_an_update_without_security_mark_nothing() -> None:
    looks = [fixes(OLD, update("jq", "1.0-2"), update("openssl", "1.0-2", security=False))]
    (change,) = with_security(packages(), security_fixes(looks)).upgraded
    assert not change.security


def test_images_that_no_bake_made_are_unknown_and_not_the_same() -> None:
    found = compare(packages(), [bake(NEW)], None, "the ledger has no bake of it")
    assert (found.base, found.commit[0]) == ((None, "debian-12-1"), None)
    assert "base: unknown -> debian-12-1" in report(found)
    assert "recipe and scripts: unknown, the ledger has no bake of it" in report(found)


def test_broken_recipes_have_no_vars() -> None:
    path = "include/recipes/web.yaml"
    broken = ({path: b"vars: [1"}, {path: b"vars: {a: 1}"})
    found = compare(packages(), [bake(OLD), bake(NEW)], broken)
    assert [(one.name, one.old, one.new) for one in found.vars] == [("a", None, "1")]
