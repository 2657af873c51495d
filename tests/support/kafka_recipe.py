"""The recipe `kafka`: its programs as modules, and its templates as an instance renders them."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from tests.support.paths import PROJECT

from bakehouse.guest.render import context, read_tree, render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

SCRIPTS = PROJECT / "include/startup_scripts/kafka"
ZONE = "projects/7/zones/us-central1-b"
HOSTNAME = "kafka-2.us-central1-b.c.shop.internal"


def program(name: str) -> ModuleType:
    """A module of `setup/`, which stands alone in the guest."""
    module_name = f"kafka_recipe_{name}"
    spec = importlib.util.spec_from_file_location(module_name, SCRIPTS / f"setup/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


def rendered(
    attributes: Mapping[str, str],
    project: Mapping[str, str] | None = None,
    scripts: Path = SCRIPTS,
) -> dict[str, str]:
    """The files of an instance with this metadata, by path."""
    instance = {"name": "kafka-2", "id": 7, "zone": ZONE, "hostname": HOSTNAME}
    names = context({**instance, "attributes": dict(attributes)}, dict(project or {}), {"vars": {}})
    done, wrong = render(read_tree(scripts / "templates"), names)
    assert wrong == []
    return {entry.path: entry.data.decode() for entry in done}


def properties(text: str) -> dict[str, str]:
    """Names and values of a properties file; the last of a name counts."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
