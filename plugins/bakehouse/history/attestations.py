"""Whether images are as they were signed: reads the statements, and compares.

`Attestations(ledger).verdict(facts)` reads everything. `verdicts` is for lists: it reads one small
object for each image once, and neither the ledger's other files nor Compute Engine.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bakehouse.history.attestation_store import ENDING, FAILED, AttestationStore
from bakehouse.history.envelopes import read_envelopes
from bakehouse.history.signing_keys import Trust, read_trust
from bakehouse.images.attestation import (
    Found,
    ImageFacts,
    ImageVerdict,
    SignedStatement,
    decide,
    decide_failed,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

AT_ONCE = 16  # reads of an object store


class Attestations:
    """The signed statements of a ledger's images.

    What was read is kept: the statements of an image are written once. Make another one to see
    other keys.

    Args:
        ledger: its URL.
        trust: the keys and the rule for unsigned images; None: by the Variables of Airflow. Raises
            PermanentError where they cannot be read.
    """

    def __init__(self, ledger: str, trust: Trust | None = None) -> None:
        self._store = AttestationStore(ledger)
        self._trust = read_trust() if trust is None else trust
        self._read: dict[tuple[str, str, str], tuple[SignedStatement, ...]] = {}

    def verdict(self, image: ImageFacts) -> ImageVerdict:
        """Compare an image with its statements, and the files that they name."""
        statements = self._statements(image)
        if not statements:
            return self._unsigned(image)
        paths = [
            path
            for one in statements
            if one.statement is not None
            for path in stored_files(one.statement)
        ]
        found = Found(statements=statements, digests=self._store.digests(paths))
        return decide(image, found, self._trust.unsigned)

    def verdicts(self, images: Iterable[ImageFacts]) -> dict[str, ImageVerdict]:
        """Image id -> its verdict, by its statements alone."""
        wanted = list(images)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip((i.id for i in wanted), pool.map(self._by_itself, wanted), strict=True))

    def failed_verdicts(self, images: Iterable[ImageFacts]) -> dict[str, ImageVerdict]:
        """Image id -> whether the verdict of a failed candidate is as signed; of those with one."""
        wanted = list(images)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(self._failed, wanted)
            return {i.id: one for i, one in zip(wanted, found, strict=True) if one is not None}

    def _failed(self, image: ImageFacts) -> ImageVerdict | None:
        return decide_failed(image, Found(statements=self._statements(image, FAILED)))

    def _by_itself(self, image: ImageFacts) -> ImageVerdict:
        statements = self._statements(image)
        if not statements:
            return self._unsigned(image)
        return decide(image, Found(statements=statements), self._trust.unsigned)

    def _statements(self, image: ImageFacts, ending: str = ENDING) -> tuple[SignedStatement, ...]:
        """Read the statements; none is not kept, since the image may be signed in a moment."""
        key = (image.name, image.id, ending)
        if key not in self._read:
            data = self._store.read(image.name, image.id, ending)
            if data is None:
                return ()
            self._read[key] = read_envelopes(data, self._trust.keys)
        return self._read[key]

    def _unsigned(self, image: ImageFacts) -> ImageVerdict:
        found = Found(other_ids=self._store.ids(image.name))
        return decide(image, found, self._trust.unsigned)
