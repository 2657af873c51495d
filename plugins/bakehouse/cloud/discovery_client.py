"""The discovery client of Compute Engine, of a document and of methods that a process makes once.

The client library parses the document (three megabytes) for each client, and makes all methods of a
collection, with their documentation, each time that the collection is asked for. Together that was
a third of the processor time of a task that begins a member.
"""

from __future__ import annotations

import json
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any

from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from httplib2 import Http

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.api_core.client_options import ClientOptions

OF_TASKS = ("instances", "images", "disks", "zoneOperations", "globalOperations")
# what a collection has from its client
OF_A_CLIENT = (
    "_http",
    "_baseUrl",
    "_model",
    "_requestBuilder",
    "_developerKey",
    "_universe_domain",
    "_credentials_validated",
)

_making = RLock()  # who makes methods completes the document, which all threads share


class Collections:
    """The collections of a discovery client (`instances()`), each made once.

    Args:
        whole: the client.
        pattern: makes a collection of this name, of any client.
    """

    def __init__(self, whole: Any, pattern: Callable[[str], Any]) -> None:
        self.whole, self.pattern = whole, pattern

    def __getattr__(self, name: str) -> Callable[[], Any]:
        collection = like(self.pattern(name), self.whole)
        made = self.__dict__[name] = lambda: collection
        return made


def compute(http: Any, options: ClientOptions | None = None) -> Collections:
    """Return the client of Compute Engine's v1; nothing is asked for, the document is here."""
    with _making:
        whole = build_from_document(_document(), http=http, client_options=options)
    return Collections(whole, _pattern)


def prepare() -> None:
    """Make what tasks need, in a process that forks them."""
    for name in OF_TASKS:
        _pattern(name)


def like(pattern: Any, whole: Any) -> Any:
    """Return a collection of the client `whole` with the methods of another client's."""
    made = object.__new__(type(pattern))
    of_client = {name: vars(whole)[name] for name in OF_A_CLIENT}
    methods = {
        name: vars(pattern)[name].__func__.__get__(made) for name in vars(pattern)["_dynamic_attrs"]
    }
    vars(made).update(vars(pattern) | of_client | methods)
    return made


def _pattern(name: str) -> Any:
    with _making:
        return _made(name)


@cache
def _made(name: str) -> Any:
    return getattr(_nobodys_client(), name)()


@cache
def _nobodys_client() -> Any:
    return build_from_document(_document(), http=Http())


@cache
def _document() -> dict[str, Any]:
    text = get_static_doc("compute", "v1")
    if text is None:
        raise LookupError("the client library has no document of Compute Engine's v1")
    found: dict[str, Any] = json.loads(text)
    return found
