"""An image's manifest as SPDX 2.3 JSON: scanners read it, and Bakehouse reads it back. Pure.

The document describes one package, the image. Its version is the git commit (also as a gitoid); it
descends from the base image and contains the Debian packages, each with its purl. What SPDX has no
field for (recipe, kernel, services, sources) is JSON in an annotation of the image.

Importing spdx-tools takes 0.7 s, so only the functions that write a document import it.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import problems_of
from bakehouse.history.manifest import (
    BadManifest,
    FileFacts,
    Manifest,
    Mirror,
    Package,
    PassedOver,
    ReleaseFile,
    Source,
    digest,
)

if TYPE_CHECKING:
    from spdx_tools.spdx import model as spdx

IMAGE, BASE, DOCUMENT = "SPDXRef-Image", "SPDXRef-BaseImage", "SPDXRef-DOCUMENT"
TOOL = "bakehouse"
UNKNOWN_OS = "debian"


class SbomImage(Frozen):
    """The image that an SBOM describes: its name and its origin, not its content."""

    image: str
    project: str
    recipe: str
    family: str
    git_sha: str  # 40 hex characters
    git_ref: str
    content_key: str
    base_image: str
    base_image_id: str
    created: AwareDatetime  # the time of the run
    dag_id: str
    run_id: str
    snapshot: str | None = None  # the day whose packages were installed


class SbomAnnotation(Frozen):
    """The annotation of the image: everything of a manifest but its packages."""

    version: Literal[2] = Field(default=2, alias="bakehouse")
    baked: SbomImage
    files: FileFacts
    sources: tuple[Source, ...] | None
    passed_over: tuple[PassedOver, ...]
    mirrors: tuple[Mirror, ...] = ()  # older images have none
    releases: tuple[ReleaseFile, ...] = ()  # likewise


class Sbom(Frozen):
    """A document that was read back."""

    baked: SbomImage
    manifest: Manifest


def spdx_json(baked: SbomImage, manifest: Manifest) -> str:
    """The document; the same for the same image."""
    from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter

    form = DocumentConverter().convert(spdx_document(baked, manifest))
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False) + "\n"


def spdx_document(baked: SbomImage, manifest: Manifest) -> spdx.Document:
    """The same as spdx-tools has it."""
    from spdx_tools.spdx import model as spdx

    packages = [
        _package(f"SPDXRef-Package-{number}", package, manifest.files.os)
        for number, package in enumerate(manifest.packages, 1)
    ]
    kind = spdx.RelationshipType
    relationships = [
        spdx.Relationship(DOCUMENT, kind.DESCRIBES, IMAGE),
        spdx.Relationship(IMAGE, kind.DESCENDANT_OF, BASE),
        *(spdx.Relationship(IMAGE, kind.CONTAINS, package.spdx_id) for package in packages),
    ]
    return spdx.Document(
        creation_info=_creation(baked, manifest),
        packages=[_image(baked, manifest), _base(baked), *packages],
        annotations=[_annotation(baked, manifest)],
        relationships=relationships,
    )


def parse_sbom(text: str) -> Sbom:
    """What `spdx_json` wrote. Raises BadManifest for anything else."""
    try:
        form = json.loads(text)
        annotation = SbomAnnotation.model_validate_json(_comment(form))
        packages = tuple(sorted(_read(one) for one in form["packages"] if _is_deb(one)))
    except (ValueError, LookupError, TypeError, ValidationError) as broken:
        why = problems_of(broken) if isinstance(broken, ValidationError) else broken
        raise BadManifest(f"not an SBOM of an image: {why}") from broken
    manifest = Manifest(
        packages,
        annotation.sources,
        annotation.passed_over,
        annotation.files,
        annotation.mirrors,
        releases=annotation.releases,
    )
    return Sbom(baked=annotation.baked, manifest=manifest)


def _creation(baked: SbomImage, manifest: Manifest) -> spdx.CreationInfo:
    from spdx_tools.spdx import model as spdx

    where = f"{baked.project}/{baked.image}/{digest(manifest.packages)}"
    return spdx.CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id=DOCUMENT,
        name=baked.image,
        document_namespace=f"x-bakehouse://sbom/{where}",
        creators=[spdx.Actor(spdx.ActorType.TOOL, TOOL)],
        created=_moment(baked),
    )


def _image(baked: SbomImage, manifest: Manifest) -> spdx.Package:
    from spdx_tools.spdx import model as spdx

    category = spdx.ExternalPackageRefCategory.PERSISTENT_ID
    commit = spdx.ExternalPackageRef(category, "gitoid", f"gitoid:commit:sha1:{baked.git_sha}")
    return spdx.Package(
        IMAGE,
        baked.image,
        download_location=spdx.SpdxNoAssertion(),
        version=baked.git_sha,
        files_analyzed=False,
        source_info=f"recipe {baked.recipe} at commit {baked.git_sha} ({baked.git_ref})",
        comment=_in_words(manifest),
        external_references=[commit],
        primary_package_purpose=spdx.PackagePurpose.OPERATING_SYSTEM,
        built_date=_moment(baked),
    )


def _base(baked: SbomImage) -> spdx.Package:
    from spdx_tools.spdx import model as spdx

    return spdx.Package(
        BASE,
        baked.base_image,
        download_location=spdx.SpdxNoAssertion(),
        version=baked.base_image_id,
        files_analyzed=False,
        primary_package_purpose=spdx.PackagePurpose.OPERATING_SYSTEM,
    )


def _package(spdx_id: str, package: Package, os: tuple[str, str]) -> spdx.Package:
    from packageurl import PackageURL
    from spdx_tools.spdx import model as spdx

    system, release = os[0] or UNKNOWN_OS, os[1]
    qualifiers = {"arch": package.arch, **({"distro": f"{system}-{release}"} if release else {})}
    purl = PackageURL("deb", system, package.name, package.version, qualifiers).to_string()
    category = spdx.ExternalPackageRefCategory.PACKAGE_MANAGER
    return spdx.Package(
        spdx_id,
        package.name,
        download_location=spdx.SpdxNoAssertion(),
        version=package.version,
        files_analyzed=False,
        external_references=[spdx.ExternalPackageRef(category, "purl", purl)],
    )


def _annotation(baked: SbomImage, manifest: Manifest) -> spdx.Annotation:
    from spdx_tools.spdx import model as spdx

    annotation = SbomAnnotation(
        baked=baked,
        files=manifest.files,
        sources=manifest.sources,
        passed_over=manifest.passed_over,
        mirrors=manifest.mirrors,
        releases=manifest.releases,
    )
    return spdx.Annotation(
        IMAGE,
        spdx.AnnotationType.OTHER,
        spdx.Actor(spdx.ActorType.TOOL, TOOL),
        _moment(baked),
        annotation.model_dump_json(by_alias=True),
    )


def _in_words(manifest: Manifest) -> str:
    files = manifest.files
    used = "unknown" if files.used_bytes is None else f"{files.used_bytes} bytes"
    services = sorted({*files.enabled, *files.started})
    return f"kernel {files.kernel or 'unknown'}; used {used}; services {' '.join(services)}"


def _moment(baked: SbomImage) -> Any:
    """spdx-tools writes naive moments, in UTC and to the second."""
    return baked.created.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _comment(form: Any) -> str:
    (image,) = [one for one in form["packages"] if one["SPDXID"] == IMAGE]
    (annotation,) = [one for one in image["annotations"] if one["annotator"] == f"Tool: {TOOL}"]
    return str(annotation["comment"])


def _is_deb(form: Any) -> bool:
    return form["SPDXID"] not in {IMAGE, BASE}


def _read(form: Any) -> Package:
    from packageurl import PackageURL

    (reference,) = form["externalRefs"]
    qualifiers = PackageURL.from_string(reference["referenceLocator"]).qualifiers
    return Package(form["name"], form["versionInfo"], dict(qualifiers)["arch"])
