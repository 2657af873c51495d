"""What is signed of an image: in-toto statements of its provenance and of its smoke test. Pure.

`provenance` is SLSA provenance v1, `test_result` is in-toto's test result v0.1. An image of Compute
Engine has no digest that anybody else can compute, so a statement's subjects are the image, by its
URL and its numeric id, and its SBOM, by SHA-256. The same bake makes the same bytes at any time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bakehouse.core.models import Frozen
from bakehouse.core.problems import problems_of
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUILD_TYPE = "x-bakehouse://bake/v1"
IMAGE_ID, SHA256, GIT_COMMIT = "gceImageId", "sha256", "gitCommit"
PASSED, FAILED = "PASSED", "FAILED"
_COLLECTIONS: dict[str, str] = {CUSTOM_IMAGE: "images", MACHINE_IMAGE: "machineImages"}


class BadStatement(ValueError):
    """The text is not a statement of an image; the message says why, in one line."""


class StoredFile(Frozen):
    """A file below the ledger, and what it contained when the image was signed."""

    path: str
    sha256: str


class Material(Frozen):
    """A file that an image was made with, such as a lock of artefacts or an archive's Release."""

    name: str
    sha256: str
    uri: str = ""


class SubjectImage(Frozen):
    """The image that is signed."""

    project: str
    name: str
    id: str
    kind: str = CUSTOM_IMAGE.value

    @property
    def uri(self) -> str:
        """Its name as Compute Engine has it: `projects/P/global/images/N`."""
        return f"projects/{self.project}/global/{_COLLECTIONS[self.kind]}/{self.name}"


class TestedImage(Frozen):
    """The image that a smoke test was about."""

    __test__ = False  # for pytest

    image: SubjectImage
    sbom: StoredFile | None = Field(
        default=None, description="None: the builder's manifest could not be read"
    )
    recipe: str
    git_sha: str
    content_key: str


class BakeFacts(TestedImage):
    """What is known of a bake when its image is signed."""

    git_ref: str
    manifest_digest: str = Field(description="of the label `manifest-digest`; empty: unknown")
    base_image: str = Field(description="its URL")
    base_image_id: str
    snapshot: str = ""
    overridden_vars: tuple[str, ...] = Field(default=(), description="names only")
    releases: tuple[Material, ...] = ()
    locks: tuple[Material, ...] = ()
    records: tuple[StoredFile, ...] = Field(default=(), description="of the ledger")
    dag_id: str
    run_id: str
    reason: str
    started: AwareDatetime
    version: str = Field(description="of Bakehouse")


class SmokeFacts(Frozen):
    """The verdict of an image's smoke test."""

    passed: bool
    message: str
    checks: tuple[tuple[str, bool], ...] = ()
    ready_seconds: float | None = None


# -- what is written ------------------------------------------------------------------------------


def provenance(facts: BakeFacts) -> bytes:
    """The statement of how the image was made."""
    internal: dict[str, Any] = {
        "contentKey": facts.content_key,
        "imageKind": facts.image.kind,
        "reason": facts.reason,
    }
    external: dict[str, Any] = {"recipe": facts.recipe, "ref": facts.git_ref}
    if facts.manifest_digest:
        internal["manifestDigest"] = facts.manifest_digest
    if facts.snapshot:
        external["snapshot"] = facts.snapshot
    if facts.overridden_vars:
        external["overriddenVars"] = list(facts.overridden_vars)
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": internal,
            "resolvedDependencies": _dependencies(facts),
        },
        "runDetails": {
            "builder": {
                "id": f"x-bakehouse://{facts.image.project}/{facts.dag_id}",
                "version": {"bakehouse": facts.version},
            },
            "metadata": {
                "invocationId": f"{facts.dag_id}/{facts.run_id}",
                "startedOn": f"{facts.started:%Y-%m-%dT%H:%M:%S}Z",
            },
            "byproducts": [_stored(file) for file in _byproducts(facts)],
        },
    }
    return _statement(_subjects(facts), PROVENANCE, predicate)


def test_result(facts: TestedImage, smoke: SmokeFacts) -> bytes:
    """The statement of what the smoke test said."""
    told: dict[str, Any] = {"bakehouse_message": smoke.message}
    if smoke.ready_seconds is not None:
        told["bakehouse_readySeconds"] = smoke.ready_seconds
    predicate = {
        "result": PASSED if smoke.passed else FAILED,
        "configuration": [
            {
                "name": "commit",
                "digest": {GIT_COMMIT: facts.git_sha},
                "annotations": {"recipe": facts.recipe, "contentKey": facts.content_key, **told},
            }
        ],
        "passedTests": [name for name, ok in smoke.checks if ok],
        "failedTests": [name for name, ok in smoke.checks if not ok],
    }
    return _statement(_subjects(facts), TEST_RESULT, predicate)


def _subjects(facts: TestedImage) -> list[dict[str, Any]]:
    image = {"name": facts.image.uri, "digest": {IMAGE_ID: facts.image.id}}
    return [image, *([_stored(facts.sbom)] if facts.sbom is not None else [])]


def _dependencies(facts: BakeFacts) -> list[dict[str, Any]]:
    return [
        {"name": "commit", "digest": {GIT_COMMIT: facts.git_sha}},
        {
            "name": "base-image",
            "uri": facts.base_image,
            "digest": {IMAGE_ID: facts.base_image_id},
        },
        *(_material("release", one) for one in facts.releases),
        *(_material("artefact-lock", one) for one in facts.locks),
    ]


def _material(kind: str, one: Material) -> dict[str, Any]:
    form = {"name": one.name, "digest": {SHA256: one.sha256}, "annotations": {"kind": kind}}
    return {**form, "uri": one.uri} if one.uri else form


def _byproducts(facts: BakeFacts) -> list[StoredFile]:
    return [*([facts.sbom] if facts.sbom is not None else []), *facts.records]


def _stored(file: StoredFile) -> dict[str, Any]:
    return {"name": file.path, "digest": {SHA256: file.sha256}}


def _statement(subjects: list[dict[str, Any]], kind: str, predicate: Mapping[str, Any]) -> bytes:
    form = {"_type": STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate}
    return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# -- what is read ---------------------------------------------------------------------------------


class _Read(BaseModel):
    """A part of a statement: a later version may say more than this one knows."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class Descriptor(_Read):
    """A resource by its name, URI or digests."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = {}


class _External(_Read):
    recipe: str


class _Internal(_Read):
    content_key: str
    manifest_digest: str = ""


class _Definition(_Read):
    build_type: str
    external_parameters: _External
    internal_parameters: _Internal
    resolved_dependencies: tuple[Descriptor, ...] = ()


class _Builder(_Read):
    id: str


class _Metadata(_Read):
    invocation_id: str


class _Run(_Read):
    builder: _Builder
    metadata: _Metadata
    byproducts: tuple[Descriptor, ...] = ()


class Provenance(_Read):
    """SLSA provenance v1 of a bake."""

    build_definition: _Definition
    run_details: _Run

    def dependency(self, name: str, digest: str) -> str:
        """The digest of a dependency; empty without one."""
        found = self.build_definition.resolved_dependencies
        return next((one.digest.get(digest, "") for one in found if one.name == name), "")


class TestResult(_Read):
    """In-toto's test result v0.1 of a smoke test."""

    __test__ = False  # pytest takes it for a class of tests

    result: str
    failed_tests: tuple[str, ...] = ()


_PREDICATES: dict[str, type[Provenance | TestResult]] = {
    PROVENANCE: Provenance,
    TEST_RESULT: TestResult,
}


class Statement(_Read):
    """A statement whose predicate is one of ours."""

    type_: str = Field(alias="_type")
    subject: tuple[Descriptor, ...]
    predicate_type: str
    predicate: Provenance | TestResult

    @property
    def image(self) -> Descriptor:
        """The image that it is about."""
        return next(one for one in self.subject if IMAGE_ID in one.digest)


def parse_statement(payload: bytes) -> Statement:
    """Read a statement that `provenance` or `test_result` wrote. Raises BadStatement."""
    try:
        form = json.loads(payload)
        kind = _PREDICATES[form["predicateType"]]
        told = {**form, "predicate": kind.model_validate(form["predicate"])}
        found = Statement.model_validate(told)
    except ValidationError as broken:
        raise BadStatement(problems_of(broken)) from broken
    except KeyError as missing:
        raise BadStatement(f"its {missing} is missing or not known here") from missing
    except (ValueError, TypeError, RecursionError) as broken:
        raise BadStatement(f"it is not JSON of a statement: {broken}") from broken
    if found.type_ != STATEMENT:
        raise BadStatement(f"its type is {found.type_}")
    if not any(IMAGE_ID in one.digest for one in found.subject):
        raise BadStatement("it names no image")
    return found
