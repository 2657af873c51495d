"""Sign what is known of a tested image, before it is promoted, and compare it with what is there.

The statements are written once for an image's id. A task that is tried again finds them, and a
promotion never begins without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bakehouse
from bakehouse.bake.recipe_source import RecipeSource
from bakehouse.core.errors import PermanentError
from bakehouse.history.attestation_store import AttestationStore
from bakehouse.history.attestations import Attestations
from bakehouse.history.event import record_id, record_path
from bakehouse.history.location import ledger_url
from bakehouse.history.manifest_store import ManifestNotFound, read_manifest, sbom_path
from bakehouse.history.signing_keys import read_trust, signing_key
from bakehouse.images.attestation import AttestationState, facts_of
from bakehouse.images.statements import (
    BakeFacts,
    StoredFile,
    SubjectImage,
    provenance,
    test_result,
)
from bakehouse.promote.materials import locks, releases
from bakehouse.smoke.signing import smoke_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.bake.candidate import Built, Candidate
    from bakehouse.bake.plan import BakePlan
    from bakehouse.images.attestation import ImageVerdict
    from bakehouse.images.links import Resource
    from bakehouse.images.statements import Material
    from bakehouse.smoke.evaluation import SmokeResult

RECORDS = ("bake", "verdict")  # kinds of events that are signed


class ImageSigner:
    """Signs the image of one bake.

    Args:
        plan: of the run.
        project: in which the image is.
        gcp_conn_id: of Cloud KMS.
        git_conn_id: of the recipe, if its bundle has been deleted.
    """

    def __init__(self, plan: BakePlan, project: str, gcp_conn_id: str, git_conn_id: str) -> None:
        self._plan, self._project = plan, project
        self._gcp_conn_id, self._git_conn_id = gcp_conn_id, git_conn_id
        self._ledger = ledger_url()
        self._store = AttestationStore(self._ledger)

    def sign(self, tested: Candidate, built: Built, smoke: SmokeResult) -> str | None:
        """Write the statements of a tested image; return their URL, or None if they were there.

        Raises:
            PermanentError: The key cannot be used.
            BakehouseError: Of a call to Cloud KMS.
        """
        from bakehouse.history.envelopes import sign

        if self._store.read(tested.name, tested.id) is not None:
            return None
        baked = self._facts(tested, built)
        statements = [provenance(baked), test_result(baked, smoke_facts(smoke))]
        data = sign(statements, signing_key(self._gcp_conn_id).signer)
        return self._store.write(tested.name, tested.id, data)

    def verify(self, image: Resource) -> ImageVerdict:
        """Compare the image with its statements: what no rollout would take is not promoted.

        Raises:
            PermanentError: They differ, or somebody else has signed it.
        """
        trust = read_trust(self._gcp_conn_id)
        verdict = Attestations(self._ledger, trust).verdict(facts_of(image))
        if verdict.state is not AttestationState.VERIFIED:
            raise PermanentError(f"not promoted: {verdict.image}: {verdict.reason}")
        return verdict

    def _facts(self, tested: Candidate, built: Built) -> BakeFacts:
        plan = self._plan
        bundle = RecipeSource(self._git_conn_id).bundle_of(plan)
        archives, sbom = self._manifest(tested.name)
        return BakeFacts(
            image=SubjectImage(
                project=self._project, name=tested.name, id=tested.id, kind=plan.kind
            ),
            sbom=sbom,
            recipe=plan.recipe,
            git_sha=plan.commit.sha,
            git_ref=plan.commit.ref,
            content_key=plan.content_key,
            manifest_digest=built.manifest_digest or "",
            base_image=plan.base_image.self_link,
            base_image_id=plan.base_image.id,
            snapshot=plan.snapshot or "",
            overridden_vars=tuple(sorted(plan.vars)),
            releases=archives,
            locks=locks(bundle.rendered.files),
            records=tuple(self._stored(*self._records())),
            dag_id=plan.dag_id,
            run_id=plan.run_id,
            reason=plan.reason.text,
            started=plan.created,
            version=bakehouse.__version__,
        )

    def _manifest(self, image: str) -> tuple[tuple[Material, ...], StoredFile | None]:
        """The Release files and the SBOM; nothing if the builder's manifest could not be read."""
        try:
            manifest = read_manifest(self._ledger, image)
        except ManifestNotFound:
            return (), None
        archives = releases(manifest.releases, manifest.sources)
        return archives, next(self._stored(sbom_path(image)), None)

    def _records(self) -> Iterator[str]:
        plan = self._plan
        for kind in RECORDS:
            known = record_id(plan.dag_id, plan.run_id, kind, plan.image_name)
            yield record_path(plan.created, kind, known)

    def _stored(self, *paths: str) -> Iterator[StoredFile]:
        """Yield those that exist, with what they contain now."""
        for path, digest in self._store.digests(paths).items():
            if digest is not None:
                yield StoredFile(path=path, sha256=digest)
