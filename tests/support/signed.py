"""An image as it was signed, for tests of what is compared with it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from bakehouse.images import labels
from bakehouse.images.attestation import MANIFEST_DIGEST, Found, ImageFacts, UnsignedRule
from bakehouse.images.statements import (
    BakeFacts,
    Material,
    SmokeFacts,
    StoredFile,
    SubjectImage,
    provenance,
    test_result,
)

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

MADE = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
SBOM = StoredFile(path="manifests/web-1.spdx.json", sha256="5" * 64)
RECORD = StoredFile(path="events/2026/11/23/bake.json", sha256="6" * 64)
BAKED = BakeFacts(
    image=SubjectImage(project="p", name="web-1", id="4711"),
    sbom=SBOM,
    recipe="web",
    git_sha="a" * 40,
    git_ref="main",
    content_key="c" * 40,
    manifest_digest="d" * 40,
    base_image="https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/debian-12",
    base_image_id="77",
    releases=(Material(name="deb.debian.org_debian_dists_bookworm_InRelease", sha256="7" * 64),),
    locks=(Material(name="recipe/artefacts.lock", sha256="8" * 64),),
    records=(RECORD,),
    dag_id="bake__web",
    run_id="manual__1",
    reason="forced",
    started=MADE,
    version="0.1.0",
)
PASSED = SmokeFacts(passed=True, message="1 check passed", checks=(("nginx", True),))
FAILED = SmokeFacts(passed=False, message="failed: nginx", checks=(("nginx", False),))
LABELS = {
    labels.RECIPE: "web",
    labels.GIT_SHA: "a" * 40,
    labels.BASE_IMAGE_ID: "77",
    labels.CONTENT_KEY: "c" * 40,
    labels.STATE: labels.PROMOTED,
    MANIFEST_DIGEST: "d" * 40,
}
IMAGE = ImageFacts(
    project="p", name="web-1", id="4711", kind="custom_image", created=MADE, labels=LABELS
)
DIGESTS: dict[str, str | None] = {SBOM.path: SBOM.sha256, RECORD.path: RECORD.sha256}
REFUSE = UnsignedRule()


@cache
def key(name: str) -> Signer:
    """A key of this name, the same for all tests of a process."""
    from securesystemslib.signer import CryptoSigner

    del name
    return CryptoSigner.generate_ed25519()


def trusted(*names: str) -> dict[str, Any]:
    """The public keys of these names, by their ids."""
    return {key(name).public_key.keyid: key(name).public_key for name in names}


def statements(baked: BakeFacts = BAKED, smoke: SmokeFacts = PASSED) -> list[bytes]:
    return [provenance(baked), test_result(baked, smoke)]


def found(data: bytes, *keys: str, **changes: Any) -> Found:
    """What is there of an image with these envelopes."""
    from bakehouse.history.envelopes import read_envelopes

    read = read_envelopes(data, trusted(*(keys or ("ours",))))
    return Found(statements=read, **{"digests": DIGESTS, **changes})
