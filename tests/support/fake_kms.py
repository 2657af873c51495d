"""Cloud KMS on loopback: the two calls of its REST API that sign, with a key in memory."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.http_servers import SilentHandler, running

if TYPE_CHECKING:
    from collections.abc import Generator

KEY = "projects/p/locations/global/keyRings/r/cryptoKeys/bakehouse/cryptoKeyVersions/1"


class FakeKms:
    """The one key `KEY`; `answers` are given before it, as (status, reason)."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.algorithm = "EC_SIGN_P256_SHA256"
        self.answers: list[int] = []
        self.calls: list[str] = []
        self.url = ""

    def get(self) -> dict[str, Any]:
        public = self.private.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return {"name": KEY, "pem": pem, "algorithm": self.algorithm}

    def sign(self, body: dict[str, Any]) -> dict[str, Any]:
        digest = base64.b64decode(body["digest"]["sha256"])
        signed = self.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return {"name": KEY, "signature": base64.b64encode(signed).decode()}


@contextmanager
def fake_kms() -> Generator[FakeKms]:
    """Serve one until the block ends."""
    kms = FakeKms()

    class Handler(SilentHandler):
        def do_GET(self) -> None:
            self._answer("getPublicKey", f"/v1/{KEY}/publicKey", lambda _: kms.get())

        def do_POST(self) -> None:
            self._answer("asymmetricSign", f"/v1/{KEY}:asymmetricSign", kms.sign)

        def _answer(self, call: str, path: str, make: Any) -> None:
            kms.calls.append(call)
            body = json.loads(self.body() or "{}")
            status = kms.answers.pop(0) if kms.answers else 200
            if self.path.partition("?")[0] != path:
                status = 404
            told = make(body) if status == 200 else {"error": {"code": status, "message": "no"}}
            self.respond(json.dumps(told).encode(), status, Content_Type="application/json")

    with running(Handler) as port:
        kms.url = f"http://127.0.0.1:{port}"
        yield kms
