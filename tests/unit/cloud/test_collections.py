"""A discovery client is asked for each of its collections once."""

from __future__ import annotations

from collections import Counter

from bakehouse.cloud.calls import Collections


class Client:
    """Makes a collection anew each time, as the discovery client does."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()

    def instances(self) -> object:
        self.made["instances"] += 1
        return object()

    def disks(self) -> object:
        self.made["disks"] += 1
        return object()


def test_a_collection_is_made_once_and_when_it_is_used() -> None:
    client = Client()
    collections = Collections(client)
    assert client.made == {}
    first = collections.instances()
    assert collections.instances() is first
    assert collections.disks() is not first
    assert client.made == {"instances": 1, "disks": 1}
