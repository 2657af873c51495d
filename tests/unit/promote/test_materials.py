"""What an image was made with is named in its statements."""

from __future__ import annotations

from hashlib import sha256

import pytest

from bakehouse.history.manifest import ReleaseFile, Source
from bakehouse.images.statements import Material
from bakehouse.promote.materials import apt_name, locks, releases
from bakehouse.recipe.commit import GitFile

DEBIAN = Source("http://deb.debian.org/debian", "bookworm", "main")


def test_files_that_pin_what_is_downloaded_are_locks() -> None:
    data = b"kafka-clients 4.4.0 sha256:..."
    names = [
        "recipe/artefacts.lock",
        "recipe/package-lock.json",
        "recipe/SHA256SUMS",
        "recipe/go.sum",
    ]
    others = ["recipe/install.sh", "recipe/templates/etc/clock.conf.j2", "recipe/lock"]
    files = {name: GitFile(0o100644, data) for name in [*names, *others]}
    digest = sha256(data).hexdigest()
    assert locks(files) == tuple(Material(name=name, sha256=digest) for name in sorted(names))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (
            "http://deb.debian.org/debian/dists/bookworm/InRelease",
            "deb.debian.org_debian_dists_bookworm_InRelease",
        ),
        ("https://user:secret@apt.example/a_b/InRelease", "apt.example_a%5fb_InRelease"),
        ("http://apt.example:8080/x/Release", "apt.example:8080_x_Release"),
    ],
)
def test_apt_keeps_what_it_fetches_under_a_name_of_its_url(url: str, name: str) -> None:
    assert apt_name(url) == name


def test_a_release_file_has_its_url_where_a_source_of_the_image_has_it() -> None:
    known = ReleaseFile("deb.debian.org_debian_dists_bookworm_InRelease", "7" * 64)
    flat = ReleaseFile("apt.example_flat_Release", "8" * 64)
    other = ReleaseFile("snapshot.example_InRelease", "9" * 64)
    found = releases([known, flat, other], [DEBIAN, Source("http://apt.example/flat", "./", "")])
    assert [one.uri for one in found] == [
        "http://deb.debian.org/debian/dists/bookworm/InRelease",
        "http://apt.example/flat/Release",
        "",
    ]
    assert releases([known], None)[0].uri == ""
