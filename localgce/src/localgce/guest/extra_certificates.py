"""Runs inside the public image: extra_certificates.py HOST_BUNDLE DEBIAN_BUNDLE FOLDER.

Writes each certificate of the host's bundle that Debian's own lacks into FOLDER as a file of its
own, where `update-ca-certificates` picks it up.
"""

import base64
import hashlib
import re
import sys
from pathlib import Path

CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+(.+?)\s+-----END CERTIFICATE-----", re.DOTALL
)


def certificates(bundle: Path) -> dict[str, str]:
    """Fingerprint (SHA-256) to PEM of each certificate in the bundle; {} if there is none."""
    text = bundle.read_text("ascii", errors="replace") if bundle.exists() else ""
    return {
        hashlib.sha256(base64.b64decode(found[1])).hexdigest(): found[0] + "\n"
        for found in CERTIFICATE.finditer(text)
    }


def main(host: str, debian: str, folder: str) -> None:
    """Add what the host trusts beyond Debian."""
    known = certificates(Path(debian))
    for fingerprint, pem in certificates(Path(host)).items():
        if fingerprint not in known:
            Path(folder, f"host-{fingerprint[:16]}.crt").write_text(pem, "ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
