"""Signs with a key of Cloud KMS, by the connection of Google Cloud.

securesystemslib's own signer takes the credentials of the environment, and no endpoint.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NoReturn

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey

from bakehouse.core.errors import PermanentError

if TYPE_CHECKING:
    from bakehouse.cloud.kms_calls import KmsCalls

SCHEMES = {
    "EC_SIGN_P256_SHA256": "ecdsa-sha2-nistp256",
    "EC_SIGN_P384_SHA384": "ecdsa-sha2-nistp384",
    "RSA_SIGN_PSS_2048_SHA256": "rsassa-pss-sha256",
    "RSA_SIGN_PSS_3072_SHA256": "rsassa-pss-sha256",
    "RSA_SIGN_PSS_4096_SHA256": "rsassa-pss-sha256",
    "RSA_SIGN_PSS_4096_SHA512": "rsassa-pss-sha512",
    "RSA_SIGN_PKCS1_2048_SHA256": "rsa-pkcs1v15-sha256",
    "RSA_SIGN_PKCS1_3072_SHA256": "rsa-pkcs1v15-sha256",
    "RSA_SIGN_PKCS1_4096_SHA256": "rsa-pkcs1v15-sha256",
    "RSA_SIGN_PKCS1_4096_SHA512": "rsa-pkcs1v15-sha512",
}
"""Algorithm of Cloud KMS -> scheme of securesystemslib."""


class KmsSigner(Signer):
    """Signs with one version of a key: `projects/…/cryptoKeyVersions/N`."""

    def __init__(self, key: str, public_key: SSlibKey, calls: KmsCalls) -> None:
        self._key, self._public_key, self._calls = key, public_key, calls

    @classmethod
    def of_key(cls, key: str, gcp_conn_id: str) -> KmsSigner:
        """Read the public key.

        Raises:
            PermanentError: The algorithm of the key is none that can be verified elsewhere.
            BakehouseError: Of the call.
        """
        from bakehouse.cloud.kms_calls import KmsCalls

        calls = KmsCalls(gcp_conn_id)
        pem, algorithm = calls.public_key(key)
        if algorithm not in SCHEMES:
            known = ", ".join(SCHEMES)
            raise PermanentError(f"{key} has the algorithm {algorithm}; it must be one of {known}")
        public = load_pem_public_key(pem.encode())
        return cls(key, SSlibKey.from_crypto(public, scheme=SCHEMES[algorithm]), calls)

    @property
    def public_key(self) -> SSlibKey:
        """The public half."""
        return self._public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> NoReturn:
        """Not offered: a connection is needed besides."""
        raise NotImplementedError("use KmsSigner.of_key")

    def sign(self, payload: bytes) -> Signature:
        """Return the signature of the payload, whose digest alone leaves this computer."""
        hash_name = self._public_key.get_hash_algorithm_name()
        digest = hashlib.new(hash_name, payload).digest()
        signed = self._calls.sign_digest(self._key, hash_name, digest)
        return Signature(self._public_key.keyid, signed.hex())
