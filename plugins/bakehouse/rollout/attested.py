"""Why a rollout does not take an image: it is not the one that this Bakehouse has signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.history.attestations import Attestations
from bakehouse.history.signing_keys import read_trust
from bakehouse.images import labels
from bakehouse.images.attestation import AttestationState, facts_of, refusal_in_words
from bakehouse.images.links import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.images.attestation import ImageVerdict
    from bakehouse.images.links import Resource


def attested_by(
    ledger: str, gcp_conn_id: str, warn: Callable[..., None]
) -> Callable[[Resource], str | None]:
    """Return what says why an image is refused, as a sentence; None if it may be used.

    An image that Bakehouse does not claim to have made, such as what a member had before its first
    rollout, has nothing that could be forged, and is not asked about.

    Args:
        ledger: the URL beside which the statements are.
        gcp_conn_id: of Cloud KMS.
        warn: is told of each image that is let through unsigned, as a logger is.
    """
    known: list[Attestations] = []
    told: dict[str, ImageVerdict] = {}

    def refusal(image: Resource) -> str | None:
        if labels.RECIPE not in labels_of(image):
            return None
        if not known:
            known.append(Attestations(ledger, read_trust(gcp_conn_id)))
        id_ = str(image["id"])
        if id_ not in told:
            told[id_] = known[0].verdict(facts_of(image))
            if told[id_].state is AttestationState.UNSIGNED:
                warn("%s: %s", image["name"], told[id_].reason)
        return refusal_in_words(told[id_])

    return refusal
