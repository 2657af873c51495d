"""Run git without prompts, locks and hooks, and with a time limit."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FETCH_SECONDS = 600.0

# A task may be started from a hook or a shell that works on another repository.
_FOREIGN = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"}
# Disables programs that a repository's configuration names, and garbage collection after a fetch.
_RUN_NOTHING = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "gc.auto=0")


class GitFailed(Exception):
    """git failed; the message is the last line of its output, `output` all of it."""

    def __init__(self, arguments: tuple[str, ...], output: str) -> None:
        """Keep the output."""
        lines = [line for line in output.splitlines() if line.strip()]
        super().__init__(lines[-1] if lines else f"git {arguments[0]} failed without any output")
        self.output = output


class Git:
    """Runs git in one folder. `env` adds to the environment (credentials, ssh command)."""

    def __init__(self, folder: Path, env: Mapping[str, str], safe: Path | None = None) -> None:
        """Use a folder; `safe` is the repository's top, which may belong to another user."""
        self._folder = folder
        inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        self._env = {**inherited, **quiet, **env}
        settings = (f"safe.directory={safe or folder}", "core.quotePath=false", *_RUN_NOTHING)
        self._config = tuple(word for setting in settings for word in ("-c", setting))

    def bytes(self, *arguments: str, stdin: bytes = b"", seconds: float = 60) -> bytes:
        """Run a command and return its output. Raises GitFailed, also after `seconds`."""
        try:
            done = subprocess.run(
                ("git", *self._config, *arguments),
                cwd=self._folder,
                env=self._env,
                input=stdin,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise GitFailed(arguments, f"no answer within {seconds:.0f} s") from late
        except FileNotFoundError as missing:
            raise GitFailed(arguments, "the command `git` is not installed") from missing
        if done.returncode:
            raise GitFailed(arguments, done.stderr.decode("utf-8", "replace"))
        return done.stdout

    def text(self, *arguments: str, seconds: float = 60) -> str:
        """Run a command and return its output as text. Raises GitFailed."""
        return self.bytes(*arguments, seconds=seconds).decode("utf-8", "replace").strip()
