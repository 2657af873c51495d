from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bakehouse.images import labels
from bakehouse.local.console import Console
from bakehouse.local.errors import LocalError
from bakehouse.local.shell import refusal

if TYPE_CHECKING:
    from pathlib import Path


def machine(role: str, state: str | None) -> dict[str, object]:
    told = {labels.ROLE: role, **({labels.STATE: state} if state else {})}
    return {"name": "m", "labels": told}


def test_nobody_gets_a_shell_on_a_builder_whose_disk_may_become_an_image() -> None:
    assert "still baking" in str(refusal(machine(labels.BUILDER, labels.CANDIDATE)))
    assert "still baking" in str(refusal(machine(labels.BUILDER, None)))


def test_a_failed_builder_a_smoke_machine_a_member_and_a_run_have_a_shell() -> None:
    assert refusal(machine(labels.BUILDER, labels.FAILED)) is None
    assert refusal(machine(labels.SMOKE, labels.CANDIDATE)) is None
    assert refusal(machine("run", None)) is None
    assert refusal({"name": "web-1"}) is None


@pytest.fixture
def console(tmp_path: Path) -> str:
    """A real bash behind a socket, as on a console, that starts late."""
    import pty
    import subprocess

    path = str(tmp_path / "console.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)

    def serve() -> None:
        client = server.accept()[0]
        client.recv(65536)  # lost: no shell was there yet
        leader, follower = pty.openpty()
        shell = subprocess.Popen(
            ["bash", "--norc"],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        import os

        def back() -> None:
            while True:
                try:
                    client.sendall(os.read(leader, 65536))
                except OSError:
                    return

        threading.Thread(target=back, daemon=True).start()
        while data := client.recv(65536):
            os.write(leader, data)
        shell.kill()
        shell.wait()
        os.close(follower)
        os.close(leader)
        client.close()
        server.close()

    threading.Thread(target=serve, daemon=True).start()
    return path


def test_a_command_has_its_own_output_and_exit_code(console: str) -> None:
    with closing(Console(console)) as opened:
        opened.until_a_shell_answers()

        assert opened.run("echo one; echo two", 30) == (0, "one\ntwo\n")
        assert opened.run("exit_code() { return 3; }; exit_code", 30).code == 3
        assert opened.run("true", 30) == (0, "\n")


def test_a_console_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be reached"):
        Console(str(tmp_path / "nothing"))
