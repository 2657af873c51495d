"""Signs the verdict of a candidate that failed its smoke test.

That of one that passed is signed with its provenance, before it is promoted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bakehouse.history.attestation_store import FAILED, AttestationStore
from bakehouse.history.location import ledger_url
from bakehouse.history.manifest_store import sbom_path
from bakehouse.history.signing_keys import signing_key
from bakehouse.images.statements import (
    SmokeFacts,
    StoredFile,
    SubjectImage,
    TestedImage,
    test_result,
)

if TYPE_CHECKING:
    from bakehouse.bake.candidate import Candidate
    from bakehouse.bake.plan import BakePlan
    from bakehouse.smoke.evaluation import SmokeResult

log = logging.getLogger(__name__)


def smoke_facts(result: SmokeResult) -> SmokeFacts:
    """Return what of a verdict is signed."""
    return SmokeFacts(
        passed=result.ok,
        message=result.message,
        checks=tuple((check.name, check.ok) for check in result.checks),
        ready_seconds=result.ready_seconds,
    )


def sign_failed(
    plan: BakePlan, candidate: Candidate, project: str, result: SmokeResult, gcp_conn_id: str
) -> None:
    """Write the statement. A key that cannot be used is logged: why the test failed comes first."""
    from bakehouse.history.envelopes import sign

    store = AttestationStore(ledger_url())
    try:
        if store.read(candidate.name, candidate.id, FAILED) is not None:
            return
        path = sbom_path(candidate.name)
        digest = store.digests([path])[path]
        facts = TestedImage(
            image=SubjectImage(
                project=project, name=candidate.name, id=candidate.id, kind=plan.kind
            ),
            sbom=StoredFile(path=path, sha256=digest) if digest else None,
            recipe=plan.recipe,
            git_sha=plan.commit.sha,
            content_key=plan.content_key,
        )
        data = sign([test_result(facts, smoke_facts(result))], signing_key(gcp_conn_id).signer)
        where = store.write(candidate.name, candidate.id, data, FAILED)
        log.info("the verdict is signed: %s", where)
    except Exception as refused:  # of the store, the key or Cloud KMS
        log.warning("the verdict of %s is not signed: %s", candidate.name, refused)
