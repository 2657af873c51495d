"""What `.importlinter` says of the packages: their layers, and which modules are pure."""

from __future__ import annotations

from configparser import ConfigParser

from tests.support.paths import PROJECT

PLUGINS = PROJECT / "plugins"


def layers() -> list[list[str]]:
    """Top to bottom, the names of each layer; the uppermost are modules, all others packages."""
    lines = _contract("layers", "layers")
    return [[name.strip(" ()") for name in line.split("|")] for line in lines]


def pure_modules() -> list[str]:
    """Every module that must reach neither Airflow nor an HTTP client."""
    return sorted(
        {module for name in _contract("pure", "source_modules") for module in _below(name)}
    )


def forbidden_to_pure_modules() -> list[str]:
    """The packages that they must not reach."""
    return _contract("pure", "forbidden_modules")


def _contract(name: str, option: str) -> list[str]:
    config = ConfigParser()
    config.read(PROJECT / ".importlinter", encoding="utf-8")
    return config[f"importlinter:contract:{name}"][option].split("\n")[1:]


def _below(name: str) -> list[str]:
    path = PLUGINS.joinpath(*name.split("."))
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    return [".".join(file.relative_to(PLUGINS).with_suffix("").parts) for file in files]
