"""The collections of discovery clients share what the client library makes of the document."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.api_core.client_options import ClientOptions
from googleapiclient.discovery import build
from httplib2 import Http

from bakehouse.cloud import discovery_client
from bakehouse.cloud.discovery_client import Collections, compute

HERE, THERE = "http://127.0.0.1:1/compute/v1/", "http://127.0.0.1:2/compute/v1/"


def at(url: str) -> Collections:
    return compute(Http(), ClientOptions(api_endpoint=url))


def test_a_collection_is_made_once_and_when_it_is_used() -> None:
    asked: Counter[str] = Counter()
    pattern = build("compute", "v1", http=Http()).instances()

    def of(name: str) -> Any:
        asked[name] += 1
        return pattern

    collections = Collections(at(HERE).whole, of)
    assert asked == {}
    first = collections.instances()
    assert collections.instances() is first
    assert collections.disks() is not first
    assert asked == {"instances": 1, "disks": 1}


def test_clients_share_the_methods_and_nothing_else() -> None:
    one, other = at(HERE), at(THERE)
    assert one.instances() is not other.instances()
    assert one.instances().get.__func__ is other.instances().get.__func__
    named = {"project": "p", "zone": "z", "instance": "i"}
    calls = [client.instances().get(**named) for client in (one, other)]
    assert [call.uri.partition("/compute")[0] for call in calls] == [
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
    ]
    assert calls[0].http is one.whole._http
    assert calls[1].http is other.whole._http


def test_a_call_is_the_one_that_the_library_makes_by_itself() -> None:
    library = build("compute", "v1", http=Http(), client_options=ClientOptions(api_endpoint=HERE))
    ours = at(HERE)
    arguments: dict[str, Any] = {"project": "p", "zone": "z", "body": {"name": "x"}}
    for collection in ("instances", "disks"):
        made = [getattr(c, collection)().insert(**arguments) for c in (library, ours)]
        assert len({(call.uri, call.method, call.body) for call in made}) == 1
    pages = [c.instances().list(project="p", zone="z") for c in (library, ours)]
    following = [
        c.instances().list_next(call, {"nextPageToken": "t"})
        for c, call in zip((library, ours), pages, strict=True)
    ]
    assert following[0].uri == following[1].uri
    assert "pageToken=t" in following[1].uri


def test_threads_that_make_the_same_collections_at_once_do_not_disturb_each_other() -> None:
    discovery_client._made.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: at(HERE).disks().get.__func__, range(16)))
    assert len(set(found)) == 1
