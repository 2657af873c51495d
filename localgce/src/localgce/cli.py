"""The command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from localgce.core.cache import default_cache
from localgce.quick_group import QuickGroup

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
    ] = 90.0,
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
    settings = Settings(state, project, cache or default_cache(), shutdown_grace)
    chosen: Clock | None = ManualClock() if clock == "manual" else None
    if clock_rate != 1.0:
        chosen = ScaledClock(clock_rate)
    options = Options(settings, port, machines.value, guest, chosen, check_responses)
    _run(run(options))


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
    name: Annotated[str, typer.Argument(help="The public image's family.")] = "debian-12",
    cache: Cache = None,
) -> None:
    """Build a public image, unless it is in the cache."""
    from localgce.machines.qemu import public_image

    if name != public_image.FAMILY:
        raise _fail(f"there is only {public_image.FAMILY}, not {name}")
    _run(public_image.ensure(cache or default_cache(), typer.echo))


def _run(work: object) -> None:
    import asyncio
    import sqlite3

    from localgce.core.errors import MachineError
    from localgce.core.store import StateInUse

    try:
        asyncio.run(work)  # type: ignore[arg-type]
    except (MachineError, StateInUse, OSError) as error:
        raise _fail(str(error)) from None
    except sqlite3.Error as error:
        raise _fail(f"the state folder cannot be used: {error}") from None


def _fail(message: str) -> typer.Exit:
    typer.echo(f"localgce: {message}", err=True)
    return typer.Exit(1)
