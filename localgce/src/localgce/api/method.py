"""The decorator that makes a function the handler of API methods.

    @method("compute.disks.insert")
    def insert(call: Call) -> Json: ...

`routing.py` collects the handlers of all modules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from localgce.api.services import Services
from localgce.core.errors import Json
from localgce.http import call as http_call

Call = http_call.Call[Services]
Handler = Callable[[Call], Json | Awaitable[Json]]

HANDLERS: dict[str, Handler] = {}


def method(*ids: str) -> Callable[[Handler], Handler]:
    """Make the function the handler of these methods; raises ValueError for a second handler."""

    def register(handler: Handler) -> Handler:
        for method_id in ids:
            if method_id in HANDLERS:
                raise ValueError(f"{method_id} has two handlers")
            HANDLERS[method_id] = handler
        return handler

    return register
