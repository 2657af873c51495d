"""Which requests are refused before they are read: those that a web page can send.

The server has no passwords: whoever reaches its port may do everything. A page in a browser on this
machine reaches it too: by a name that resolves to 127.0.0.1 (DNS rebinding), a form, or an image.
Browsers say so in `Host`, `Origin` and `Sec-Fetch-Site`, and send JSON only after they have asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localgce.core.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

# not 0.0.0.0, which browsers have let pages reach, and no name with a dot at its end
_OWN_HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_OWN_SITE = {b"none", b"same-origin"}  # typed by the user; not same-site, which is any port
# of pages that only read, which a link on another page may lead to
CONSOLE = "/_localgce/console"
_JSON = b"application/json"
_BATCH = b"multipart/mixed"  # its parts are checked as JSON


def check_headers(
    headers: Iterable[tuple[bytes, bytes]], *, batch: bool = False, console: bool = False
) -> None:
    """Raise 403 for a request that may be of a web page, and 415 for a body that is not JSON.

    Args:
        headers: as ASGI has them, with names in lower case.
        batch: whether the path is that of batch requests, which are multipart.
        console: whether it is a GET of the console, which a link on another site may lead to.
    """
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value.strip())
    host = found.get(b"host", [])
    if len(host) != 1 or not _OWN_HOST.fullmatch(host[0]):
        raise _forbidden("Host", host, "127.0.0.1, localhost or [::1], with a port")
    for origin in found.get(b"origin", []):
        if origin.lower() != b"http://" + host[0].lower():
            raise _forbidden("Origin", [origin], f"http://{_text(host)}, or none")
    followed = console and _is_followed_link(found)
    for site in found.get(b"sec-fetch-site", []):
        if not followed and site.lower() not in _OWN_SITE:
            raise _forbidden("Sec-Fetch-Site", [site], "same-origin or none")
    if _has_body(found):
        _check_type(found.get(b"content-type", []), batch=batch)


def is_console(method: str, path: str) -> bool:
    """Whether a request reads a page of the console."""
    return method == "GET" and (path == CONSOLE or path.startswith(f"{CONSOLE}/"))


def _is_followed_link(found: dict[bytes, list[bytes]]) -> bool:
    """Whether the browser shows the answer as a page of its own: not to a script, in no frame."""
    mode, shown = found.get(b"sec-fetch-mode", []), found.get(b"sec-fetch-dest", [])
    return mode == [b"navigate"] and shown == [b"document"]


def _check_type(given: list[bytes], *, batch: bool) -> None:
    expected = _BATCH if batch else _JSON
    kinds = [value.partition(b";")[0].strip().lower() for value in given]
    if kinds != [expected]:
        text = f"The body is '{_text(given)}'; the Content-Type must be {expected.decode()}."
        raise ApiError(415, "unsupportedMediaType", text)


def _has_body(found: dict[bytes, list[bytes]]) -> bool:
    return b"transfer-encoding" in found or found.get(b"content-length", [b"0"]) != [b"0"]


def _forbidden(header: str, given: list[bytes], expected: str) -> ApiError:
    text = f"localgce does not answer web pages: {header} is '{_text(given)}', not {expected}."
    return ApiError(403, "forbidden", text, location=header, location_type="header")


def _text(given: list[bytes]) -> str:
    return ", ".join(value.decode("latin-1") for value in given)
