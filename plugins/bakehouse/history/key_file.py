"""The file of the private key that signs: made once, and read by its owner alone."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bakehouse.core.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNING_KEY = "bakehouse_signing_key"  # the Variable
KMS = "gcpkms:"
MAKE_ONE = "openssl genpkey -algorithm ed25519 -out KEY.pem && chmod 600 KEY.pem"
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP

log = logging.getLogger(__name__)


def default_key_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The file of the key where no Variable names one."""
    home = Path(environment.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return home / "bakehouse" / "signing-key.pem"


def key_file_of(named: str) -> Path:
    """The file that a value of `bakehouse_signing_key` names, `file:///PATH`."""
    return Path(unquote(urlsplit(named).path))


def make_key(file: Path) -> None:
    """Make a private key that its owner alone can read, unless there is one; of two one stays.

    Raises:
        PermanentError: The file cannot be written.
    """
    if file.exists():
        return
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".") as half:  # of mode 0600
            half.write(pem)
            half.flush()
            os.fsync(half.fileno())
            os.link(half.name, file)
    except FileExistsError:
        return  # another process was faster: its key is the one
    except OSError as refused:
        raise PermanentError(
            f"no signing key can be made in {file}: {refused}. Set the Variable {SIGNING_KEY} to"
            f" file:///PATH of one ({MAKE_ONE}), or to {KMS}projects/…/cryptoKeyVersions/1"
        ) from refused
    log.info("made the signing key %s; keep a copy of it, and of nothing else", file)


def problem_of_file(file: Path) -> str:
    """What is wrong with a file of a private key that exists; empty if nothing is."""
    return ": ".join(filter(None, problem_and_remedy(file)))


def problem_and_remedy(file: Path) -> tuple[str, str]:
    """What is wrong with a file of a private key that exists, and what mends the file as it is."""
    try:
        known = file.stat()
    except OSError as unread:
        return f"cannot be read: {unread.strerror}", ""
    if known.st_uid not in {os.geteuid(), 0}:
        return f"belongs to the user {known.st_uid}", "chown it to the user of Airflow"
    if known.st_mode & _TOO_OPEN:
        return f"has the mode {stat.S_IMODE(known.st_mode):04o}", f"chmod 600 {file}"
    try:
        private_key(file)
    except PermanentError as wrong:
        return str(wrong), ""
    return "", ""


def private_key(file: Path) -> Any:
    """Read a private key. Raises PermanentError; the message lacks the name of the file."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(file.read_bytes(), None)
    except OSError as unread:
        raise PermanentError(f"cannot be read: {unread.strerror}") from unread
    except (ValueError, TypeError) as wrong:
        raise PermanentError(f"is no private key in PEM without a password: {wrong}") from wrong
