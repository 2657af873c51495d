"""Archives that the real apt-get reads from the bake script."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.support.http_servers import SilentHandler, running

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from .conftest import Machine

PACKAGES = (
    b"Package: hello\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@example.org>\n"
    b"Filename: pool/h.deb\nSize: 10\nSHA256: " + b"0" * 64 + b"\nDescription: x\n\n"
)
INDEX = "main/binary-amd64/Packages"
FOLDERS = (
    *("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d"),
    *("etc/apt/trusted.gpg.d", "etc/apt/auth.conf.d", "etc/apt/mirrors"),
    *("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"),
)


@dataclass(frozen=True)
class Key:
    """A key of an archive, in the home of a gpg of its own; `name`: of its owner."""

    home: str
    name: str

    def gpg(self, *arguments: str, text: bytes = b"") -> bytes:
        """Call gpg with these arguments."""
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--passphrase", ""]
        command += ["--pinentry-mode", "loopback", *arguments]
        return subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout

    def make(self) -> None:
        """Which takes a tenth of a second."""
        self.gpg("--quick-generate-key", self.name, "ed25519", "sign", "never")

    def binary(self) -> bytes:
        """The public key."""
        return self.gpg("--export", self.name)

    def armoured(self) -> bytes:
        """The public key as text."""
        return self.gpg("--armor", "--export", self.name)

    def signed(self, text: bytes) -> bytes:
        """The text with a signature."""
        return self.gpg("--local-user", self.name, "--clearsign", text=text)


class Archive:
    """Suites of one package each, and answers that are none."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.codes: dict[str, int] = {}  # by the beginning of a path
        self.mended: Path | None = None  # once this exists, everything answers

    @contextmanager
    def served(self) -> Generator[Archive]:
        """While the block runs, at `url`."""
        archive = self

        class Handler(SilentHandler):
            def do_GET(self) -> None:
                data = archive.files.get(self.path, b"")
                self.respond(data, archive.code_of(self.path) or (200 if data else 404))

        with running(Handler) as port:
            self.url = f"http://127.0.0.1:{port}/debian"
            yield self

    def publish(self, suite: str, *, digest: str = "", **fields: datetime) -> None:
        """`digest` of another index than the one that is there; dates for the Release file."""
        dates = {"Date": datetime.now(UTC), **fields}
        head = "".join(
            f"{key.replace('_', '-')}: {format_datetime(date, usegmt=True)}\n"
            for key, date in dates.items()
        )
        line = f" {digest or sha256(PACKAGES).hexdigest()} {len(PACKAGES)} {INDEX}\n"
        release = f"Suite: {suite}\nCodename: {suite}\n{head}Architectures: amd64\n"
        text = f"{release}Components: main\nSHA256:\n{line}"
        self.files[f"/debian/dists/{suite}/Release"] = text.encode()
        self.files[f"/debian/dists/{suite}/{INDEX}"] = PACKAGES

    def sign(self, suite: str, key: Key) -> None:
        """As InRelease, which apt asks for first."""
        release = f"/debian/dists/{suite}/Release"
        self.files[f"/debian/dists/{suite}/InRelease"] = key.signed(self.files[release])

    def answer(self, path: str, code: int) -> None:
        self.codes[f"/debian/dists/{path}"] = code

    def code_of(self, path: str) -> int:
        if self.mended is not None and self.mended.exists():
            return 0
        return next((code for begin, code in self.codes.items() if path.startswith(begin)), 0)


def use(machine: Machine, *sources: str) -> None:
    """The real apt-get reads these sources; it installs nothing."""
    root = machine.root
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in sources))
    settings = machine.stubs.parent / "apt.conf"
    settings.write_text(
        f'Dir "{root}"; Dir::State::status "{root}/var/lib/dpkg/status";'
        'Dir::Bin::methods "/usr/lib/apt/methods"; Dir::Bin::solvers "/usr/lib/apt/solvers";'
        'APT::Sandbox::User ""; Acquire::http::Proxy "false"; Debug::NoLocking "true";'
        'APT::Architecture "amd64"; Acquire::Retries::Delay "false";'
    )
    machine.stub("apt-config", f'APT_CONFIG={settings} exec {shutil.which("apt-config")} "$@"')
    real = shutil.which("apt-get")
    machine.stub(
        "apt-get",
        "[[ $* != *upgrade* ]] || exit 0\n"
        "unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY\n"
        f"export APT_CONFIG={settings}\n"
        # the folder that stands for / is none to the bake script
        f'[[ $1 != indextargets ]] || exec {real} "$@" > >(sed "s#{root}##")\nexec {real} "$@"',
    )


def deb(archive: Archive, suite: str, options: str = "trusted=yes") -> str:
    return f"deb [{options}] {archive.url} {suite} main"
