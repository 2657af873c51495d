"""The git command line, told to ask nobody, lock nothing, run nothing and end by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

FETCH_SECONDS = 600.0

# A task may be started from a hook or a shell that works on another repository.
_FOREIGN = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"}
# What a repository's own config could have git start, and the housekeeping after a fetch.
_RUN_NOTHING = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "gc.auto=0")


class GitFailed(Exception):
    """git answered with an error; `str()` is the last line of what it said."""

    def __init__(self, arguments: tuple[str, ...], said: str) -> None:
        lines = [line for line in said.splitlines() if line.strip()]
        super().__init__(lines[-1] if lines else f"git {arguments[0]} failed without a word")
        self.said = said


class Git:
    """Runs git in one folder. `env` adds to the environment (credentials, ssh command)."""

    def __init__(self, folder: Path, env: Mapping[str, str], safe: Path | None = None) -> None:
        self._folder = folder
        inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        self._env = {**inherited, **quiet, **env}
        # The repository may belong to another user than the worker; it is only read.
        settings = (f"safe.directory={safe or folder}", "core.quotePath=false", *_RUN_NOTHING)
        self._config = tuple(word for setting in settings for word in ("-c", setting))

    def bytes(self, *arguments: str, stdin: bytes = b"", seconds: float = 60) -> bytes:
        """Standard output. Raises GitFailed; what takes longer than `seconds` has failed."""
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
        return self.bytes(*arguments, seconds=seconds).decode("utf-8", "replace").strip()
