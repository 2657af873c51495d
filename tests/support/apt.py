"""An apt archive on loopback: made of packages and versions, with faults on demand."""

from __future__ import annotations

import gzip
import lzma
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.support.http_servers import SilentHandler, running

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gz": gzip.compress,
    "": bytes,
}


class Apt:
    """Its files by their paths, and which were asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.broken = 0  # this many answers from now on are cut off
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(
        self,
        archive: str,
        suite: str,
        versions: Mapping[str, str],
        *,
        component: str = "main",
        arch: str = "amd64",
        packing: str = "xz",
        name: str = "InRelease",
        **fields: str,
    ) -> None:
        """A suite with this one index; `fields` stand in its Release file."""
        index = index_of(versions, arch).encode()
        packed = PACKED[packing](index)
        path = f"{component}/binary-{arch}/Packages{'.' * bool(packing)}{packing}"
        folder = f"/{archive}/dists/{suite}"
        digest = sha256(packed).hexdigest()
        head = {"Suite": suite, "Codename": suite, "Architectures": arch, **fields}
        lines = [f"{key.replace('_', '-')}: {value}" for key, value in head.items()]
        lines += ["SHA256:", f" {digest} {len(packed)} {path}"]
        self.files[f"{folder}/{name}"] = signed("\n".join(lines) + "\n")
        where = f"by-hash/SHA256/{digest}" if head.get("Acquire_By_Hash") == "yes" else ""
        target = f"{path.rpartition('/')[0]}/{where}" if where else path
        self.files[f"{folder}/{target}"] = packed

    def forget(self) -> None:
        self.asked.clear()


def index_of(versions: Mapping[str, str], arch: str = "amd64") -> str:
    """A Packages file."""
    return "\n".join(
        f"Package: {name}\nArchitecture: {arch}\nVersion: {version}\nDescription: x\n more\n"
        for name, version in versions.items()
    )


def signed(text: str) -> bytes:
    """As InRelease is; nobody checks the signature but apt, on the builder."""
    return (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        f"{text}-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    ).encode()


@contextmanager
def serving() -> Generator[Apt]:
    apt = Apt()

    class Handler(SilentHandler):
        def do_GET(self) -> None:
            apt.asked.append(self.path)
            if apt.broken:
                apt.broken -= 1
                self.connection.close()
                return
            data = apt.files.get(self.path)
            self.respond(data or b"", 404 if data is None else 200)

    with running(Handler) as apt.port:
        yield apt
