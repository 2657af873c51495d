"""The calls to Cloud KMS that sign: a public key, and the signature of a digest.

The connection's extra may name `kms_endpoint`, such as http://127.0.0.1:8791 or a private one.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import cached_property
from typing import Any, NamedTuple

from bakehouse.cloud.calls import READ_RETRIES, Calls


class KmsPublicKey(NamedTuple):
    """The public half of a key version; `algorithm` as Cloud KMS names it."""

    pem: str
    algorithm: str


class KmsCalls(Calls):
    """Cloud KMS v1 of one connection; a key is `projects/…/cryptoKeyVersions/N`."""

    def public_key(self, key: str) -> KmsPublicKey:
        """Read the public key. Errors are those of `bakehouse.core.errors`."""
        found = self._run(self._keys.getPublicKey(name=key), f"read {key}", READ_RETRIES)
        return KmsPublicKey(str(found["pem"]), str(found["algorithm"]))

    def sign_digest(self, key: str, hash_name: str, digest: bytes) -> bytes:
        """Return the signature of a digest of `sha256`, `sha384` or `sha512`.

        Another call makes another signature and changes nothing, so a lost one is repeated.
        """
        body = {"digest": {hash_name: b64encode(digest).decode()}}
        call = self._keys.asymmetricSign(name=key, body=body)
        return b64decode(self._run(call, f"sign with {key}", READ_RETRIES)["signature"])

    @cached_property
    def _keys(self) -> Any:
        kms = self._client_of("cloudkms", self.extras.get("kms_endpoint"))
        return kms.projects().locations().keyRings().cryptoKeys().cryptoKeyVersions()
