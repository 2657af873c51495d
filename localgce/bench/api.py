"""What the API costs, in processor time of the server."""

from __future__ import annotations

from statistics import median

from server import ZONE, Bench, instance, serving

GETS = 4000
FEW, MANY = 100, 2000


def gets_per_second() -> float:
    """instances.get that one core answers in a second."""
    with serving("instant") as bench:
        bench.do("POST", f"{ZONE}/instances", instance("one"))
        for _ in range(GETS // 10):  # until all is loaded
            bench.call("GET", f"{ZONE}/instances/one")
        before = bench.cpu
        for _ in range(GETS):
            bench.call("GET", f"{ZONE}/instances/one")
        return GETS / (bench.cpu - before)


def cost_growth() -> float:
    """Cost of an instant instance created, listed and deleted: among many over among few."""
    with serving("instant") as bench:
        _cost(bench, FEW)  # until all is loaded
        few = median(_cost(bench, FEW) for _ in range(5))
    with serving("instant") as bench:
        _cost(bench, FEW)
        return _cost(bench, MANY) / few


def _cost(bench: Bench, number: int) -> float:
    """Seconds of processor time for each of so many instances that are there at a time."""
    before = bench.cpu
    names = [f"vm-{i}" for i in range(number)]
    begun = [bench.call("POST", f"{ZONE}/instances", instance(name)) for name in names]
    for operation in begun:
        bench.finish(operation)
    listed, token = 0, ""
    while listed == 0 or token:
        page = bench.call("GET", f"{ZONE}/instances?pageToken={token}")
        listed, token = listed + len(page["items"]), page.get("nextPageToken", "")
    assert listed == number
    begun = [bench.call("DELETE", f"{ZONE}/instances/{name}") for name in names]
    for operation in begun:
        bench.finish(operation)
    return (bench.cpu - before) / number
