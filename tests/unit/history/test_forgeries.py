"""No rollout takes an image that is not the one that was signed; each reason names what differs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import signed
from tests.support.signed import BAKED, DIGESTS, IMAGE, LABELS, RECORD, REFUSE, SBOM, found

from bakehouse.history.envelopes import read_envelopes, sign
from bakehouse.images import labels
from bakehouse.images.attestation import (
    AttestationState,
    Found,
    ImageFacts,
    ImageVerdict,
    Signature,
    UnsignedRule,
    decide,
    decide_failed,
    refusal_in_words,
)
from bakehouse.images.statements import StoredFile, SubjectImage

if TYPE_CHECKING:
    from collections.abc import Callable

Forgery = tuple[ImageFacts, Found]


def ours(**changes: Any) -> bytes:
    return sign(signed.statements(**changes), signed.key("ours"))


def labelled(**changes: str) -> ImageFacts:
    told = {**LABELS, **{key.replace("_", "-"): value for key, value in changes.items()}}
    return IMAGE.model_copy(update={"labels": told})


def edited(data: bytes, old: str, new: str) -> bytes:
    """The same envelopes with other words in their payloads, and the same signatures."""
    lines = []
    for line in data.splitlines():
        envelope = json.loads(line)
        payload = base64.b64decode(envelope["payload"]).replace(old.encode(), new.encode())
        lines.append(json.dumps({**envelope, "payload": base64.b64encode(payload).decode()}))
    return "\n".join(lines).encode()


def of_another_image() -> bytes:
    return ours(
        baked=BAKED.model_copy(update={"image": SubjectImage(project="p", name="x", id="1")})
    )


def first_line(data: bytes) -> bytes:
    return data.splitlines()[0]


FORGERIES: dict[str, tuple[Callable[[], Forgery], str]] = {
    "a label of the commit": (
        lambda: (labelled(git_sha="b" * 40), found(ours())),
        f"its label git-sha is {'b' * 40}, and {'a' * 40} was signed",
    ),
    "a label of the base image": (
        lambda: (labelled(base_image_id="78"), found(ours())),
        "its label base-image-id is 78, and 77 was signed",
    ),
    "a label of the recipe": (
        lambda: (labelled(bakehouse_recipe="kafka"), found(ours())),
        "its label bakehouse-recipe is kafka, and web was signed",
    ),
    "a label that was removed": (
        lambda: (
            IMAGE.model_copy(update={"labels": {**LABELS, labels.CONTENT_KEY: ""}}),
            found(ours()),
        ),
        f"its label content-key is missing, and {'c' * 40} was signed",
    ),
    "a label of the packages": (
        lambda: (labelled(manifest_digest="e" * 40), found(ours())),
        f"its label manifest-digest is {'e' * 40}, and {'d' * 40} was signed",
    ),
    "made again under its name, without statements": (
        lambda: (IMAGE.model_copy(update={"id": "4712"}), Found(other_ids=("4711",))),
        "the image of this name that was signed has the id 4711, and this one has 4712",
    ),
    "made again under its name, with the statements of the first": (
        lambda: (IMAGE.model_copy(update={"id": "4712"}), found(ours())),
        "its statement is about the image of id 4711, and this one has 4712",
    ),
    "the statements of another image": (
        lambda: (IMAGE, found(of_another_image())),
        "its statement is about projects/p/global/images/x, and not about projects/p/global/images/"
        "web-1",
    ),
    "its own statements beside those of another image": (
        lambda: (IMAGE, found(ours() + of_another_image())),
        "its statement is about projects/p/global/images/x",
    ),
    "an SBOM that was edited": (
        lambda: (IMAGE, found(ours(), digests={**DIGESTS, SBOM.path: "9" * 64})),
        f"{SBOM.path} of the ledger was edited: it has the SHA-256 {'9' * 64}",
    ),
    "an SBOM that was deleted": (
        lambda: (IMAGE, found(ours(), digests={**DIGESTS, SBOM.path: None})),
        f"{SBOM.path} of the ledger is missing",
    ),
    "a record of the ledger that was edited": (
        lambda: (IMAGE, found(ours(), digests={**DIGESTS, RECORD.path: "9" * 64})),
        f"{RECORD.path} of the ledger was edited",
    ),
    "signed by another key": (
        lambda: (IMAGE, found(sign(signed.statements(), signed.key("theirs")))),
        "which is not trusted",
    ),
    "a statement that was changed": (
        lambda: (IMAGE, found(edited(ours(), '"77"', '"78"'))),
        "does not fit: it was changed",
    ),
    "a failed test made to pass": (
        lambda: (IMAGE, found(edited(ours(smoke=signed.FAILED), "FAILED", "PASSED"))),
        "does not fit: it was changed",
    ),
    "no statements": (lambda: (IMAGE, Found()), "it has no signed statements"),
    "no statement of the smoke test": (
        lambda: (IMAGE, found(first_line(ours()))),
        "there is no valid statement of its smoke test",
    ),
    "a smoke test that has failed": (
        lambda: (IMAGE, found(ours(smoke=signed.FAILED))),
        "its smoke test says FAILED: nginx",
    ),
    "a smoke test that has failed beside one that has passed": (
        lambda: (IMAGE, found(ours() + ours(smoke=signed.FAILED))),
        "its smoke test says FAILED: nginx",
    ),
    "an object that was emptied": (lambda: (IMAGE, found(b"\n")), "its object is empty"),
    "no envelope at all": (lambda: (IMAGE, found(b"promoted: yes\n")), "cannot be read"),
}


def verdict(forgery: Forgery, rule: UnsignedRule = REFUSE) -> ImageVerdict:
    return decide(*forgery, rule)


def test_an_image_as_it_was_signed_is_verified() -> None:
    told = verdict((IMAGE, found(ours())))
    assert told.state is AttestationState.VERIFIED
    assert refusal_in_words(told) is None
    assert told.key_id in signed.trusted("ours")
    assert [check.name for check in told.checks] == [
        *("signature", "signature", "image", "labels", "ledger", "ledger", "image", "smoke test")
    ]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_with_what_differs(name: str) -> None:
    made, words = FORGERIES[name]
    told = verdict(made())
    assert told.state is AttestationState.REFUSED
    assert words in told.reason
    assert words in (refusal_in_words(told) or "")
    assert any(words in check.detail for check in told.checks if not check.ok)


@pytest.mark.parametrize("name", FORGERIES)
def test_no_rule_for_unsigned_images_lets_a_signed_forgery_through(name: str) -> None:
    made, _ = FORGERIES[name]
    facts, there = made()
    told = verdict((facts, there), UnsignedRule(allow=True))
    signed_once = bool(there.statements or there.other_ids)
    assert told.refused is signed_once


def test_a_key_that_was_used_before_still_counts() -> None:
    old = sign(signed.statements(), signed.key("of last year"))
    assert verdict((IMAGE, found(old, "ours", "of last year"))).state is AttestationState.VERIFIED
    assert verdict((IMAGE, found(old, "ours"))).refused


def test_an_image_older_than_the_signatures_is_let_through_and_said_to_be_unsigned() -> None:
    created = IMAGE.created
    assert created is not None
    rule = UnsignedRule(before=created + timedelta(seconds=1), why="when the first was signed")
    told = verdict((IMAGE, Found()), rule)
    assert told.state is AttestationState.UNSIGNED
    assert not told.refused
    assert told.reason == (
        "it is not signed, and it was made before 2026-11-23 03:30:01 UTC, when the first was"
        " signed"
    )
    assert verdict((IMAGE, Found()), UnsignedRule(before=created)).refused


def test_an_image_without_a_time_is_not_taken_for_an_old_one() -> None:
    undated = IMAGE.model_copy(update={"created": None})
    always = UnsignedRule(before=datetime.max.replace(tzinfo=UTC))
    assert verdict((undated, Found()), always).refused


def test_what_is_not_known_of_an_image_is_not_compared() -> None:
    by_the_ledger = ImageFacts(name=IMAGE.name, id=IMAGE.id)
    told = verdict((by_the_ledger, found(ours(), digests={})))
    assert told.state is AttestationState.VERIFIED
    assert {check.name for check in told.checks} == {"signature", "image", "smoke test"}


def test_an_image_whose_manifest_could_not_be_read_is_signed_without_one() -> None:
    bare = BAKED.model_copy(update={"sbom": None, "manifest_digest": ""})
    told = {key: value for key, value in LABELS.items() if key != "manifest-digest"}
    facts = IMAGE.model_copy(update={"labels": told})
    there = found(ours(baked=bare), digests={RECORD.path: RECORD.sha256})
    assert verdict((facts, there)).state is AttestationState.VERIFIED


def test_the_same_bake_signs_the_same_bytes() -> None:
    assert ours() == ours()


def test_a_statement_that_in_toto_does_not_know_is_not_signed() -> None:
    form = json.loads(signed.statements()[0])
    form["predicate"]["builder"] = "me"
    with pytest.raises(ValueError, match="not a statement of in-toto"):
        sign([json.dumps(form).encode()], signed.key("ours"))


def test_a_trusted_signature_below_something_else_is_no_statement() -> None:
    from securesystemslib.dsse import Envelope

    envelope = Envelope(b"{}", "text/plain", {})
    envelope.sign(signed.key("ours"))
    (read,) = read_envelopes(json.dumps(envelope.to_dict()).encode(), signed.trusted("ours"))
    assert (read.signature, read.problem) == (Signature.VALID, "its payload is text/plain")


def test_files_outside_the_ledger_are_told_as_they_were_signed() -> None:
    odd = BAKED.model_copy(update={"records": (StoredFile(path="../x", sha256="1" * 64),)})
    there = found(ours(baked=odd), digests={**DIGESTS, "../x": None})
    assert "../x of the ledger is missing" in verdict((IMAGE, there)).reason


FAILED_VERDICT = sign([signed.statements(smoke=signed.FAILED)[1]], signed.key("ours"))
FAILED_FORGERIES: dict[str, tuple[Callable[[], Forgery], str]] = {
    "its words": (
        lambda: (IMAGE, found(edited(FAILED_VERDICT, "failed: nginx", "failed: other"))),
        "does not fit: it was changed",
    ),
    "another key": (
        lambda: (IMAGE, found(FAILED_VERDICT, "theirs")),
        "which is not trusted",
    ),
    "another image": (
        lambda: (IMAGE.model_copy(update={"id": "9"}), found(FAILED_VERDICT)),
        "its statement is about the image of id 4711, and this one has 9",
    ),
    "the verdict of one that passed": (
        lambda: (IMAGE, found(sign([signed.statements()[1]], signed.key("ours")))),
        "there is no valid statement of a smoke test that failed",
    ),
}


def test_the_verdict_of_a_failed_candidate_is_verified_by_itself() -> None:
    verdict = decide_failed(IMAGE, found(FAILED_VERDICT))
    assert verdict is not None
    assert verdict.state is AttestationState.VERIFIED
    assert verdict.reason.startswith("its smoke test says FAILED: nginx, signed by the key ")


@pytest.mark.parametrize("name", FAILED_FORGERIES)
def test_a_forged_verdict_of_a_failed_candidate_is_refused(name: str) -> None:
    make, reason = FAILED_FORGERIES[name]
    verdict = decide_failed(*make())
    assert verdict is not None
    assert verdict.state is AttestationState.REFUSED
    assert reason in verdict.reason


def test_a_failed_candidate_without_a_statement_has_no_verdict() -> None:
    assert decide_failed(IMAGE, Found()) is None


def test_the_verdict_of_a_failed_candidate_promotes_nothing() -> None:
    assert decide(IMAGE, found(FAILED_VERDICT), REFUSE).refused
