"""What a computer and a project need to bake; each check has a remedy of one line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.specifiers import SpecifierSet

from bakehouse.config.airflow_settings import Settings, SettingsError, load_settings
from bakehouse.config.folder import INCLUDE, SETTINGS
from bakehouse.config.project import all_mistakes, read_project
from bakehouse.config.settings_values import (
    OWN_CONNECTIONS,
    unknown_variable,
    wrong_connection,
    wrong_variable,
)
from bakehouse.core.check import failed, passed
from bakehouse.history.key_file import (
    KMS,
    MAKE_ONE,
    SIGNING_KEY,
    default_key_file,
    key_file_of,
    problem_and_remedy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bakehouse.core.check import Check

PYTHON = (3, 11)
AIRFLOW = SpecifierSet(">=3.3.1,<3.4")  # as requirements.txt has it
LEDGER = "bakehouse_ledger"
_VARIABLE = "AIRFLOW_VAR_"


def examine(project: Path, environment: Mapping[str, str]) -> list[Check]:
    """All checks, whatever the first ones find; nothing is written and no server is asked."""
    settings, settings_check = _settings(project)
    return [
        _python(),
        check_git_program(),
        check_airflow(),
        check_include(project / INCLUDE),
        settings_check,
        *(_connection(name, settings, environment) for name in OWN_CONNECTIONS),
        _ledger(settings, environment),
        _signing_key(settings, environment),
        *_variables(environment),
    ]


def _python() -> Check:
    found = sys.version.split()[0]
    wanted = ".".join(map(str, PYTHON))
    if sys.version_info >= PYTHON:
        return passed("Python", found)
    return failed("Python", f"is {found}", f"install Python {wanted} or later")


def check_git_program() -> Check:
    """Whether git can be run here."""
    path = shutil.which("git")
    if path is None:
        return failed("git program", "is not installed", "apt-get install git")
    return passed("git program", path)


def check_airflow() -> Check:
    """Whether the Airflow of this environment is one that Bakehouse runs on."""
    wanted = f'pip install "apache-airflow{AIRFLOW}"'
    try:
        found = metadata.version("apache-airflow")
        import airflow  # ruff: ignore[unused-import]  whether it can be
    except (metadata.PackageNotFoundError, ImportError) as missing:
        return failed("Airflow", f"cannot be imported ({missing})", wanted)
    if found not in AIRFLOW:
        return failed("Airflow", f"is {found}, Bakehouse needs {AIRFLOW}", wanted)
    return passed("Airflow", found)


def check_include(folder: Path) -> Check:
    """Whether every recipe, script and fleet of the folder is valid."""
    if not folder.is_dir():
        return failed("include/", f"{folder} is missing", "bakehouse init FOLDER")
    if wrong := all_mistakes(folder):
        return failed("include/", f"{len(wrong)} files have mistakes", "bakehouse validate")
    found = read_project(folder)
    counts = f"{len(found.recipes)} recipes, {len(found.fleets)} fleets"
    return passed("include/", f"{counts}, all valid")


def _settings(project: Path) -> tuple[Settings, Check]:
    try:
        settings = load_settings(project / SETTINGS)
    except SettingsError as error:
        count = f"{len(error.mistakes)} mistakes in {SETTINGS}"
        return Settings(), failed("settings", count, "bakehouse validate")
    return settings, passed("settings", f"{SETTINGS} is valid")


def _connection(name: str, settings: Settings, environment: Mapping[str, str]) -> Check:
    variable = f"AIRFLOW_CONN_{name.upper()}"
    if variable in environment:
        if wrong := wrong_connection(name, environment[variable]):
            return failed(name, f"the connection in {variable} {wrong[0]}", wrong[1])
        return passed(name, f"a connection in the environment ({variable})")
    if name in settings.connections:
        return passed(name, f"a connection in {SETTINGS}")
    return failed(
        name,
        f"no connection in {SETTINGS} or {variable}",
        f"add it there, unless `airflow connections get {name}` shows one",
    )


def _variables(environment: Mapping[str, str]) -> Iterator[Check]:
    """Find the Variables of Bakehouse in the environment that nobody reads, or cannot."""
    for variable, value in sorted(environment.items()):
        name = variable.removeprefix(_VARIABLE).lower()
        if not variable.startswith(_VARIABLE):
            continue
        if wrong := unknown_variable(name) or wrong_variable(name, _plain(value)):
            yield failed(name, f"{variable} {wrong[0]} (it is {value!r})", wrong[1])


def _ledger(settings: Settings, environment: Mapping[str, str]) -> Check:
    url = environment.get(f"AIRFLOW_VAR_{LEDGER.upper()}") or settings.variables.get(LEDGER)
    if url is None:
        home = Path(environment.get("AIRFLOW_HOME", "~/airflow")).expanduser()
        folder = home / "ledger"
        detail = f"{folder}, since the Variable {LEDGER} is not set"
        return _writable(folder, detail)
    parts = urlsplit(_plain(url))
    if parts.scheme != "file":
        return passed("ledger", f"{url} (not tried)")
    return _writable(Path(parts.path), url)


def _signing_key(settings: Settings, environment: Mapping[str, str]) -> Check:
    """Whether the key that signs images can be read, or made by the first signature."""
    given = environment.get(f"{_VARIABLE}{SIGNING_KEY.upper()}")
    named = _plain(given or settings.variables.get(SIGNING_KEY) or "")
    if named.startswith(KMS):
        return passed("signing key", f"{named} (not tried)")
    file = key_file_of(named) if named else default_key_file(environment)
    if not file.exists():
        if named:
            return failed("signing key", f"{file} is missing", MAKE_ONE)
        made = f"{file}, made by the first signature"
        existing = next(path for path in file.parents if path.exists())
        if existing.is_dir() and os.access(existing, os.W_OK):
            return passed("signing key", made)
        found = f"{made}; {existing} is not writable"
        return failed("signing key", found, f"airflow variables set {SIGNING_KEY} file:///PATH")
    problem, remedy = problem_and_remedy(file)
    if problem:
        return failed("signing key", f"{file} {problem}", remedy or MAKE_ONE)
    return passed("signing key", str(file))


def _plain(url: str) -> str:
    """A Variable in the environment may be JSON."""
    try:
        value = json.loads(url)
    except ValueError:
        return url
    return value if isinstance(value, str) else url


def _writable(folder: Path, detail: str) -> Check:
    """Whether it can be written, or created below the nearest folder that exists."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        return passed("ledger", detail)
    found = f"{detail}; {existing} is not writable"
    return failed("ledger", found, f"airflow variables set {LEDGER} file:///PATH")
