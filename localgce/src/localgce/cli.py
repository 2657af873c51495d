"""The command line."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localgce.core.cache import default_cache
from localgce.quick_group import QuickGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE_SECONDS = 90.0

app = typer.Typer(
    cls=QuickGroup,
    rich_markup_mode=None,
    help="A Compute Engine v1-compatible server on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Machines(StrEnum):
    """The kind of machines."""

    QEMU = "qemu"
    INSTANT = "instant"


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"localgce {version('localgce')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A Compute Engine v1-compatible server on this machine."""


State = Annotated[Path, typer.Option(help="Folder that holds all state.")]
Cache = Annotated[Path | None, typer.Option(help="Folder of public images.")]


@app.command()
def serve(
    state: State,
    project: Annotated[str, typer.Option(help="The project's id.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks one.")] = 8790,
    machines: Annotated[Machines, typer.Option(help="Real machines or instant ones.")] = (
        Machines.QEMU
    ),
    guest: Annotated[Path | None, typer.Option(help="Guest program of instant machines.")] = None,
    cache: Cache = None,
    clock: Annotated[str, typer.Option(help="real, or manual: advanced by tests.")] = "real",
    clock_rate: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Pass server time this many times as fast.")
    ] = 1.0,
    shutdown_grace: Annotated[
        float, typer.Option(min=0, help="Seconds between the power button and a hard power-off.")
    ] = GRACE_SECONDS,
    exit_grace: Annotated[
        float | None,
        typer.Option(min=0, help="The same when the server ends; default: --shutdown-grace."),
    ] = None,
    check_responses: Annotated[
        bool, typer.Option("--check-responses", help="Validate every answer by the API's schema.")
    ] = False,
) -> None:
    """Answer the Compute Engine API on loopback until SIGTERM."""
    import logging

    from localgce.core.clock import Clock, ManualClock, ScaledClock
    from localgce.core.settings import Settings
    from localgce.serve import Options
    from localgce.serve import serve as run

    if guest is not None and machines is not Machines.INSTANT:
        raise _fail("--guest needs --machines instant")
    if clock not in {"real", "manual"}:
        raise _fail("--clock is real or manual")
    if clock_rate != 1.0 and (clock == "manual" or machines is not Machines.INSTANT):
        raise _fail("--clock-rate needs --machines instant and --clock real")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    at_exit = shutdown_grace if exit_grace is None else exit_grace
    settings = Settings(state, project, cache or default_cache(), shutdown_grace, at_exit)
    chosen: Clock | None = ManualClock() if clock == "manual" else None
    if clock_rate != 1.0:
        chosen = ScaledClock(clock_rate)
    options = Options(settings, port, machines.value, guest, chosen, check_responses)
    _run(run(options))


Background = Annotated[
    Path | None,
    typer.Option("--state", help="Folder that holds all state [~/.local/state/localgce]."),
]


@app.command()
def up(
    state: Background = None,
    project: Annotated[str, typer.Option(help="The project's id.")] = "demo",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks one.")] = 8790,
    machines: Annotated[Machines, typer.Option(help="Real machines or instant ones.")] = (
        Machines.QEMU
    ),
    cache: Cache = None,
) -> None:
    """Start a server in the background, unless it runs; prints its address."""
    from localgce.background import up as run

    options = ["--port", str(port)]
    options += ["--cache", str(cache.absolute())] if cache else []
    with _one_line():
        found, started = run(_background(state), project, machines.value, options)
    typer.echo(f"localgce {'runs now' if started else 'already runs'} at {found.url}")


@app.command()
def down(
    state: Background = None,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for guests that power off.")
    ] = False,
) -> None:
    """Power off all machines and stop the server in the background; the state is kept."""
    from localgce.background import down as run

    with _one_line():
        ended = run(_background(state), grace=GRACE_SECONDS, now=now)
    typer.echo("localgce has stopped" if ended else "localgce does not run")


@app.command()
def status(
    state: Background = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell whether a server runs, and where; exits with 3 when none does."""
    from json import dumps

    from localgce.background import status as run

    with _one_line():
        found = run(_background(state))
    if json:
        typer.echo(dumps(found))
    elif found is None:
        typer.echo("localgce does not run")
    else:
        counts = found["instances"]
        assert isinstance(counts, dict)
        shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
        for key, value in (found | {"instances": shown}).items():
            typer.echo(f"{key:<10} {value}")
    if found is None:
        raise typer.Exit(3)


@app.command()
def logs(
    state: Background = None,
    lines: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what is added, until Ctrl-C.")
    ] = False,
) -> None:
    """Print the log of the server in the background."""
    import os

    from localgce.core.server_file import LOG

    path = _background(state) / LOG
    if not path.exists():
        raise _fail(f"there is no log at {path}: `localgce up` starts a server that writes it")
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), str(path)])


@app.command()
def reset(state: State, cache: Cache = None) -> None:
    """Kill the machines of a state folder; delete it and the public images that only it used."""
    from localgce.reset import reset as run

    _run(run(state, cache or default_cache()))


@app.command()
def doctor(cache: Cache = None) -> None:
    """Report what this host supports and what is missing."""
    from localgce.doctor import doctor as run

    raise typer.Exit(run(cache or default_cache()))


@app.command()
def image(
    name: Annotated[str, typer.Argument(help="The public image's family, or `import`.")] = (
        "debian-12"
    ),
    file: Annotated[Path | None, typer.Argument(help="Of `import`: a qcow2 or raw disk.")] = None,
    family: Annotated[str | None, typer.Option(help="Of `import`: the image's family.")] = None,
    project: Annotated[
        str | None, typer.Option(help="Of `import`: the server's project, or a public one.")
    ] = None,
    state: Background = None,
    cache: Cache = None,
) -> None:
    """Build a public image, unless it is in the cache; or import a disk as an image.

    `localgce image import FILE --family F --project P` copies the file into the server in the
    background, or one in the foreground that --state names.
    """
    if name == "import":
        from localgce.background import import_image

        if file is None or family is None:
            raise _fail("it is: localgce image import FILE --family F [--project P]")
        with _one_line():
            typer.echo(import_image(_background(state), file, family, project))
        return
    from localgce.build_public_image import build
    from localgce.machines.qemu import debian

    releases = {release.family: release for release in debian.RELEASES}
    if name not in releases or file or family or project:
        raise _fail(
            f"{name} is none of {', '.join(releases)}; other images come from a file: "
            "localgce image import FILE --family F [--project P]"
        )
    _run(build(cache or default_cache(), typer.echo, releases[name]))


def _background(state: Path | None) -> Path:
    from localgce.core.server_file import default_state

    return (state or default_state()).absolute()


def _run(work: object) -> None:
    import asyncio

    with _one_line():
        asyncio.run(work)  # type: ignore[arg-type]


@contextmanager
def _one_line() -> Iterator[None]:
    """Report what a user can mend in one line, without a traceback."""
    import sqlite3

    from localgce.core.errors import MachineError
    from localgce.core.store import StateInUse

    try:
        yield
    except (MachineError, StateInUse, OSError) as error:
        raise _fail(str(error)) from None
    except sqlite3.Error as error:
        raise _fail(f"the state folder cannot be used: {error}") from None


def _fail(message: str) -> typer.Exit:
    typer.echo(f"localgce: {message}", err=True)
    return typer.Exit(1)
