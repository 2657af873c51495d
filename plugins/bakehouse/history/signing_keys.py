"""The key that signs, a file of this computer or a key of Cloud KMS, and those that are trusted.

The Variable `bakehouse_signing_key` names it: `file:///etc/bakehouse/key.pem` or
`gcpkms:projects/…/cryptoKeyVersions/1`. Without it the key is
`$AIRFLOW_HOME/bakehouse/signing-key.pem`, which the first signature makes.

A private key never leaves its place. Its public half is added to the Variable
`bakehouse_trusted_keys`, which lies in Airflow's database: who can write the ledger, or the labels
of images, cannot write there.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from airflow.sdk import Variable

from bakehouse.core.errors import PermanentError
from bakehouse.history.key_file import (
    KMS,
    MAKE_ONE,
    SIGNING_KEY,
    default_key_file,
    key_file_of,
    make_key,
    private_key,
    problem_of_file,
)
from bakehouse.history.trusted_keys import (
    TRUSTED_KEYS,
    UNSIGNED_IMAGES,
    BadSetting,
    TrustedKey,
    dump_trusted_keys,
    parse_trusted_keys,
    unsigned_rule,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from securesystemslib.signer import Key, Signer

    from bakehouse.images.attestation import UnsignedRule


log = logging.getLogger(__name__)


class SigningKey(NamedTuple):
    """What signs, and since when it does."""

    signer: Signer
    trusted: TrustedKey


class Trust(NamedTuple):
    """By what an image is verified."""

    keys: Mapping[str, Key]
    """By their ids, 64 hex characters."""
    unsigned: UnsignedRule


def signing_key(gcp_conn_id: str) -> SigningKey:
    """The key that signs; a local one is made if there is none, and its public half is trusted.

    Raises:
        PermanentError: It cannot be read, made or used; the message has the remedy.
        BakehouseError: Of a call to Cloud KMS.
    """
    named = _variable(SIGNING_KEY)
    if not named:
        make_key(default_key_file())
    found = _own_key(named, gcp_conn_id)
    if found is None:
        raise PermanentError(f"the signing key {_file_of(named)} does not exist: {MAKE_ONE}")
    _remember(found)
    return found


def read_trust(gcp_conn_id: str | None = "google_cloud_default") -> Trust:
    """The keys that are trusted, this Bakehouse's own among them, and the rule for unsigned images.

    Args:
        gcp_conn_id: of Cloud KMS, whose key is asked for only if the Variable lacks it; None: it is
            never asked.

    Raises:
        PermanentError: A Variable cannot be read.
    """
    try:
        listed = parse_trusted_keys(_variable(TRUSTED_KEYS))
        named = _variable(SIGNING_KEY)
        asks_kms = named.startswith(KMS)
        if not asks_kms or (gcp_conn_id is not None and not listed):
            listed = {**_own_public_key(named, gcp_conn_id or ""), **listed}
        keys = {key.keyid: key for key in map(_key_of, listed.values())}
        since = [key.since for key in listed.values() if key.since is not None]
        return Trust(keys, unsigned_rule(_variable(UNSIGNED_IMAGES), since))
    except BadSetting as wrong:
        raise PermanentError(f"the Variable {wrong}") from wrong


def _own_key(named: str, gcp_conn_id: str) -> SigningKey | None:
    """The key that signs; None of a file that does not exist."""
    if named.startswith(KMS):
        from bakehouse.history.kms_signer import KmsSigner

        signer = KmsSigner.of_key(named.removeprefix(KMS), gcp_conn_id)
        trusted = TrustedKey(
            public_key=signer.public_key.keyval["public"], scheme=signer.public_key.scheme
        )
        return SigningKey(signer, trusted)
    file = _file_of(named)
    if not file.exists():
        return None
    if problem := problem_of_file(file):
        raise PermanentError(f"the signing key {file} {problem}")
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.signer import CryptoSigner

    private = private_key(file)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made = datetime.fromtimestamp(int(file.stat().st_mtime), UTC)
    return SigningKey(CryptoSigner(private), TrustedKey(public_key=pem.decode(), since=made))


def _own_public_key(named: str, gcp_conn_id: str) -> dict[str, TrustedKey]:
    """The public half of the key that signs; nothing where it cannot be read, as in a page."""
    try:
        own = _own_key(named, gcp_conn_id)
    except PermanentError as unread:
        log.info("signatures by it count only if %s has its public key: %s", TRUSTED_KEYS, unread)
        return {}
    return {"own": own.trusted} if own is not None else {}


def _key_of(trusted: TrustedKey) -> Key:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        public = load_pem_public_key(trusted.public_key.encode())
        return SSlibKey.from_crypto(public, scheme=trusted.scheme)
    except ValueError as wrong:
        raise BadSetting(f"{TRUSTED_KEYS} has a key that cannot be read: {wrong}") from wrong


def _remember(found: SigningKey) -> None:
    """Add the public key to those that are trusted, with the moment of its first use."""
    key_id = found.signer.public_key.keyid
    listed = parse_trusted_keys_or_fail(_variable(TRUSTED_KEYS))
    if any(_key_of(key).keyid == key_id for key in listed.values()):
        return
    since = found.trusted.since or datetime.now(UTC).replace(microsecond=0)
    added = {**listed, key_id: found.trusted.model_copy(update={"since": since})}
    try:
        Variable.set(TRUSTED_KEYS, dump_trusted_keys(added))
    except Exception as refused:  # other workers may not trust it; this one does
        log.warning("the key %s could not be added to %s: %s", key_id[:12], TRUSTED_KEYS, refused)
    else:
        log.info("the key %s is trusted from now on (Variable %s)", key_id[:12], TRUSTED_KEYS)


def parse_trusted_keys_or_fail(text: str) -> dict[str, TrustedKey]:
    """The same as `parse_trusted_keys`, for tasks. Raises PermanentError."""
    try:
        return parse_trusted_keys(text)
    except BadSetting as wrong:
        raise PermanentError(f"the Variable {wrong}") from wrong


def _file_of(named: str) -> Path:
    return key_file_of(named) if named else default_key_file()


def _variable(name: str) -> str:
    return str(Variable.get(name, default="") or "").strip()
