"""Calls to Compute Engine: reads, changes, creations, and the translation of errors.

The connection's extra may name `api_endpoint` (such as http://127.0.0.1:8790), `poll_interval` and
`reads_per_minute`. Every error of a call, authentication included, leaves as one of
`bakehouse.core.errors`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
from airflow.sdk.exceptions import AirflowRuntimeError
from google.api_core.client_options import ClientOptions
from google.auth.exceptions import GoogleAuthError, TransportError
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from httplib2.error import HttpLib2Error

from bakehouse.cloud.discovery_client import Collections, compute
from bakehouse.cloud.errors import Meaning, of_body
from bakehouse.core.errors import (
    AlreadyExists,
    BakehouseError,
    NotFound,
    OutcomeUnknown,
    PermanentError,
    TransientError,
)
from bakehouse.images.labels import is_of_run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

Resource = dict[str, Any]

PAGE = 500  # the most that one list call answers
CALL_TIMEOUT = 30  # seconds for one HTTP exchange; every operation is waited for elsewhere
READ_RETRIES = 2  # of the client itself, for reads only
LOST = (OSError, HTTPException, HttpLib2Error)  # no answer came back


class Calls(GoogleBaseHook):
    """The client of one connection. Not thread safe: one for each thread (`hook.hook_of`)."""

    def __init__(self, gcp_conn_id: str = "google_cloud_default", **kwargs: Any) -> None:
        super().__init__(gcp_conn_id=gcp_conn_id, **kwargs)
        self.reads = 0  # calls made, for the log of a skipped bake and for tests
        self.changes = 0

    @cached_property
    def project(self) -> str:
        """The project in which resources are created."""
        with authentication_errors(f"the connection {self.gcp_conn_id}"):
            return str(self.project_id)

    @property
    def endpoint(self) -> str | None:
        """The URL of a server other than Google's."""
        return self.extras.get("api_endpoint") or None

    @property
    def poll_interval(self) -> float:
        """Seconds between two reads of a waiting trigger."""
        return float(self.extras.get("poll_interval") or 5.0)

    @property
    def reads_per_minute(self) -> float:
        """Budget of the reads that have no list call (serial output, guest attributes)."""
        return float(self.extras.get("reads_per_minute") or 120.0)

    def get_conn(self) -> Any:
        """Return the discovery client; its document is part of the client library."""
        return self._client.whole

    @cached_property
    def _client(self) -> Collections:
        endpoint = self.endpoint
        url = f"{endpoint.rstrip('/')}/compute/v1/" if endpoint else None
        return compute(self._http(), _at(url))

    def _client_of(self, api: str, endpoint: str | None) -> Any:
        """Make the discovery client of an API's v1; `endpoint` is a server other than Google's."""
        return build(
            api,
            "v1",
            http=self._http(),
            cache_discovery=False,
            static_discovery=True,
            client_options=_at(endpoint),
        )

    def _http(self) -> Any:
        with authentication_errors(f"the connection {self.gcp_conn_id}"):
            http = self._authorize()
        http.http.timeout = CALL_TIMEOUT
        return http

    def _pages(
        self, list_: Any, next_: Any, doing: str, *, key: str = "items", **query: Any
    ) -> list[Resource]:
        """Read all pages; `key` is where a page has its resources."""
        found: list[Resource] = []
        call = list_(**{"project": self.project, "maxResults": PAGE, **query})
        while call is not None:
            page = self._read(call, doing)
            found += page.get(key, [])
            call = next_(call, page)
        return found

    def _scopes(self, api: Any, kind: str, filter_: str = "") -> list[Resource]:
        """List all resources of a kind in all zones."""
        found: list[Resource] = []
        call = api.aggregatedList(project=self.project, maxResults=PAGE, filter=filter_ or None)
        while call is not None:
            page = self._read(call, f"list {kind} of all zones")
            _refuse_partial(page, kind)
            for scope in page.get("items", {}).values():
                found += scope.get(kind, [])
            call = api.aggregatedList_next(call, page)
        return found

    def _find(self, call: Any, doing: str) -> Resource | None:
        """Read a resource; None if it does not exist."""
        try:
            return self._read(call, doing)
        except NotFound:
            return None

    def _read(self, call: Any, doing: str) -> Resource:
        self.reads += 1
        return self._run(call, doing, READ_RETRIES)

    def _change(self, call: Any, doing: str) -> Resource:
        self.changes += 1
        return self._run(call, doing, 0)

    def _run(self, call: Any, doing: str, retries: int) -> Resource:
        try:
            return dict(call.execute(num_retries=retries) or {})
        except HttpError as error:
            raise _refused(error, doing) from error
        except GoogleAuthError as error:
            raise unauthenticated(error, doing) from error
        except LOST as error:
            raise OutcomeUnknown(f"{doing}: {type(error).__name__}: {error}") from error

    def _repeat(self, call: Any, doing: str) -> Resource:
        """Make an idempotent change; call again if the answer was lost."""
        try:
            return self._change(call, doing)
        except OutcomeUnknown as lost:
            self.log.warning("%s; calling again", lost)
            return self._settled(call, doing)

    def _remove(self, call: Any, doing: str) -> Resource | None:
        """Delete a resource; a missing one counts as deleted."""
        try:
            return self._repeat(call, doing)
        except NotFound:
            return None

    def _create(
        self, call: Any, doing: str, look: Callable[[], Resource | None], labels: Mapping[str, str]
    ) -> Resource | None:
        """Create a resource; if the answer is lost, check whether it exists before calling again.

        None if it exists and belongs to this run; AlreadyExists if it belongs to another.
        """
        try:
            return self._change(call, doing)
        except OutcomeUnknown as lost:
            if self._stands(look, labels, doing):
                self.log.warning("%s; the call had succeeded", lost)
                return None
            self.log.warning("%s; the call had no effect, calling again", lost)
        except AlreadyExists as taken:
            if self._stands(look, labels, doing):
                return None
            # it is just being deleted, or was made a moment ago and is not shown yet
            self.log.warning("%s; nothing of this name is found, calling again", taken)
        # the same requestId: at most one is made
        return self._created_again(call, doing, look, labels)

    def _created_again(
        self, call: Any, doing: str, look: Callable[[], Resource | None], labels: Mapping[str, str]
    ) -> Resource | None:
        try:
            return self._settled(call, doing)
        except AlreadyExists as taken:
            if self._stands(look, labels, doing):
                return None
            raise TransientError(f"{taken}, but nothing of this name is found") from taken

    def _stands(
        self, look: Callable[[], Resource | None], labels: Mapping[str, str], doing: str
    ) -> bool:
        found = look()
        if found is None:
            return False
        if not is_of_run(found, labels):
            raise AlreadyExists(
                f"{doing}: a resource of this name exists that this run did not create"
            )
        return True

    def _settled(self, call: Any, doing: str) -> Resource:
        try:
            return self._change(call, doing)
        except OutcomeUnknown as lost:
            raise TransientError(f"{doing}: {lost}") from lost


def _refuse_partial(page: Resource, kind: str) -> None:
    """Raise if zones were unreachable: their resources are missing in the list, not deleted."""
    unreachable = [str(scope) for scope in page.get("unreachables") or []]
    unreachable += [
        name
        for name, scope in page.get("items", {}).items()
        if (scope.get("warning") or {}).get("code") == "UNREACHABLE"
    ]
    if unreachable:
        raise TransientError(
            f"list {kind} of all zones: {', '.join(unreachable)} cannot be reached"
        )


@contextmanager
def authentication_errors(doing: str) -> Generator[None]:
    """Translate errors before the first call: a missing or bad key file, a missing connection.

    Raises:
        PermanentError: The connection must be corrected.
        TransientError: Google's token server did not answer.
    """
    try:
        yield
    except BakehouseError:
        raise
    except GoogleAuthError as error:
        raise unauthenticated(error, doing) from error
    except AirflowRuntimeError as error:  # the API server did not say what the connection is
        raise TransientError(f"{doing}: {error}") from error
    except Exception as error:  # whatever a broken key file makes of Google's libraries
        raise PermanentError(
            f"{doing}: {type(error).__name__}: {error}; correct the connection"
        ) from error


def unauthenticated(error: GoogleAuthError, doing: str) -> BakehouseError:
    """Return the error for a token that could not be fetched."""
    text = f"{doing}: {type(error).__name__}: {error}"
    if isinstance(error, TransportError) or error.retryable:
        return TransientError(text)
    return PermanentError(f"{text}; correct the connection's credentials")


def _refused(error: HttpError, doing: str) -> BakehouseError:
    try:
        body = json.loads(error.content)
    except ValueError:
        body = {}
    status = int(error.resp.status)
    answer = of_body(status, body if isinstance(body, dict) else {})
    if status == 404:
        return NotFound(f"{doing}: {answer.message}")
    if answer.reason == "alreadyExists":
        return AlreadyExists(f"{doing}: {answer.message}")
    if answer.meaning is Meaning.UNKNOWN:
        return OutcomeUnknown(f"{doing}: {answer.message}")
    return answer.error(doing)


def _at(endpoint: str | None) -> ClientOptions | None:
    return ClientOptions(api_endpoint=endpoint) if endpoint else None
