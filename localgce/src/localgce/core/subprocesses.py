"""Run another program; its failure becomes an error of one line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from localgce.core.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def run(
    *command: str | Path,
    stdin: int | None = None,
    stdout: int | None = None,
    line: Callable[[str], None] | None = None,
    hint: str = "",
    environment: dict[str, str] | None = None,
) -> str:
    """Run to the end; returns the standard output (empty when `stdout` is given).

    `line` is called with each line of standard error. Raises MachineError with the last of them, or
    with `hint`. When the caller is cancelled, the program and its children are killed.
    """
    words = [os.fspath(word) for word in command]
    spawning = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
            stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"LC_ALL": "C.UTF-8"} | (environment or {}),
        )
    )
    try:
        # a cancellation must not come between the start of the program and the return of its pid
        process = await asyncio.shield(spawning)
        printed, said = await asyncio.gather(_all(process.stdout), _lines(process.stderr, line))
        code = await process.wait()
    except FileNotFoundError as error:
        raise MachineError(hint or f"{words[0]} is not installed") from error
    except BaseException:
        await _end(spawning)
        raise
    if code != 0:
        last = said[-1] if said else f"exit code {code}"
        raise MachineError(f"{words[0]}: {last}" + (f" ({hint})" if hint else ""))
    return printed


async def _end(spawning: asyncio.Task[asyncio.subprocess.Process]) -> None:
    process = await spawning
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _all(stream: asyncio.StreamReader | None) -> str:
    return (await stream.read()).decode(errors="replace") if stream else ""


async def _lines(
    stream: asyncio.StreamReader | None, line: Callable[[str], None] | None
) -> list[str]:
    """The last lines of the stream."""
    kept: list[str] = []
    while stream and (raw := await stream.readline()):
        text = raw.decode(errors="replace").strip()
        if not text:
            continue
        kept = [*kept[-9:], text]
        if line:
            line(text)
    return kept
