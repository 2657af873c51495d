"""A manifest is read as the bake script reported it."""

from __future__ import annotations

from base64 import b64encode
from gzip import compress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.manifests import encode

from bakehouse.history.manifest import (
    BadManifest,
    FileFacts,
    Manifest,
    Mirror,
    Package,
    PassedOver,
    ReleaseFile,
    Source,
    Step,
    decode,
    digest,
)
from bakehouse.images.formats import FormatRange

words = st.text(st.characters(exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"]), min_size=1)
packages = st.lists(st.builds(Package, words, words, words))
seconds = st.integers(0, 10**10).map(lambda hundredths: hundredths / 100)
versions = st.integers(0, 10**9)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
number = st.none() | st.integers(0, 2**62)
files = st.builds(
    FileFacts,
    os=st.tuples(words, words),
    kernel=st.none() | words,
    used_bytes=number,
    size_bytes=number,
    enabled=st.sets(words).map(sorted).map(tuple),
    started=st.sets(words).map(sorted).map(tuple),
    formats=st.sets(st.builds(FormatRange, words, versions, versions)).map(sorted).map(tuple),
)
manifests = st.builds(
    Manifest,
    packages=packages.map(sorted).map(tuple),
    sources=st.sets(st.builds(Source, words, words, st.just("") | words)).map(sorted).map(tuple),
    passed_over=st.sets(st.builds(PassedOver, words, words)).map(sorted).map(tuple),
    files=files,
    mirrors=st.lists(st.builds(Mirror, words, words, st.just("") | words), unique=True).map(tuple),
    booted=st.none() | seconds,
    steps=st.lists(st.builds(Step, words, seconds)).map(tuple),
    releases=st.sets(st.builds(ReleaseFile, words, digests)).map(sorted).map(tuple),
)


@given(manifests)
def test_a_manifest_is_read_as_it_was_reported(reported: Manifest) -> None:
    assert decode(encode(reported)) == reported
    assert digest(reversed(reported.packages)) == digest(reported.packages)


@given(packages)
def test_reports_of_scripts_of_older_commits_are_still_read(reported: list[Package]) -> None:
    text = "".join("\t".join(package) + "\n" for package in reported)
    read = decode(b64encode(compress(text.encode())).decode())
    assert read == Manifest(tuple(sorted(reported)))
    assert read.sources is None, "not reported is not none"


def test_lines_of_a_later_script_are_ignored_and_a_later_format_is_refused() -> None:
    later = "bakehouse-manifest\t2\ncolour\tblue\npackage\ta\t1\tall\n"
    assert decode(b64encode(compress(later.encode())).decode()).packages == (("a", "1", "all"),)
    with pytest.raises(BadManifest, match="its version is unknown"):
        decode(b64encode(compress(later.replace("2", "3", 1).encode())).decode())


@pytest.mark.parametrize("line", ["package\ta\t1", "kernel\t", "used\tmuch", "source\tx", "os\tx"])
def test_lines_that_are_nothing(line: str) -> None:
    with pytest.raises(BadManifest):
        decode(b64encode(compress(f"bakehouse-manifest\t2\n{line}\n".encode())).decode())


@given(st.text() | st.binary().map(lambda data: b64encode(data).decode()))
def test_anything_else_is_a_bad_manifest(text: str) -> None:
    with pytest.raises(BadManifest):
        decode(text)


@pytest.mark.parametrize("text", ["one two\n", "a\tb\n", "a\tb\tc\td\n", "a\t\tc\n"])
def test_lines_that_are_no_packages(text: str) -> None:
    with pytest.raises(BadManifest, match="line 1"):
        decode(b64encode(compress(text.encode())).decode())


def test_a_manifest_that_was_cut_short() -> None:
    whole = compress(b"a\tb\tc\n" * 1000)
    with pytest.raises(BadManifest, match="incomplete"):
        decode(b64encode(whole[:-9]).decode())


@pytest.mark.parametrize("versions", ["7\t-1", "7\t3.9", "x\t33", "7", "7\t33\t34", "\u0667\t33"])
def test_versions_of_a_format_are_whole_numbers(versions: str) -> None:
    text = f"bakehouse-manifest\t2\nformat\tmetadata.version\t{versions}\n"
    with pytest.raises(BadManifest):
        decode(b64encode(compress(text.encode())).decode())


def test_the_release_files_that_apt_has_verified_by_are_read() -> None:
    digest = "7" * 64
    name = "deb.debian.org_debian_dists_bookworm_InRelease"
    text = f"bakehouse-manifest\t2\nrelease\t{name}\t{digest}\n"
    told = decode(b64encode(compress(text.encode())).decode())
    assert told.releases == (ReleaseFile(name, digest),)


@pytest.mark.parametrize("digest", ["7" * 63, "G" * 64, "7" * 64 + " "])
def test_what_is_no_sha256_of_a_release_file_is_refused(digest: str) -> None:
    text = f"bakehouse-manifest\t2\nrelease\tx_InRelease\t{digest}\n"
    with pytest.raises(BadManifest, match="not a SHA-256 of x_InRelease"):
        decode(b64encode(compress(text.encode())).decode())
