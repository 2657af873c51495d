"""Commands of the inner loop: build, test and run a recipe of the work tree on this computer."""

from __future__ import annotations

import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, project_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from bakehouse.local.build import Request
    from bakehouse.local.client import Client
    from bakehouse.local.places import Places
    from bakehouse.recipe.model import Scalar

MachinesOption = Annotated[
    str,
    typer.Option(
        envvar="BAKEHOUSE_LOCAL_MACHINES",
        help="qemu: real machines; instant: simulated ones, which install and check nothing",
    ),
]
OnOption = Annotated[
    str | None,
    typer.Option("--on", metavar="CONNECTION", help="in the project of this connection instead"),
]
VarOption = Annotated[
    list[str] | None, typer.Option("--var", metavar="NAME=VALUE", help="in place of the recipe's")
]
RecipeArgument = Annotated[str, typer.Argument(help="a recipe's name")]
INTERRUPTED = 130
_FORMS = {"--var": ("NAME=VALUE", "page=hello"), "-m": ("KEY=VALUE", "greeting=hello")}


@app.command()
def build(
    recipe: RecipeArgument,
    var: VarOption = None,
    on: OnOption = None,
    force: Annotated[bool, typer.Option("--force", help="also if nothing has changed")] = False,
    shell: Annotated[
        bool, typer.Option("--shell", help="keep the machine of a failed install, with a console")
    ] = False,
    machines: MachinesOption = "qemu",
    project: ProjectOption = None,
) -> None:
    """Bake the work tree, uncommitted changes included, by the steps of the recipe's DAG.

    The image stays on this computer and is never promoted. Exit code 1 when it cannot be built.
    """
    with _one_line_errors(f"{recipe} is not built"):
        from bakehouse.local.build import build as bake

        request = _request(project, machines, on, var, force=force, shell=shell)
        built = bake(request, recipe)
        if built.seconds is not None:
            typer.echo(f"built {built.image} in {built.seconds:.0f} s")


@app.command("test")
def smoke_test(
    recipe: RecipeArgument,
    var: VarOption = None,
    machines: MachinesOption = "qemu",
    project: ProjectOption = None,
) -> None:
    """Run the work tree's smoke test alone, on the newest local image of the recipe."""
    with _one_line_errors(f"{recipe} fails its smoke test"):
        from bakehouse.local.build import test_image

        image = test_image(_request(project, machines, None, var), recipe)
        typer.echo(f"{image} passes its smoke test")


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="RECIPE|IMAGE")],
    metadata: Annotated[
        list[str] | None,
        typer.Option("-m", "--metadata", metavar="KEY=VALUE", help="runtime config"),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option("-p", "--publish", metavar="HOST:GUEST", help="a port on 127.0.0.1"),
    ] = None,
    machines: MachinesOption = "qemu",
    project: ProjectOption = None,
) -> None:
    """Boot a recipe (built first if it has changed) or a local image, and follow its log.

    The image is not smoke tested first: the machine itself shows whether it gets healthy.
    The runtime config is `smoke.metadata` of the recipe and what `-m` says. Ctrl-C deletes the
    machine. Exit code 1 when it does not get healthy.
    """
    with _one_line_errors(f"{name} does not run"):
        from bakehouse.local.launch import run_machine
        from bakehouse.local.machine import Forward

        told = {key: str(value) for key, value in _texts(metadata or [], "-m").items()}
        forwards = [Forward.parse(text) for text in port or []]
        run_machine(_request(project, machines, None, None), name, told, forwards)


@app.command("shell")
def open_console(
    machine: Annotated[str, typer.Argument(help="its name, as `bakehouse ps` has it")],
    command: Annotated[
        str | None, typer.Option("-c", metavar="COMMAND", help="run it, instead of a terminal")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Open a root shell on a machine of localgce: of local builds, or of the stack of `make up`.

    Ctrl-] leaves it. A machine that was kept and is off is started. The exit code is that of
    COMMAND.
    """
    with _one_line_errors(f"no shell on {machine}"):
        from bakehouse.local.live_log import to_stdout
        from bakehouse.local.shell import open_shell

        code = open_shell(project_folder(project), machine, command, to_stdout)
    raise typer.Exit(code)


@app.command()
def ps(
    as_json: Annotated[bool, typer.Option("--json", help="as data")] = False,
    machines: MachinesOption = "qemu",
    project: ProjectOption = None,
) -> None:
    """List machines, images and layers of local builds."""
    with _one_line_errors("cannot list"), _client(project, machines) as client:
        import json

        from bakehouse.local.listing import listed

        items = listed(client) if client else []
        if as_json:
            typer.echo(json.dumps([item.model_dump(exclude={"path"}) for item in items], indent=2))
            return
        rows = [("KIND", "NAME", "RECIPE", "STATE", "COMMIT", "ADDRESS", "EXPIRES")]
        rows += [(i.kind, i.name, i.recipe, i.state, i.commit, i.address, i.expires) for i in items]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            typer.echo("  ".join(cells).rstrip())


@app.command()
def rm(
    names: Annotated[list[str] | None, typer.Argument(help="machines, images, layers")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="all layers of installs")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="everything, and stop localgce")
    ] = False,
    machines: MachinesOption = "qemu",
    project: ProjectOption = None,
) -> None:
    """Delete machines, images and layers by name; without one, what killed commands have left."""
    with _one_line_errors("cannot delete"):
        from bakehouse.local import listing
        from bakehouse.local.live_log import to_stdout
        from bakehouse.local.server import stop

        places = _places(project, machines)
        with _client(project, machines) as client:
            if client is not None:
                found = listing.listed(client)
                wanted = listing.chosen(found, names or [])
                wanted += [i for i in found if everything or (layers and i.kind == listing.LAYER)]
                if not names and not layers and not everything:
                    wanted = listing.leftovers(places, client)
                listing.remove(places, client, dict.fromkeys(wanted), to_stdout)
                listing.forget_ended(places)
            elif names:
                listing.chosen([], names)
        if everything and places.folder.exists():
            stop(places)
            shutil.rmtree(places.folder)
            typer.echo("localgce is stopped, and its state deleted")


@contextmanager
def _client(project: Path | None, machines: str) -> Generator[Client | None]:
    """A client of the server, which is started where it has something; None where it has not."""
    from bakehouse.local.client import Client
    from bakehouse.local.live_log import to_stdout
    from bakehouse.local.server import ensure

    places = _places(project, machines)
    if not places.state.exists():
        yield None
        return
    with Client(ensure(places, to_stdout)) as client:
        yield client


def _request(
    project: Path | None,
    machines: str,
    on: str | None,
    var: list[str] | None,
    *,
    force: bool = False,
    shell: bool = False,
) -> Request:
    from bakehouse.local.airflow_environment import LOCAL
    from bakehouse.local.build import Request
    from bakehouse.local.live_log import to_stdout
    from bakehouse.local.places import Places
    from bakehouse.local.server import ensure

    given = _pairs(var or [], "--var")
    if on is not None:
        places = Places(project_folder(project), f"on-{on}")
        places.make()
        return Request(places, None, on, to_stdout, given, force=force, shell=shell)
    places = _places(project, machines)
    server = ensure(places, to_stdout)
    return Request(places, server, LOCAL, to_stdout, given, force=force, shell=shell)


def _places(project: Path | None, machines: str) -> Places:
    from bakehouse.local.errors import LocalError
    from bakehouse.local.places import Places
    from bakehouse.local.server import KINDS

    if machines not in KINDS:
        raise LocalError(f"--machines is {' or '.join(KINDS)}, not {machines!r}")
    return Places(project_folder(project), machines)


def _pairs(given: list[str], option: str) -> dict[str, Scalar]:
    """`NAME=VALUE` as YAML reads the value, so that a number is one."""
    import yaml

    found: dict[str, Scalar] = {}
    for name, value in _texts(given, option).items():
        try:
            read = yaml.safe_load(value) if value else ""
        except yaml.YAMLError:
            read = value
        found[name] = read if isinstance(read, str | int | float | bool) else value
    return found


def _texts(given: list[str], option: str) -> dict[str, str]:
    from bakehouse.cli.values import BadValue, key_values
    from bakehouse.local.errors import LocalError

    form, example = _FORMS[option]
    try:
        return key_values(given, option, form, f"write {option} {example}")
    except BadValue as bad:
        raise LocalError(str(bad)) from None


@contextmanager
def _one_line_errors(failed: str) -> Generator[None]:
    """End with the reason in one line; a signal that ends the process is Ctrl-C."""
    from bakehouse.local.errors import LocalError

    ends = (signal.SIGTERM, signal.SIGHUP)  # also of a terminal that is closed
    before = {number: signal.signal(number, signal.default_int_handler) for number in ends}
    try:
        yield
    except LocalError as error:
        typer.echo(f"bakehouse: {failed}: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("bakehouse: interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
