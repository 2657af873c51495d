"""Decide whether an image is the one that was signed. Pure.

Everything that is compared is a fact: what Compute Engine or the ledger says of the image now, and
what its signed statements say. Who reads them is in history/attestations.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.core.time import format_utc
from bakehouse.images import labels
from bakehouse.images.image_kinds import kind_of
from bakehouse.images.links import Resource, labels_of, project_of
from bakehouse.images.selection import created_at
from bakehouse.images.statements import (
    GIT_COMMIT,
    IMAGE_ID,
    PASSED,
    PROVENANCE,
    SHA256,
    TEST_RESULT,
    Provenance,
    Statement,
    SubjectImage,
    TestResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

MANIFEST_DIGEST = "manifest-digest"  # the label


class AttestationState(StrEnum):
    """What a list of images shows."""

    VERIFIED = "verified"
    """Signed by a trusted key, and everything that was compared is as it was signed."""
    UNSIGNED = "unsigned"
    """Not signed, and let through: it is older than the signatures, or a setting says so."""
    REFUSED = "refused"
    """No rollout takes it."""


class Check(Frozen):
    """One thing that was compared."""

    name: str
    ok: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok     ' if self.ok else 'REFUSED'}  {self.name}: {self.detail}"


class ImageVerdict(Frozen):
    """Whether an image may be used, by what was signed of it."""

    image: str
    state: AttestationState
    reason: str = Field(description="one sentence without a full stop")
    key_id: str = Field(default="", description="of the key that has signed it, 64 hex characters")
    checks: tuple[Check, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether no rollout takes it."""
        return self.state is AttestationState.REFUSED


class ImageFacts(Frozen):
    """What is said of an image now; of what is None nothing is compared."""

    project: str | None = None
    name: str
    id: str
    kind: str | None = None
    created: AwareDatetime | None = None
    labels: dict[str, str] | None = None

    @property
    def subject(self) -> SubjectImage | None:
        """The name under which it is signed."""
        if self.project is None or self.kind is None:
            return None
        return SubjectImage(project=self.project, name=self.name, id=self.id, kind=self.kind)


class Signature(StrEnum):
    """What became of the signature of a statement."""

    VALID = "valid"
    UNTRUSTED = "untrusted"
    """By a key that is not trusted, so nobody has looked whether it fits."""
    WRONG = "wrong"
    """It names a trusted key and does not fit: the statement was changed."""
    NONE = "none"
    """What is there is no signed statement at all."""


class SignedStatement(Frozen):
    """A statement as it was found."""

    statement: Statement | None = None
    problem: str = Field(default="", description="why it cannot be read")
    signature: Signature
    key_id: str = ""


class Found(Frozen):
    """What is there of an image."""

    statements: tuple[SignedStatement, ...] = ()
    other_ids: tuple[str, ...] = Field(
        default=(), description="ids of images of this name that are signed, but not this one"
    )
    digests: dict[str, str | None] = Field(
        default={},
        description="of files below the ledger now, None: it is missing; path -> SHA-256",
    )


class UnsignedRule(Frozen):
    """Which images may lack their statements."""

    allow: bool = False
    before: AwareDatetime | None = Field(
        default=None, description="images made before this moment may; None: no image may"
    )
    why: str = Field(default="", description="of the moment: `the first key was made then`")

    def lets_through(self, created: datetime | None) -> str:
        """Why an unsigned image is let through; empty if it is not."""
        if self.allow:
            return "bakehouse_unsigned_images allows it"
        if self.before is None or created is None or created >= self.before:
            return ""
        return f"it was made before {format_utc(self.before)}{self.why and f', {self.why}'}"


def facts_of(image: Resource) -> ImageFacts:
    """The facts of an image of Compute Engine."""
    return ImageFacts(
        project=project_of(str(image.get("selfLink", ""))),
        name=str(image["name"]),
        id=str(image["id"]),
        kind=kind_of(image),
        created=created_at(image) if image.get("creationTimestamp") else None,
        labels=dict(labels_of(image)),
    )


def decide(image: ImageFacts, found: Found, unsigned: UnsignedRule) -> ImageVerdict:
    """Decide whether an image is the one that was signed."""
    if not found.statements:
        return _without_statements(image, found, unsigned)
    checks = tuple(_checks(image, found))
    wrong = next((check for check in checks if not check.ok), None)
    keys = [one.key_id for one in found.statements if one.signature is Signature.VALID]
    return ImageVerdict(
        image=image.name,
        state=AttestationState.REFUSED if wrong else AttestationState.VERIFIED,
        reason=wrong.detail if wrong else f"signed by the key {keys[0][:12]}",
        key_id=keys[0] if keys else "",
        checks=checks,
    )


def decide_failed(image: ImageFacts, found: Found) -> ImageVerdict | None:
    """Decide whether the verdict of a candidate that failed is as it was signed; None without one.

    `verified` says that the verdict is, and nothing of the image, which no rollout takes.
    """
    if not found.statements:
        return None
    checks: list[Check] = []
    results: list[TestResult] = []
    for one in found.statements:
        checks.append(_signature(one))
        if one.statement is not None and checks[-1].ok:
            checks += _subject(image, one.statement)
            if isinstance(one.statement.predicate, TestResult):
                results.append(one.statement.predicate)
    if not any(result.result != PASSED for result in results):
        detail = "there is no valid statement of a smoke test that failed"
        checks.append(Check(name="smoke test", ok=False, detail=detail))
    wrong = next((check for check in checks if not check.ok), None)
    told = "; ".join(_smoke_test(result).detail for result in results)
    keys = [one.key_id for one in found.statements if one.signature is Signature.VALID]
    return ImageVerdict(
        image=image.name,
        state=AttestationState.REFUSED if wrong else AttestationState.VERIFIED,
        reason=wrong.detail if wrong else f"{told}, signed by the key {keys[0][:12]}",
        key_id=keys[0] if keys else "",
        checks=tuple(checks),
    )


def refusal_in_words(verdict: ImageVerdict) -> str | None:
    """Why a rollout does not take the image, as a sentence; None when it may."""
    return f"{verdict.image} is refused: {verdict.reason}" if verdict.refused else None


def _without_statements(image: ImageFacts, found: Found, unsigned: UnsignedRule) -> ImageVerdict:
    if found.other_ids:
        known = ", ".join(found.other_ids)
        reason = (
            f"the image of this name that was signed has the id {known}, and this one has"
            f" {image.id}: somebody has made it again under its name"
        )
    elif why := unsigned.lets_through(image.created):
        said = Check(name="statements", ok=True, detail=f"it has none, and {why}")
        return ImageVerdict(
            image=image.name,
            state=AttestationState.UNSIGNED,
            reason=f"it is not signed, and {why}",
            checks=(said,),
        )
    else:
        reason = (
            "it has no signed statements: this Bakehouse has not promoted it, or they were deleted"
            "; the Variable bakehouse_unsigned_images can let it through"
        )
    return ImageVerdict(
        image=image.name,
        state=AttestationState.REFUSED,
        reason=reason,
        checks=(Check(name="statements", ok=False, detail=reason),),
    )


def _checks(image: ImageFacts, found: Found) -> Iterator[Check]:
    """Yield what was compared, in the order in which it is told."""
    good: list[Statement] = []
    for one in found.statements:
        check = _signature(one)
        yield check
        if check.ok and one.statement is not None:
            good.append(one.statement)
    for kind, words in ((PROVENANCE, "provenance"), (TEST_RESULT, "smoke test")):
        if not any(statement.predicate_type == kind for statement in good):
            detail = f"there is no valid statement of its {words}"
            yield Check(name=words, ok=False, detail=detail)
    for statement in good:
        yield from _subject(image, statement)
        if isinstance(statement.predicate, TestResult):
            yield _smoke_test(statement.predicate)
        else:
            yield from _labels(image.labels, statement.predicate)
            yield from _files(found.digests, statement)


def _signature(one: SignedStatement) -> Check:
    name = "signature"
    if one.signature is Signature.UNTRUSTED:
        detail = f"it is signed by the key {one.key_id[:12] or '(none)'}, which is not trusted"
        return Check(name=name, ok=False, detail=detail)
    if one.signature is Signature.WRONG:
        detail = f"its signature by the key {one.key_id[:12]} does not fit: it was changed"
        return Check(name=name, ok=False, detail=detail)
    if one.statement is None:  # whatever its signature is
        return Check(name=name, ok=False, detail=f"its statement cannot be read: {one.problem}")
    kind = one.statement.predicate_type
    return Check(name=name, ok=True, detail=f"{kind} by the key {one.key_id[:12]}")


def _subject(image: ImageFacts, statement: Statement) -> Iterator[Check]:
    signed, wanted = statement.image, image.subject
    if wanted is not None and signed.name != wanted.uri:
        detail = f"its statement is about {signed.name}, and not about {wanted.uri}"
        yield Check(name="image", ok=False, detail=detail)
        return
    told = signed.digest[IMAGE_ID]
    if told != image.id:
        detail = f"its statement is about the image of id {told}, and this one has {image.id}"
        yield Check(name="image", ok=False, detail=detail)
        return
    yield Check(name="image", ok=True, detail=f"{signed.name}, id {told}")


def _labels(told: Mapping[str, str] | None, signed: Provenance) -> Iterator[Check]:
    if told is None:
        return
    definition = signed.build_definition
    wanted = {
        labels.RECIPE: definition.external_parameters.recipe,
        labels.GIT_SHA: signed.dependency("commit", GIT_COMMIT),
        labels.BASE_IMAGE_ID: signed.dependency("base-image", IMAGE_ID),
        labels.CONTENT_KEY: definition.internal_parameters.content_key,
        MANIFEST_DIGEST: definition.internal_parameters.manifest_digest,
    }
    wrong = False
    for label, value in wanted.items():
        if (has := told.get(label, "")) != value:
            wrong = True
            detail = f"its label {label} is {has or 'missing'}, and {value or 'none'} was signed"
            yield Check(name="label", ok=False, detail=detail)
    if not wrong:
        known = ", ".join(f"{label} {value}" for label, value in wanted.items() if value)
        yield Check(name="labels", ok=True, detail=known)


def _files(digests: Mapping[str, str | None], signed: Statement) -> Iterator[Check]:
    """Compare the files that were read; a list of images reads none."""
    for path, value in stored_files(signed).items():
        if path not in digests:
            continue
        now = digests[path]
        if now is None:
            yield Check(name="ledger", ok=False, detail=f"{path} of the ledger is missing")
        elif now != value:
            detail = f"{path} of the ledger was edited: it has the SHA-256 {now}, signed is {value}"
            yield Check(name="ledger", ok=False, detail=detail)
        else:
            yield Check(name="ledger", ok=True, detail=f"{path}, SHA-256 {value}")


def stored_files(signed: Statement) -> dict[str, str]:
    """The files below the ledger that a statement of provenance names; path -> SHA-256."""
    if not isinstance(signed.predicate, Provenance):
        return {}
    found = signed.predicate.run_details.byproducts
    return {one.name: one.digest[SHA256] for one in found if one.name and SHA256 in one.digest}


def _smoke_test(signed: TestResult) -> Check:
    if signed.result == PASSED:
        return Check(name="smoke test", ok=True, detail="it has passed")
    failed = f": {', '.join(signed.failed_tests)}" if signed.failed_tests else ""
    detail = f"its smoke test says {signed.result}{failed}"
    return Check(name="smoke test", ok=False, detail=detail)
