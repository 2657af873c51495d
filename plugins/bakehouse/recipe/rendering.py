"""Render scripts in a process of their own, with limits of processor time, memory and size.

A template is a program of whoever may push a branch. One that takes ten gigabytes, or never ends,
ends a process that does nothing else, and becomes one message with file and line. The process has
Jinja2 and nothing of Airflow. It serves until this one ends, and is started again if need be.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from bakehouse.guest.render import Fault, ended_at
from bakehouse.recipe.render_process import encoded
from bakehouse.recipe.templates import Faults, Script, Value, script_environment, with_references

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 2  # of processor time, for the scripts of a recipe; one second more by the kernel's count
_MAIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from bakehouse.recipe.render_process import main; main()"
)


class Job(NamedTuple):
    """Scripts to render, and what their templates see.

    Args:
        templates: The templates to render, each with the names that only it sees.
        names: The names that all of them see.
        sources: All templates by path.
        folder: The prefix of the paths in messages.
    """

    templates: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, Any]
    sources: Mapping[str, str]
    folder: str


class _Ended(Exception):
    """The process ended instead of an answer."""

    def __init__(self, status: int, trace: str) -> None:
        super().__init__(f"the renderer ended with {status}")
        self.status = status
        self.trace = trace


class _Process:
    """A renderer; used by one thread at a time."""

    def __init__(self) -> None:
        self._trace = tempfile.TemporaryFile()  # ruff: ignore[open-file-with-context-handler]
        command = (sys.executable, "-I", "-c", _MAIN, json.dumps(sys.path), str(SECONDS))
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._trace
        )

    def ask(self, request: bytes) -> Any:
        """Return the answer. Raises _Ended."""
        stdin, stdout = self._popen.stdin, self._popen.stdout
        if stdin is None or stdout is None:
            raise TypeError("the renderer has no pipes")
        try:
            stdin.write(request)
            stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise self._ended()
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._popen.kill()
        self._popen.communicate()
        self._trace.close()

    def forget(self) -> None:
        """Leave the process to the one that started it; this one is a fork of that."""
        self._popen.returncode = 0

    def _ended(self) -> _Ended:
        self._popen.communicate()
        self._trace.seek(0)
        trace = self._trace.read().decode("utf-8", "replace")
        self._trace.close()
        return _Ended(self._popen.returncode, trace)


class Renderer:
    """Starts the process when it is first needed, and again when it was ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _Process | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forked)

    def render(self, job: Job) -> dict[str, Script]:
        """Render the scripts of a job, by template. Raises Faults."""
        sources = with_references(job.templates, job.sources)
        request = {
            "templates": {name: _encoded(names) for name, names in job.templates.items()},
            "names": _encoded(job.names),
            "sources": sources,
            "folder": job.folder,
        }
        line = f"{json.dumps(request)}\n".encode("ascii")
        try:
            with self._lock:
                answer = self._ask(line)
        except _Ended as ended:
            raise Faults([_fault_of(ended, sources, job)]) from None
        if "faults" in answer:
            raise Faults(Fault(*fault) for fault in answer["faults"])
        return {name: _script(*script) for name, script in answer["scripts"].items()}

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._process:
                self._process.close()
            self._process = None

    def _ask(self, line: bytes) -> Any:
        self._process = self._process or _Process()
        try:
            return self._process.ask(line)
        except _Ended:
            self._process = None
            raise

    def _forked(self) -> None:
        self._lock = threading.Lock()  # a thread that is not here may have held it
        if self._process:
            self._process.forget()
        self._process = None


def _encoded(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encoded(value) for name, value in names.items()}


def _script(pieces: list[str | int], values: list[Any]) -> Script:
    return Script(tuple(pieces), tuple(Value(*value) for value in values))


def _fault_of(ended: _Ended, sources: Mapping[str, str], job: Job) -> Fault:
    environment = script_environment(sources, job.folder)
    prefix = f"{job.folder}/"
    fault = ended_at(ended.trace, ended.status, environment, prefix)
    return fault or Fault(f"{prefix}{next(iter(job.templates))}", 1, f"cannot be rendered: {ended}")


_RENDERER = Renderer()
render_limited = _RENDERER.render
