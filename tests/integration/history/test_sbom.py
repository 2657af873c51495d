"""What is in an image, as SPDX: valid by the library's own validator, and read back as written."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from tests.support.manifests import BAKED, MANIFEST

from bakehouse.history.manifest import (
    BadManifest,
    Manifest,
    Package,
)
from bakehouse.history.manifest_store import ManifestNotFound, read_manifest, write_manifest
from bakehouse.history.sbom import parse_sbom, spdx_json

if TYPE_CHECKING:
    from pathlib import Path


def test_the_document_is_valid_and_describes_the_image() -> None:
    document = JsonLikeDictParser().parse(json.loads(spdx_json(BAKED, MANIFEST)))
    assert validate_full_spdx_document(document, "SPDX-2.3") == []
    told = [str(r.relationship_type).rpartition(".")[2] for r in document.relationships]
    assert told.count("DESCRIBES") == told.count("DESCENDANT_OF") == 1
    assert told.count("CONTAINS") == len(MANIFEST.packages)
    image = next(p for p in document.packages if p.spdx_id == "SPDXRef-Image")
    assert (image.name, image.version) == (BAKED.image, BAKED.git_sha)
    assert image.external_references[0].locator == f"gitoid:commit:sha1:{BAKED.git_sha}"
    assert "kernel 6.1.0-41-cloud-amd64" in str(image.comment)
    assert "nginx ssh.service" in str(image.comment)


def test_each_package_has_its_purl() -> None:
    document = JsonLikeDictParser().parse(json.loads(spdx_json(BAKED, MANIFEST)))
    purls = {p.external_references[0].locator for p in document.packages if p.external_references}
    assert "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=i386&distro=debian-12" in purls
    assert "pkg:deb/debian/g%2B%2B@4:12.2.0-3?arch=amd64&distro=debian-12" in purls


def test_it_is_read_back_as_it_was_written_and_the_same_image_has_the_same_document() -> None:
    text = spdx_json(BAKED, MANIFEST)
    found = parse_sbom(text)
    assert (found.baked, found.manifest) == (BAKED, MANIFEST)
    assert spdx_json(BAKED, MANIFEST) == text
    assert parse_sbom(spdx_json(BAKED, Manifest(()))).manifest == Manifest(())


@pytest.mark.parametrize("packages", [0, 1, 400])
def test_any_number_of_packages_is_a_valid_document(packages: int) -> None:
    many = tuple(Package(f"p{n:03d}", f"1:{n}~rc1+b{n}", "amd64") for n in range(packages))
    text = spdx_json(BAKED, Manifest(many))
    document = JsonLikeDictParser().parse(json.loads(text))
    assert validate_full_spdx_document(document, "SPDX-2.3") == []
    assert parse_sbom(text).manifest.packages == many


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"packages": []}', '{"packages": [1]}', "\0"])
def test_anything_else_is_a_bad_manifest(text: str) -> None:
    with pytest.raises(BadManifest, match="not an SBOM"):
        parse_sbom(text)


def test_the_manifest_of_an_image_is_found_by_its_name(tmp_path: Path) -> None:
    ledger = f"file://{tmp_path}/ledger"
    where = write_manifest(ledger, BAKED, MANIFEST)
    assert where.endswith(f"/ledger/manifests/{BAKED.image}.spdx.json")
    assert read_manifest(ledger, BAKED.image) == MANIFEST
    write_manifest(ledger, BAKED, Manifest(()))
    assert read_manifest(ledger, BAKED.image) == Manifest(()), "the same image, baked once more"


def test_the_list_of_an_older_image_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/web-1.tsv").write_text("bash\t5.2\tamd64\n")
    found = read_manifest(f"file://{tmp_path}", "web-1")
    assert found == Manifest((Package("bash", "5.2", "amd64"),))


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("web-2", "no manifest of web-2 exists: .*web-2.spdx.json is missing"),
        ("web-3", "the manifest of web-3 cannot be read: not an SBOM"),
        ("../web", "'../web' is not the name of an image"),
    ],
)
def test_without_a_manifest_one_line_says_so(tmp_path: Path, image: str, why: str) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/web-3.spdx.json").write_text("{")
    with pytest.raises(ManifestNotFound, match=f"^{why}") as error:
        read_manifest(f"file://{tmp_path}", image)
    assert "\n" not in str(error.value)


@pytest.mark.long
def test_no_dag_file_pays_for_the_library() -> None:
    """Who parses DAG files imports every operator."""
    program = (
        "import sys, bakehouse.bake.builder_operators, bakehouse.bake.plan_operators,"
        " bakehouse.promote.operators, bakehouse.bake.need\n"
        "print([m for m in ('spdx_tools', 'packageurl', 'debian') if m in sys.modules])"
    )
    command = (sys.executable, "-c", program)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=250)
    assert done.stdout.splitlines()[-1] == "[]"
