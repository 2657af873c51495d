"""Which TCP ports of an instance firewall rules open towards the host.

QEMU's user network forwards single ports, to everybody on the host, from the start of a machine
on. So a rule can open ports; it cannot close one towards a sender, nor anything between guests.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localgce.core.errors import Json

MOST = 100
"""Ports that rules open at one instance: each is a socket of the host."""
_ALL = range(1, 65536)
_EVERYBODY = {"0.0.0.0/0", "127.0.0.0/8", "127.0.0.1/32", "127.0.0.1"}


def opened(rules: Iterable[Json], instance: Json) -> tuple[int, ...]:
    """The ports that rules of the instance's network allow, the first ones by priority.

    A rule counts when it is enabled, of ingress, from everywhere or from the host's loopback, and
    for this instance by its tags or service accounts. A port that a rule of a higher or the same
    priority denies is not opened.
    """
    network = instance["networkInterfaces"][0]["network"]
    found: dict[int, None] = {}
    denied: list[range] = []
    applying = [r for r in rules if r["network"] == network and _applies(r, instance)]
    # of the same priority a denial wins
    for rule in sorted(applying, key=lambda r: (r.get("priority", 1000), "denied" not in r)):
        denied += _ports(rule.get("denied", []), every=_ALL)
        for port in chain.from_iterable(_ports(rule.get("allowed", []))):
            if len(found) == MOST:
                return tuple(found)
            if not any(port in ports for ports in denied):
                found[port] = None
    return tuple(found)


def effective(rules: Iterable[Json], instance: Json) -> list[Json]:
    """The enabled rules of the instance's network that are for it, the first ones by priority."""
    network = instance["networkInterfaces"][0]["network"]
    found = [r for r in rules if r["network"] == network and not r.get("disabled")]
    own = [rule for rule in found if _is_target(rule, instance)]
    return sorted(own, key=lambda r: (r.get("priority", 1000), "denied" not in r, r["name"]))


def _applies(rule: Json, instance: Json) -> bool:
    if rule.get("direction") == "EGRESS" or rule.get("disabled"):
        return False
    sources = {*rule.get("sourceRanges", [])}
    only_guests = bool(rule.get("sourceTags") or rule.get("sourceServiceAccounts"))
    if (sources and not sources & _EVERYBODY) or (not sources and only_guests):
        return False
    return _is_target(rule, instance)


def _is_target(rule: Json, instance: Json) -> bool:
    tags, accounts = rule.get("targetTags", []), rule.get("targetServiceAccounts", [])
    if not tags and not accounts:
        return True
    own = {account["email"] for account in instance.get("serviceAccounts", [])}
    return bool({*tags} & {*instance.get("tags", {}).get("items", [])} or {*accounts} & own)


def _ports(entries: Iterable[Json], every: range = range(0)) -> Iterator[range]:
    """The TCP ports of a rule's entries; `every` stands for all, which cannot be opened."""
    for entry in entries:
        protocol = str(entry.get("IPProtocol", "")).lower()
        if protocol == "all" or (protocol in {"tcp", "6"} and not entry.get("ports")):
            yield every
        elif protocol in {"tcp", "6"}:
            for text in entry["ports"]:
                first, _, last = str(text).partition("-")
                if first.isdecimal() and (last or first).isdecimal():
                    yield range(max(int(first), 1), min(int(last or first), 65535) + 1)
