"""A git repository for tests, which no setting of the person who runs them changes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = "include/recipes/app.yaml"
SCRIPTS = "include/startup_scripts"
INSTALL = f"{SCRIPTS}/app/install.sh.j2"
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}


class GitRepository:
    """A repository with a work tree; `git` runs any command in it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str, stdin: bytes = b"", **env: str) -> str:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ("git", "-c", "protocol.file.allow=always", *arguments),
            cwd=self.folder,
            env={**inherited, **nobody, **IDENTITY, **env},
            input=stdin,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, path: str, data: str | bytes, mode: int = 0o644) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        file.chmod(mode)

    def link(self, path: str, target: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def commit(self, message: str = "Change", when: str = "1798000000 +0000") -> str:
        self.git("add", "--all")
        command = ("commit", "--quiet", "--allow-empty", "--message", message)
        self.git(*command, GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)
        return self.head

    def commit_object(self, head: bytes, message: bytes = b"Odd\n") -> str:
        """Make a commit of HEAD's tree with any header; the branch moves onto it."""
        tree = self.git("rev-parse", "HEAD^{tree}").encode()
        parent = self.head.encode()
        data = b"tree %s\nparent %s\n%s\n\n%s" % (tree, parent, head, message)
        kind = ("hash-object", "-t", "commit", "-w", "--stdin", "--literally")
        sha = self.git(*kind, stdin=data)
        self.git("update-ref", "refs/heads/main", sha)
        return sha


def app_repository(folder: Path, *options: str) -> GitRepository:
    """A project with the recipe `app`, not committed yet."""
    made = GitRepository(folder, *options)
    made.write(RECIPE, "base: debian-cloud/debian-12\n")
    made.write(INSTALL, "true\n")
    return made
