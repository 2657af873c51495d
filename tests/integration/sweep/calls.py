"""The calls that a run makes, the ways in which each can fail, and the cases of both."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# What is asked again and again until something has come about: how often depends on the machine.
POLLED = frozenset(
    f"compute.{method}"
    for method in (
        "zoneOperations.get",
        "zoneOperations.list",
        "globalOperations.get",
        "globalOperations.list",
        "instances.getSerialPortOutput",
        "instances.getGuestAttributes",
    )
)

_NUMBERS = re.compile(r"(_\d+)+$")


@dataclass(frozen=True)
class Call:
    """One call of a run: which call of a method, behind which change, of which task.

    A run polls, so that the number of its calls is not always the same. Between two changes of one
    task the first call of each method to each resource counts as one of its own.
    """

    scenario: str
    task: str
    method: str
    since: str  # the method of the change before it in the task; empty: none
    nth: int  # among the calls of this method since then
    change: bool

    def __str__(self) -> str:
        behind = f"-since-{_short(self.since)}" if self.since else ""
        number = f"-{self.nth}" if self.nth > 1 else ""
        return f"{self.scenario}-{self.task}-{_short(self.method)}{number}{behind}"

    @property
    def place(self) -> tuple[str, ...]:
        """Where the product makes it; stages and members of a rollout make the same calls."""
        task = _NUMBERS.sub("", self.task.rpartition(".")[2])
        return task, self.method, self.since, str(self.nth)


@dataclass(frozen=True)
class Kind:
    """A way in which a call fails: the fields of localgce's fault."""

    name: str
    fault: Mapping[str, Any]
    of_reads: bool = True
    of_changes: bool = True
    methods: str = ""  # a part of the names of the methods that can fail so; empty: all
    repeats: int = 0  # of a read by Google's client, before Bakehouse hears of it

    def can_be_of(self, call: Call) -> bool:
        """Whether such a call can fail so."""
        fits = self.of_changes if call.change else self.of_reads
        return fits and self.methods in call.method

    def times(self, call: Call) -> dict[str, int]:
        """How often in a row it fails, by name; a read also as often as Bakehouse hears of it."""
        heard = {"heard": self.repeats + 1} if self.repeats and not call.change else {}
        return {"once": 1, "twice": 2, **heard}


def _http(status: int, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": "http", "status": status, "reason": reason, **more}


LOST = {"when": "after"}
KINDS = (
    Kind("429", _http(429, "rateLimitExceeded"), repeats=2),
    Kind("500", _http(500), repeats=2),
    Kind("503", _http(503), repeats=2),
    Kind("reset", {"kind": "reset"}, repeats=2),
    Kind("lost", {"kind": "reset", **LOST}, of_reads=False),
    Kind("503-lost", _http(503, **LOST), of_reads=False),
    Kind("quota", _http(403, "quotaExceeded")),
    Kind("operation", {"kind": "operation", "code": "INTERNAL_ERROR"}, of_reads=False),
    Kind("operation-quota", {"kind": "operation", "code": "QUOTA_EXCEEDED"}, of_reads=False),
    Kind("fingerprint", _http(412, "conditionNotMet"), of_reads=False, methods=".set"),
)


@dataclass(frozen=True)
class Case:
    """One call that fails in one way, so often in a row."""

    call: Call
    kind: Kind
    times: str

    def __str__(self) -> str:
        return f"{self.call}-{self.kind.name}-{self.times}"

    @property
    def fault(self) -> dict[str, Any]:
        """The rule for localgce, to be set when the call's task begins."""
        call = self.call
        where = {"method": call.method, "since": call.since, "nth": call.nth}
        return {**self.kind.fault, **where, "times": self.kind.times(call)[self.times]}


def calls_of(scenario: str, task: str, requests: Iterable[Mapping[str, Any]]) -> Iterator[Call]:
    """The calls of one task, from localgce's log of its requests."""
    since, changes = "", Counter[str]()
    seen, numbers = set[tuple[str, str]](), Counter[str]()
    for request in requests:
        method, resource = str(request["method"]), str(request.get("resource"))
        numbers[method] += 1
        if request["http"] != "GET":
            changes[method] += 1
            yield Call(scenario, task, method, "", changes[method], change=True)
            since, seen, numbers = method, set(), Counter()
            continue
        known = (method, "" if method in POLLED else resource)
        if known not in seen and changes[since] <= 1:
            seen.add(known)
            yield Call(scenario, task, method, since, numbers[method], change=False)


def distinct(calls: Iterable[Call]) -> list[Call]:
    """Each call once: the first member, stage and scenario that makes it stands for the others."""
    return list({call.place: call for call in reversed(list(calls))}.values())[::-1]


def cases_of(calls: Iterable[Call]) -> list[Case]:
    """Every way in which each call can fail."""
    return [
        Case(call, kind, times)
        for call in calls
        for kind in KINDS
        if kind.can_be_of(call)
        for times in kind.times(call)
    ]


def sample(cases: Sequence[Case], count: int) -> frozenset[str]:
    """So many of them, spread over scenarios, calls and kinds; the same ones in every run.

    Round after round each scenario gives one case, of what came least often: kind and method.
    """
    chosen: list[Case] = []
    used: Counter[tuple[str, str]] = Counter()
    left = sorted(cases, key=lambda case: sha256(str(case).encode()).hexdigest())
    names = sorted({case.call.scenario for case in cases})
    while left and len(chosen) < count:
        name = names[len(chosen) % len(names)]
        of_it = [case for case in left if case.call.scenario == name] or left
        best = min(of_it, key=lambda c: used["kind", c.kind.name] + used["method", c.call.method])
        used["kind", best.kind.name] += 1
        used["method", best.call.method] += 1
        chosen.append(best)
        left.remove(best)
    return frozenset(str(case) for case in chosen)


def _short(method: str) -> str:
    return method.removeprefix("compute.")
