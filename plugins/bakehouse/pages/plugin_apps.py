"""What Airflow's plugin registers for the page; importing this costs nothing.

Every process of Airflow imports plugins, also the one that parses DAG files. So the app is made by
its first question, which only the API server gets.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

PREFIX = "bakehouse"
NAME = "Bakehouse images"
"""The page's title, and the name of its component among the browser's globals."""


class LazyApp:
    """An ASGI app that is made when it is first asked."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = cache(make)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Let the app answer."""
        await self._make()(scope, receive, send)


def _app() -> Any:
    from bakehouse.pages import airflow_sources, asset_events
    from bakehouse.pages.airflow_user import current_user, may_read_assets
    from bakehouse.pages.history_api import Services, create_app
    from bakehouse.pages.history_source import HistorySource
    from bakehouse.pages.image_differences import compare
    from bakehouse.pages.run_states import run_state

    source = HistorySource(
        airflow_sources.read_events,
        airflow_sources.list_images,
        airflow_sources.commit_urls,
        airflow_sources.SignedStates(),
        run_state,
    )
    services = Services(
        source,
        compare,
        asset_events=asset_events.read_asset_events,
        freeze=airflow_sources.freeze_in_words,
        boot_limits=airflow_sources.boot_limits,
    )
    return create_app(services, current_user, [may_read_assets()])


FASTAPI_APPS = [{"app": LazyApp(_app), "url_prefix": f"/{PREFIX}", "name": "Bakehouse"}]
REACT_APPS: list[dict[str, Any]] = [
    {
        "name": NAME,
        # relative, so that it also works below a base path
        "bundle_url": f"{PREFIX}/page.js",
        "destination": destination,
        **more,
    }
    for destination, more in (
        ("nav", {"category": "browse", "url_route": "bakehouse_images"}),
        # Airflow drops a second app of the same route
        ("dag", {"url_route": "bakehouse_history"}),
    )
]
