"""`bakehouse shell`: the way into a machine of local builds or of the stack of `make up`."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bakehouse.images import labels
from bakehouse.images.links import labels_of, zone_of
from bakehouse.local.client import Client
from bakehouse.local.console import Console
from bakehouse.local.errors import LocalError
from bakehouse.local.places import Places
from bakehouse.local.server import KINDS, Server, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

UP = ".bakehouse/up/stack.json"
RUNS_WITHIN = 60.0
COMMAND_WITHIN = 600.0
AT_THE_INSTALL = "cd /var/lib/bakehouse/payload/recipe"


def servers(project: Path) -> Iterator[Server]:
    """The servers of local builds that run, then that of the stack."""
    for kind in KINDS:
        if (server := running(Places(project, kind))) is not None:
            yield server
    try:
        record = json.loads((project / UP).read_text())
        yield Server(pid=0, url=f"http://127.0.0.1:{int(record['gce_port'])}")
    except (OSError, ValueError, KeyError, TypeError):
        return


def open_shell(project: Path, name: str, command: str | None, say: Callable[[str], None]) -> int:
    """Attach this terminal, or run the command; return the exit code. Raises LocalError."""
    for server in servers(project):
        with Client(server) as client:
            try:
                found = [one for one in client.instances() if one["name"] == name]
            except LocalError:
                continue  # of the stack: it does not run
            if found:
                return _open(client, found[0], command, say)
    raise LocalError(f"there is no machine {name}: `bakehouse ps` lists those of local builds")


def _open(
    client: Client, instance: dict[str, Any], command: str | None, say: Callable[[str], None]
) -> int:
    name, zone = str(instance["name"]), zone_of(instance)
    if refused := refusal(instance):
        raise LocalError(refused)
    if instance["status"] != "RUNNING":
        say(f"starting {name}")
        client.start(zone, name)
    until = time.monotonic() + RUNS_WITHIN
    while (client.instance(zone, name) or {}).get("status") != "RUNNING":
        if time.monotonic() > until:
            raise LocalError(f"{name} does not start")
        time.sleep(0.3)
    path = str(client.admin("consoles", {"instance": name})["socket"])
    with closing(Console(path)) as console:
        if command is None:
            say(f"the console of {name}; Ctrl-] leaves it")
        console.until_a_shell_answers()
        if command is not None:
            code, output = console.run(command, COMMAND_WITHIN)
            say(output.removesuffix("\n"))
            return code
        if _is_builder(instance):
            console.run(AT_THE_INSTALL, COMMAND_WITHIN)
        console.attach()
    return 0


def refusal(instance: dict[str, Any]) -> str | None:
    """Why nobody may get a shell on the machine; None if somebody may.

    What is done on a builder that is still baking would be in its image.
    """
    state = labels_of(instance).get(labels.STATE)
    if _is_builder(instance) and state != labels.FAILED:
        name = instance["name"]
        return f"{name} is still baking: what you do there would be in the image. Wait for its end"
    return None


def _is_builder(instance: dict[str, Any]) -> bool:
    return labels_of(instance).get(labels.ROLE) == labels.BUILDER
