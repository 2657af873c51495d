"""Modules that decide can be imported where there is no Airflow and no HTTP client."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

from tests.support.layers import PLUGINS, forbidden_to_pure_modules, pure_modules

IMPORT_ALL = """
import sys
from importlib import import_module

forbidden, modules = sys.argv[1].split(), sys.argv[2].split()

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
for module in modules:
    try:
        import_module(module)
    except ImportError as error:
        print(f"{module}: {error}")
"""


def calls_itself_pure(module: str) -> bool:
    text = PLUGINS.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")
    return bool(re.search(r"\bpure\b", ast.get_docstring(ast.parse(text)) or "", re.IGNORECASE))


def test_pure_modules_are_imported_without_airflow() -> None:
    lists = [" ".join(forbidden_to_pure_modules()), " ".join(pure_modules())]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *lists],
        env={"PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_whatever_calls_itself_pure_is_held_to_it() -> None:
    files = (PLUGINS / "bakehouse").rglob("*.py")
    modules = (".".join(file.relative_to(PLUGINS).with_suffix("").parts) for file in files)
    claims = {module for module in modules if calls_itself_pure(module)}
    assert claims - set(pure_modules()) == set()
