"""The requests that clients have made: the last ones whole, and of all of them their number."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localgce.core.errors import Json

KEPT = 20_000


class RequestLog:
    """What was requested since the last `clear`, oldest first.

    A request is a dict that is filled while it is answered; `method` stands in it from the start.
    """

    def __init__(self, kept: int = KEPT) -> None:
        """Keep at most so many of the last ones."""
        self._last: deque[Json] = deque(maxlen=kept)
        self._counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Json]:
        """Return those that are kept."""
        return iter(self._last)

    def append(self, request: Json) -> None:
        """Add one, in place of the oldest one if there are too many."""
        self._last.append(request)
        self._counts[str(request["method"])] += 1

    def clear(self) -> None:
        """Forget them all, and count from 0."""
        self._last.clear()
        self._counts.clear()

    def counts(self) -> dict[str, int]:
        """Return how many there were of each method, also of those that are not kept any more."""
        return dict(sorted(self._counts.items()))
