from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from bakehouse.local.places import Places
from bakehouse.local.runs import ended, forget, lives, living, new_run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_lives_as_long_as_its_process_holds_it(tmp_path: Path) -> None:
    places, run = Places(tmp_path, "instant"), new_run("web", "build")

    with living(places, run):
        assert lives(places, run.label)
        assert ended(places) == []

    assert not lives(places, run.label)
    assert ended(places) == [run], "it may have left something"
    forget(places, run.label)
    assert ended(places) == []


def test_a_run_whose_process_was_killed_has_ended(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, os, signal\n"
        "from bakehouse.local.places import Places\n"
        "from bakehouse.local.runs import living, new_run\n"
        "with living(Places(pathlib.Path(sys.argv[1]), 'instant'), new_run('web', 'build')):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)

    (run,) = ended(Places(tmp_path, "instant"))

    assert run.recipe == "web"
    assert run.run_id.startswith("build__")


def test_a_run_that_was_killed_while_it_was_written_is_forgotten(tmp_path: Path) -> None:
    places = Places(tmp_path, "instant")
    places.make()
    (places.runs / "0123456789ab.json").write_text('{"recipe": "we')

    assert ended(places) == []
    assert list(places.runs.iterdir()) == []


def test_a_project_without_a_gitignore_is_not_dirty_because_of_local_builds(tmp_path: Path) -> None:
    Places(tmp_path, "instant").make()

    assert (tmp_path / ".bakehouse/local/.gitignore").read_text() == "*\n"
