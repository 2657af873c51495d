"""The bundle that a plan stores: keys stay as they are, and damage never goes unnoticed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from bakehouse.recipe.bundle import BadBundle, Bundle, read_bundle
from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.render import render

FILES = {
    "bake.sh.j2": "# bake {{ recipe.name }} {{ snapshot }} of {{ recipe.base }}\n",
    "boot.sh.j2": "# boot {{ recipe.boot_time_limit }}\n",
    "smoke.sh.j2": "# smoke\n{{ smoke_test }}\n",
    "guest/render.py": "print('rendered')\n",
    "report.sh.j2": "# report\n",
    "orders.sh.j2": "# orders\n",
    "bakehouse-health.timer.j2": "# each {{ recipe.ready.period.total_seconds() | int }} s\n",
    "guest/bakehouse-boot.service": "[Unit]\n",
    "guest/bakehouse-health.service": "[Unit]\n",
    "guest/bakehouse-orders.service": "[Unit]\n",
    "guest/config_changes.py": "print('changed')\n",
    "guest/secret_values.py": "print('fetched')\n",
    "app/install.sh.j2": "echo {{ vars.page | sh }}\n",
    "app/smoke_test.sh": "check a b true\n",
    "app/templates/etc/app.conf.j2": "a={{ greeting }}\n",
}
MACHINE_IMAGE: dict[str, Any] = {
    "image": {
        "kind": "machine_image",
        "kms_key": "projects/p/locations/us/keyRings/r/cryptoKeys/k",
        "shielded": True,
    },
    "smoke": {"metadata": {"greeting": "x"}},
    "services": ["app"],
    "builder": {"disk_gb": 12},
}


def bundle(
    more: dict[str, GitFile] | None = None,
    sha: str = "c0ffee" * 6 + "c0ff",
    vars_override: dict[str, Any] | None = None,
    **fields: Any,
) -> Bundle:
    form: dict[str, Any] = {"name": "app", "base": "debian-cloud/debian-12"}
    form |= {"vars": {"page": "Hi"}}
    form |= {"smoke": {"metadata": {"greeting": "x"}}, **fields}
    commit = Commit(
        sha=sha, ref="main", subject="s", author_time=datetime(2026, 1, 1, tzinfo=UTC), author="a"
    )
    files = {path: GitFile(0o100644, text.encode()) for path, text in FILES.items()}
    override = {"page": "It's"} if vars_override is None else vars_override
    recipe = Recipe.model_validate(form)
    return Bundle(render(recipe, commit, {**files, **(more or {})}, override), "42")


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "4abfd0dda44e3190b7cc018fb8d7551589ee7818"),
        (MACHINE_IMAGE, "a41436d20836ee17dfff699ba7f9e49eef4e1e6a"),
        (
            {"image": {"family": "other", "storage_location": "eu"}},
            "e4e8133bc5e0184527f7eed0dbe0d11ed86a18f9",
        ),
    ],
)
def test_content_that_images_stand_for_already_keeps_its_key(
    fields: dict[str, Any], key: str
) -> None:
    """An upgrade that changed these keys would bake every image anew."""
    assert bundle(**fields).content_key == key


@pytest.mark.parametrize("fields", [{}, MACHINE_IMAGE])
def test_what_is_read_is_what_was_written(fields: dict[str, Any]) -> None:
    strange = {
        "app/" + os.fsdecode(b"not \xff text"): GitFile(0o100644, b"\x00\xff\n"),
        "app/link": GitFile(0o120000, b"etc/app.conf"),
        "app/run": GitFile(0o100755, b"#!/bin/sh\n"),
    }
    values = {"n": 1, "whole": 2.0, "yes": True, "text": "1", "word": "ä"}
    written = bundle(strange, vars_override={}, **{**fields, "vars": {"page": "Hi", **values}})
    read = read_bundle(written.to_bytes(), written.content_key)
    assert read == written
    assert {name: (type(v), v) for name, v in read.rendered.vars.items()} == {
        name: (type(v), v) for name, v in written.rendered.vars.items()
    }


def test_the_same_content_of_two_commits_is_the_same_bytes() -> None:
    assert bundle().to_bytes() == bundle(sha="0" * 40).to_bytes()


def test_each_change_of_the_content_is_noticed() -> None:
    form = json.loads(bundle().to_bytes())
    key = bundle().content_key
    for name, value in form["rendered"].items():
        other = {"str": "x", "int": 7, "dict": {}, "list": ["x"]}[type(value).__name__]
        if other == value:
            other = {"x": "x"}
        changed = json.dumps({**form, "rendered": {**form["rendered"], name: other}}).encode()
        with pytest.raises(BadBundle):
            read_bundle(changed, key)
    with pytest.raises(BadBundle, match="has the key"):
        read_bundle(json.dumps({**form, "base_image_id": "43"}).encode(), key)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", bundle().to_bytes()[:-40]])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(BadBundle, match="not a bundle"):
        read_bundle(data, bundle().content_key)


def test_a_bundle_of_another_key_is_refused() -> None:
    with pytest.raises(BadBundle, match="has the key"):
        read_bundle(bundle().to_bytes(), "0" * 40)
