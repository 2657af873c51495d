"""Compare members on the new image with those not replaced yet, while a stage soaks. Pure.

A threshold that fits every fleet does not exist, and one for each fleet is set by nobody; but the
members that still run the old image show, at the same hour and under the same load, what is usual
(the idea of Kayenta, docs/decisions/0090-a-soak-compares.md). A member has failed when it is worse
by a clear factor and by more than chance:

- its boot took more than twice as long as the slowest of the others, and 10 seconds longer;
- a number that the fleet names is worse by half in the median, and a rank test (Mann-Whitney, one
  side) gives chance less than one in a hundred;
- units were started again on more of the new members than chance explains (Fisher's exact test).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import comb, sqrt
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Literal

from bakehouse.rollout.health import HEALTHY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bakehouse.rollout.health import Health, Sighting

Better = Literal["lower", "higher"]
"""Which values of a number are better."""

BOOT_FACTOR, BOOT_SECONDS = 2.0, 10.0
FACTOR = 1.5
FEWEST = 8  # reports on each side, below which nothing is said of a number
CHANCE = 0.01
MOST_SAMPLES = 500  # of a number and member; the newest


@dataclass(frozen=True)
class Record:
    """What a member has reported since the watch began."""

    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    boot_seconds: float | None = None
    restarts: int = 0


def add(before: Record | None, seen: Sighting, *, is_new: bool) -> Record:
    """Return the record after a look; `is_new`: the report is another one than at the last look."""
    record, health = before or Record(), seen.health
    if health is None:
        return record
    record = replace(record, restarts=seen.restarts, boot_seconds=health.boot_seconds)
    if not is_new:
        return record
    samples = {
        name: (*record.samples.get(name, ()), value)[-MOST_SAMPLES:]
        for name, value in health.numbers.items()
    }
    return replace(record, samples={**record.samples, **samples})


def counts(health: Health | None) -> bool:
    """Whether a report of a member that is not replaced may be a measure: a healthy one."""
    return health is not None and health.state == HEALTHY


def worse(
    done: Mapping[str, Record], others: Mapping[str, Record], numbers: Mapping[str, Better]
) -> dict[str, str]:
    """Return the members on the new image that are worse than the others, each with the reason.

    Args:
        done: those on the new image.
        others: those not replaced yet; without any there is nothing to compare with.
        numbers: those that count, and which of their values are better.
    """
    found: dict[str, list[str]] = {}
    for member, record in done.items():
        reasons = [
            _boot(record, others.values()),
            *(_number(name, better, record, others.values()) for name, better in numbers.items()),
        ]
        found[member] = [reason for reason in reasons if reason]
    for member in _restarted(done, others):
        found[member].append(
            f"units were started again on {len(_restarted(done, others))} of {len(done)} new"
            f" members, and on {sum(r.restarts > 0 for r in others.values())} of {len(others)}"
            " others"
        )
    return {member: "; ".join(reasons) for member, reasons in found.items() if reasons}


def _boot(record: Record, others: Collection[Record]) -> str:
    known = [r.boot_seconds for r in others if r.boot_seconds is not None]
    own = record.boot_seconds
    if own is None or not known:
        return ""
    slowest = max(known)
    if own <= max(BOOT_FACTOR * slowest, slowest + BOOT_SECONDS):
        return ""
    return f"its boot took {own:g} s, that of members not replaced {slowest:g} s at most"


def _number(name: str, better: Better, record: Record, others: Collection[Record]) -> str:
    own = record.samples.get(name, ())
    usual = [value for r in others for value in r.samples.get(name, ())]
    if min(len(own), len(usual)) < FEWEST:
        return ""
    sign = 1 if better == "lower" else -1
    is_far = _is_far(median(own), median(usual), better)
    if not is_far or chance([sign * v for v in own], [sign * v for v in usual]) >= CHANCE:
        return ""
    return (
        f"{name} is {median(own):g} in the median of {len(own)} reports, that of members not"
        f" replaced {median(usual):g}"
    )


def _is_far(own: float, usual: float, better: Better) -> bool:
    """Whether a median is worse by the factor; of zero anything worse is far."""
    low, high = (usual, own) if better == "lower" else (own, usual)
    return high > low and (low <= 0 or high >= FACTOR * low)


def chance(own: Sequence[float], usual: Sequence[float]) -> float:
    """Return the probability that values so much greater come by chance (Mann-Whitney, one side).

    By the normal approximation, with the correction for ties.
    """
    ranks = _ranks([*own, *usual])
    n, m = len(own), len(usual)
    u = sum(ranks[:n]) - n * (n + 1) / 2
    total = n + m
    tied = sum(c**3 - c for c in _counts([*own, *usual]).values())
    spread = n * m / 12 * (total + 1 - tied / (total * (total - 1)))
    if spread <= 0:
        return 1.0
    return 1 - NormalDist().cdf((u - n * m / 2 - 0.5) / sqrt(spread))


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value; equal ones share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + 1 + end) / 2
        start = end
    return ranks


def _counts(values: Sequence[float]) -> dict[float, int]:
    found: dict[float, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


def _restarted(done: Mapping[str, Record], others: Mapping[str, Record]) -> list[str]:
    """Return the new members with restarts, if chance does not explain that there are so many."""
    mine = [member for member, record in done.items() if record.restarts > 0]
    theirs = sum(record.restarts > 0 for record in others.values())
    n, m = len(done), len(others)
    if not mine or not m:
        return []
    ill = len(mine) + theirs
    ways = range(len(mine), min(n, ill) + 1)
    probability = sum(comb(n, k) * comb(m, ill - k) for k in ways if ill - k <= m)
    return mine if probability / comb(n + m, ill) < CHANCE else []
