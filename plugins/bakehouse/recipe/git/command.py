"""Run git without prompts, locks, hooks and filters, and with a time limit.

What a person or an administrator may set for their own work (signatures in the log, colours, other
attributes, aliases, filters, replaced commits) changes neither what is read nor what is run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FETCH_SECONDS = 600.0
QUIT_SECONDS = 5.0
PROTOCOLS = "file:git:http:https:ssh"  # the others start a program that the URL names

# Of the worker's own GIT_* only what says how to reach a server. The others name another
# repository, replace objects, or were left by a hook or a shell.
_KEPT = re.compile(
    r"GIT_(SSL_\w+|SSH(_\w+)?|ASKPASS|HTTP_\w+|EXEC_PATH|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT)"
    r"|CONFIG_(KEY|VALUE)_\d+|CEILING_DIRECTORIES|ALLOW_PROTOCOL|PROXY_SSL_\w+)"
)
_SETTINGS = (
    # no program that a repository's configuration names; no garbage collection after a fetch
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.pager=cat",
    "gc.auto=0",
    "maintenance.auto=false",
    # a repository of another owner, or without a work tree, is read like any other
    "safe.bareRepository=all",
    # the same answers whatever a person has set
    f"core.attributesFile={os.devnull}",
    "core.commitGraph=false",
    "core.quotePath=false",
    "core.safecrlf=false",
    "color.ui=false",
    "column.ui=never",
    "log.showSignature=false",
    "status.showUntrackedFiles=normal",
    "submodule.recurse=false",
    "advice.addEmbeddedRepo=false",
    # a server that sends nothing for a minute does not answer
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ALLOW_PROTOCOL": PROTOCOLS,
    "SSH_ASKPASS_REQUIRE": "never",
    "LC_ALL": "C",
}
_FIXED = {name: value for name, value in _ENVIRONMENT.items() if name != "GIT_ALLOW_PROTOCOL"}
# Of a local repository nothing is fetched: its configuration may name programs for that.
NO_FETCH = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_PROXY_COMMAND": ""}
# lines of ssh and git that say only that the connection has ended
_NOT_A_REASON = re.compile(
    r"fatal: Could not read from remote|Please make sure you have the correct access"
    r"|and the repository exists|fatal: the remote end hung up|fatal: early EOF|@@@|hint:"
    r"|warning: |remote: *$|fatal: could not fetch|Cloning into"
)


class GitFailed(Exception):
    """git failed; the message is the line of its output that says why, `output` all of it."""

    def __init__(self, arguments: tuple[str, ...], output: str) -> None:
        """Keep the output."""
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        reasons = [line for line in lines if not _NOT_A_REASON.match(line)] or lines
        silent = f"git {arguments[0]} failed without any output"
        super().__init__(reasons[-1] if reasons else silent)
        self.output = output


class Git:
    """Runs git in one folder. `env` adds to the environment (credentials, ssh command)."""

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str],
        safe: Path | None = None,
        settings: tuple[str, ...] = (),
    ) -> None:
        """Use a folder; `safe` is the repository's top, which may belong to another user."""
        self.folder = folder
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GIT_") or _KEPT.fullmatch(name)
        }
        self._env = {**_ENVIRONMENT, **inherited, **_FIXED, **env}
        self._given = (dict(env), safe)
        every = (f"safe.directory={safe or folder}", *_SETTINGS, *settings)
        self._config = tuple(word for setting in every for word in ("-c", setting))

    def without_filters(
        self, env: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> Git:
        """Return a git that runs none of the filters that the configuration names."""
        given, safe = self._given
        off = tuple(
            f"filter.{name}.{key}"
            for name in sorted(set(self._filters()))
            for key in ("clean=", "smudge=", "process=", "required=false")
        )
        return Git(folder or self.folder, {**given, **(env or {})}, safe, off)

    def bytes(self, *arguments: str, stdin: bytes = b"", seconds: float = 60) -> bytes:
        """Run a command and return its output. Raises GitFailed, also after `seconds`."""
        try:
            process = subprocess.Popen(
                ("git", *self._config, *arguments),
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # no terminal to ask on; one group to end
            )
        except FileNotFoundError as missing:
            if not self.folder.is_dir():
                raise GitFailed(arguments, f"the folder {self.folder} is gone") from missing
            raise GitFailed(arguments, "the command `git` is not installed") from missing
        try:
            output, errors = process.communicate(stdin, timeout=seconds)
        except BaseException as interrupted:
            _end(process)
            if isinstance(interrupted, subprocess.TimeoutExpired):
                raise GitFailed(arguments, f"no answer within {seconds:.0f} s") from interrupted
            raise
        if process.returncode:
            raise GitFailed(arguments, errors.decode("utf-8", "replace"))
        return output

    def text(self, *arguments: str, seconds: float = 60) -> str:
        """Run a command and return its output as text, without the last line break."""
        output = self.bytes(*arguments, seconds=seconds).decode("utf-8", "surrogateescape")
        return output.removesuffix("\n")

    def setting(self, pattern: str) -> list[str]:
        """Return the values of the settings whose names match."""
        try:
            found = self.text("config", "-z", "--get-regexp", pattern)
        except GitFailed:
            return []
        return [entry.partition("\n")[2] for entry in found.split("\0") if entry]

    def _filters(self) -> Iterator[str]:
        try:
            keys = self.text("config", "--name-only", "-z", "--get-regexp", r"^filter\.")
        except GitFailed:
            return  # there are none
        for key in filter(None, keys.split("\0")):
            yield key.removeprefix("filter.").rpartition(".")[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: an ssh that is left would hold the connection."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.communicate(timeout=QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()
