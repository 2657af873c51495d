"""Writes and reads the manifests of images: `<ledger>/manifests/<image>.spdx.json`.

Images older than the SBOMs have `<image>.tsv`: their packages and nothing else.
"""

from __future__ import annotations

import re

from airflow.sdk import ObjectStoragePath

from bakehouse.history.manifest import BadManifest, Manifest, parse_packages
from bakehouse.history.objects import write
from bakehouse.history.sbom import SbomImage, parse_sbom, spdx_json
from bakehouse.recipe.base import RESOURCE_NAME

_NAME = re.compile(RESOURCE_NAME)


class ManifestNotFound(LookupError):
    """There is no readable manifest of an image; the message says which and why, in one line."""


def write_manifest(ledger: str, baked: SbomImage, manifest: Manifest) -> str:
    """Write the SBOM of an image, over an older one of that name -> the object's URL."""
    target = _folder(ledger) / f"{baked.image}.spdx.json"
    write(target, spdx_json(baked, manifest).encode())
    return str(target)


def sbom_path(image: str) -> str:
    """Where the SBOM of an image is, below the ledger."""
    return f"manifests/{image}.spdx.json"


def read_manifest(ledger: str, image: str) -> Manifest:
    """What is in an image. Raises ManifestNotFound."""
    if not _NAME.fullmatch(image):
        raise ManifestNotFound(f"{image!r} is not the name of an image")
    sbom, listed = (_folder(ledger) / f"{image}{ending}" for ending in (".spdx.json", ".tsv"))
    try:
        if sbom.exists():
            return parse_sbom(sbom.read_text(encoding="utf-8")).manifest
        if listed.exists():
            return Manifest(parse_packages(listed.read_text(encoding="utf-8").splitlines()))
    except (BadManifest, UnicodeDecodeError) as broken:
        raise ManifestNotFound(f"the manifest of {image} cannot be read: {broken}") from broken
    raise ManifestNotFound(f"no manifest of {image} exists: {sbom} is missing")


def _folder(ledger: str) -> ObjectStoragePath:
    return ObjectStoragePath(ledger) / "manifests"
