"""The orders that a rollout gives to a member, and their answers (docs/decisions/0093). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from bakehouse.fleet.members import NEW_FLEET
from bakehouse.images.formats import format_of, formats_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

BATCH = "batch"  # the first word of a line of a gate's answer
KEY = "bakehouse-order"  # of the instance's metadata
SHOWN = 300  # characters of an answer, in one line
OK, BLOCKED, BUSY, FAILED, NONE = "ok", "blocked", "busy", "failed", "none"


class Order(StrEnum):
    """What a member can be told to do; there is nothing else."""

    GATE = "gate"  # say whether it may be stopped now
    DRAIN = "drain"  # it is about to be stopped
    HEALTH = "health"  # report now
    RESUME = "resume"  # it runs its next image and is healthy
    FINALISE = "finalise"  # the data get the newest formats that its image can read; no way back
    RENDER = "render"  # the templates again, with the metadata of now


@dataclass(frozen=True)
class Answer:
    """What a member has answered."""

    order: str
    nonce: str
    boot_id: str
    state: str  # ok, blocked, busy, failed, none (it has no such script), unknown
    detail: str = ""
    leader: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether it was carried out; there may be nothing to carry out."""
        return self.state in {OK, NONE}

    @property
    def formats(self) -> dict[str, int]:
        """The versions that formats of its data have for good: lines `format NAME VERSION`."""
        return formats_in(self.detail)

    @property
    def batches(self) -> tuple[frozenset[str], ...]:
        """The sets of members that may be down together: lines `batch MEMBER MEMBER …`."""
        parts = (line.split() for line in self.detail.splitlines())
        return tuple(frozenset(words[1:]) for words in parts if words[:1] == [BATCH])

    @property
    def line(self) -> str:
        """What it says to people, in one line."""
        lines = (part.strip() for part in self.detail.splitlines())
        text = "; ".join(line for line in lines if line and not _is_for_programs(line))
        return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _is_for_programs(line: str) -> bool:
    return format_of(line) is not None or line.split()[0] == BATCH


def order_text(
    order: Order,
    nonce: str,
    boot_id: str,
    limit: float,
    attempt: int,
    beside: Collection[str] = (),
) -> str:
    """Return the metadata value of an order.

    Args:
        order: what to do.
        nonce: of the answer; the same one is not carried out twice.
        boot_id: the boot that it is for; another one passes it over.
        limit: seconds that it may take.
        attempt: another one for each request, so that the metadata change.
        beside: other members that are down, or may be stopped at the same time.
    """
    told = {
        "order": order.value,
        "nonce": nonce,
        "boot_id": boot_id,
        "limit": max(1, round(limit)),
        "attempt": attempt,
    }
    return json.dumps({**told, "beside": " ".join(sorted(beside))} if beside else told)


def nonce_of(*parts: object) -> str:
    """Return the nonce of an order that is carried out once, whoever gives it again."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def answer_to(attributes: Mapping[str, str], order: Order, nonce: str) -> Answer | None:
    """Return the answer to this very order from the guest attributes, or None."""
    answer = parse_answer(attributes.get(f"answer-{order.value}"))
    return answer if answer is not None and answer.nonce == nonce else None


def parse_answer(text: str | None) -> Answer | None:
    """Parse an answer; None if there is none or it is invalid."""
    try:
        said: Any = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(said, dict) or not {"order", "nonce", "boot_id", "state"} <= said.keys():
        return None
    return Answer(
        order=str(said["order"]),
        nonce=str(said["nonce"]),
        boot_id=str(said["boot_id"]),
        state=str(said["state"]),
        detail=str(said.get("detail", "")),
        leader=said.get("leader") is True,
    )


def with_order(metadata: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    """Return the body of setMetadata that differs in the order alone; None takes it away.

    An instance that can be given orders is no longer one of a fleet that is being made.
    """
    ours = {KEY, NEW_FLEET}
    items = [item for item in metadata.get("items") or [] if item and item.get("key") not in ours]
    return {"items": [*items, *([{"key": KEY, "value": text}] if text is not None else [])]}
