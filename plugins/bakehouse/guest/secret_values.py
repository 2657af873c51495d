"""Fetches the secrets that metadata refers to from Secret Manager. Runs in the guest.

The value `secret://NAME[/VERSION]` of an attribute stands for a version of a secret in the
instance's own project; `latest` without VERSION. It is read with the token that the metadata
server has for the instance's service account. What is fetched stays in memory until a template
writes it: it is in no message, and `Hidden` takes it out of texts that others see.

Neither metadata nor a template can choose where the token goes: the endpoint is Google's, unless
the environment of the process, which only the image decides, names another one, and redirects are
not followed. Python 3.9, nothing else.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MASK = "***"
SECONDS = 60  # for all secrets of a rendering, retries included
_REQUEST = 10  # seconds of one request
_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"  # as gcloud names it
_REFERENCE = re.compile(r"secret://(?P<name>[\w-]{1,255})(?:/(?P<version>[\w-]{1,63}))?", re.ASCII)
_FORM = "write secret://NAME or secret://NAME/VERSION; a name has letters, digits, - and _"
_LINE = 6  # characters of a line of a secret that is hidden by itself; not `}`
_ROLE = "roles/secretmanager.secretAccessor"
_PASSING = {408, 429, 500, 502, 503, 504}
_WHOLE = re.compile(  # `attributes` otherwise than for one key
    r"\battributes\b(?!\s*(?:\[\s*[\"']|\.get\(\s*[\"']|\.(?!(?:get|items|keys|values)\b)\w))"
)


class Reference(NamedTuple):
    """A version of a secret in the project of the instance."""

    name: str
    version: str


class Unavailable(Exception):
    """A secret cannot be read; the message says why, and the remedy."""


class _Passing(Exception):
    """A request failed in a way that may pass."""


def is_reference(value: str) -> bool:
    """Whether a value is meant to be a reference, be it right or wrong."""
    return value.strip().startswith("secret:/")


def parse(value: str) -> Reference:
    """Parse a reference. Raises Unavailable for a malformed one."""
    found = _REFERENCE.fullmatch(value.strip())
    if found is None:
        raise Unavailable(f"is malformed: {_FORM}")
    return Reference(found["name"], found["version"] or "latest")


class Hidden:
    """Texts without secrets: each value is hidden in every form that a template may write."""

    def __init__(self, values: Iterable[str]) -> None:
        """Take the values of secrets."""
        found = {form for value in values for form in forms(value)}
        self.forms = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text with MASK in place of secrets."""
        for form in self.forms:
            text = text.replace(form, MASK)
        return text

    def inside(self, data: bytes) -> bool:
        """Whether the content of a file has a secret in it."""
        text = data.decode("utf-8", "replace")
        return any(form in text for form in self.forms)


def forms(value: str) -> set[str]:
    """Return a value and its lines in the forms of templates: JSON, HTML, URLs, base64."""
    lines = (line.strip() for line in value.splitlines())
    texts = {value, value.strip(), *(line for line in lines if len(line) >= _LINE)} - {""}
    return {
        form
        for text in texts
        for form in (
            text,
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            html.escape(text),
            quote(text),
            quote(text, safe=""),
            quote_plus(text),
            b64encode(text.encode()).decode(),
        )
    }


class Resolved(NamedTuple):
    """Metadata with secrets in place of references, what hides them, and what was wrong."""

    instance: dict[str, Any]
    project: dict[str, str]
    hidden: Hidden
    wrong: list[str]


def used_by(texts: Iterable[str]) -> Callable[[str], bool]:
    """Return whether templates use an attribute: they name it, or use all `attributes`."""
    text = "\n".join(texts)
    whole = _WHOLE.search(text) is not None
    return lambda key: whole or key in text or key.replace("-", "_") in text


def resolve(
    instance: Mapping[str, Any],
    project: Mapping[str, str],
    used: Callable[[str], bool],
    fetch: Callable[[Reference], str] | None = None,
) -> Resolved:
    """Fetch each secret that an attribute refers to, once.

    Args:
        instance: The metadata of the instance; its attributes win over those of the project.
        project: The attributes of the project.
        used: Whether an attribute is used. Others keep their reference: other instances may be
            allowed what this one is not.
        fetch: Returns the value of a secret; from Secret Manager by default.
    """
    own: Mapping[str, str] = instance.get("attributes", {})
    fetch = fetch or SecretManager(time.monotonic() + SECONDS).value
    values: dict[str, str] = {}
    wrong: list[str] = []
    found: dict[str, str] = {}
    for key, value in sorted({**project, **own}.items()):
        if not is_reference(str(value)) or not used(key):
            continue
        reference = value.strip()
        try:
            if reference not in found:
                found[reference] = fetch(parse(reference))
            values[key] = found[reference]
        except Unavailable as why:
            wrong.append(f"metadata {key}: {reference} {why}")
    attributes = {key: values.get(key, value) for key, value in own.items()}
    return Resolved(
        {**instance, "attributes": attributes},
        {key: values.get(key, value) for key, value in project.items()},
        Hidden(found.values()),
        wrong,
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the token along."""

    def redirect_request(self, *_: Any) -> None:
        """Return no other request: the answer is an HTTPError."""


class SecretManager:
    """Reads secrets with the token of the instance's service account."""

    def __init__(self, deadline: float) -> None:
        """Take the moment of time.monotonic() after which nothing is tried again."""
        self._deadline = deadline
        self._token = ""
        self._project = ""
        host = os.environ.get("GCE_METADATA_HOST") or "169.254.169.254"
        self._metadata = f"http://{host}/computeMetadata/v1"
        endpoint = os.environ.get(_ENDPOINT) or "https://secretmanager.googleapis.com/"
        self._endpoint = endpoint.rstrip("/")

    def value(self, secret: Reference) -> str:
        """Return the content of a secret. Raises Unavailable."""
        path = f"secrets/{secret.name}/versions/{secret.version}"
        pause = 1.0
        while True:
            try:
                self._authenticate()
                return self._read(f"projects/{self._project}/{path}", secret)
            except _Passing as passing:
                if time.monotonic() + pause > self._deadline:
                    raise Unavailable(f"cannot be read in {SECONDS} s: {passing}") from None
                time.sleep(pause)
                pause = min(pause * 2, 10)

    def _authenticate(self) -> None:
        if self._token:
            return
        try:
            self._project = self._of_metadata("project/project-id")
            told = self._of_metadata("instance/service-accounts/default/token")
        except urllib.error.HTTPError as error:
            if error.code not in {403, 404}:
                raise _Passing(f"the metadata server answers {error.code}") from None
            raise Unavailable(
                "cannot be read: the instance has no service account, whose token is needed."
                " Give it one, with the scope cloud-platform"
            ) from None
        self._token = json.loads(told)["access_token"]

    def _of_metadata(self, path: str) -> str:
        headers = {"Metadata-Flavor": "Google"}
        request = urllib.request.Request(f"{self._metadata}/{path}", headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
        return _answer(opener, request)

    def _read(self, path: str, secret: Reference) -> str:
        url = f"{self._endpoint}/v1/{path}:access"
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(url, headers=headers)
        try:
            answer = _answer(urllib.request.build_opener(_NoRedirects), request)
        except urllib.error.HTTPError as error:
            reason, state = _error_of(error)
            if error.code in _PASSING:
                raise _Passing(f"Secret Manager answers {error.code}") from None
            raise Unavailable(self._refused(error.code, reason, state, secret)) from None
        try:
            data = b64decode(json.loads(answer)["payload"]["data"], validate=True)
        except (ValueError, KeyError, TypeError):
            raise Unavailable("cannot be read: the answer is not one of Secret Manager") from None
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise Unavailable("is not text in UTF-8, which a template cannot write") from None

    def _refused(self, code: int, reason: str, state: str, secret: Reference) -> str:
        where = f"in the project {self._project}"
        if reason == "SERVICE_DISABLED":
            return (
                f"cannot be read: Secret Manager is not enabled {where}:"
                " gcloud services enable secretmanager.googleapis.com"
            )
        if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
            return "cannot be read: the scopes of the instance lack cloud-platform"
        if code == 403:
            account = "the instance's service account"
            with suppress(OSError, _Passing):
                account = self._of_metadata("instance/service-accounts/default/email").strip()
            return (
                f"is denied to {account}: gcloud secrets add-iam-policy-binding {secret.name}"
                f" --member=serviceAccount:{account} --role={_ROLE}"
            )
        if code == 404:
            return (
                f"does not exist {where}: there is no secret {secret.name}, or no version"
                f" {secret.version} of it. Create it, or correct the name"
            )
        if state == "FAILED_PRECONDITION":
            return (
                f"cannot be read: the version {secret.version} is disabled or destroyed:"
                f" gcloud secrets versions enable {secret.version} --secret={secret.name},"
                " or name another version"
            )
        return f"cannot be read: Secret Manager answers {code} {state}".rstrip()


def _answer(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> str:
    """Return the text of an answer. Raises HTTPError, and _Passing without an answer."""
    try:
        with opener.open(request, timeout=_REQUEST) as answer:
            text: str = answer.read().decode("utf-8")
            return text
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise _Passing(str(getattr(error, "reason", None) or error)) from None


def _error_of(error: urllib.error.HTTPError) -> tuple[str, str]:
    """Return the reason and the status of an error of a Google API; empty if it is not one."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        told = json.loads(error.read())["error"]
        reasons = [one["reason"] for one in told.get("details", ()) if "reason" in one]
        return (reasons or [""])[0], str(told.get("status", ""))
    return "", ""


def main(arguments: list[str]) -> int:
    """Write logins for apt, from lines `machine login reference`, a tab between.

    Returns:
        The exit code: 1 when a secret cannot be read, which is printed, and nothing is written.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--apt-auth", type=Path, required=True, help="the file to write")
    parser.add_argument("logins", nargs="+")
    given = parser.parse_args(arguments)
    manager = SecretManager(time.monotonic() + SECONDS)
    lines, wrong = [], []
    for login in given.logins:
        machine, user, reference = login.split("\t")
        try:
            password = manager.value(parse(reference)).strip("\r\n")
            if not password or re.search(r"\s", password):
                raise Unavailable("is empty or has white space, which apt_auth.conf cannot have")
            lines.append(f"machine {machine} login {user} password {password}\n")
        except Unavailable as why:
            wrong.append(f"builder.apt_auth of {machine}: {reference} {why}")
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    opened = os.open(given.apt_auth, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write("".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
