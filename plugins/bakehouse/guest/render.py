"""Renders the templates of an image with the metadata of the instance. Runs in the guest.

`templates/` mirrors /; `*.j2` are Jinja2, the rest is copied. Names: instance attributes over
project attributes (`-` becomes `_`), `attributes['a-b']`, `instance.*`, `image.*`, `vars.*`;
a name that is not there is an error. Either everything is written or nothing: every mistake is
told on standard error as `file:line: what`, and every path that was written on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import (
    ChainableUndefined,
    Environment,
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    Undefined,
)

SUFFIX = ".j2"
WRONG = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError)
MARKUP = (".html.j2", ".htm.j2", ".xml.j2", ".svg.j2")


class Entry(NamedTuple):
    """A file to be, `path` below /; a link's text is its target."""

    path: str
    mode: int
    data: bytes


class Fault(NamedTuple):
    """A template that cannot be rendered; as text `etc/app.conf.j2:3: 'port' is undefined`."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


def context(
    instance: dict[str, Any], project: dict[str, str], image: dict[str, Any]
) -> dict[str, Any]:
    """The names that a template sees; ours win over an attribute of the same name."""
    attributes = {**project, **instance.get("attributes", {})}
    names = {key.replace("-", "_"): value for key, value in attributes.items()}
    ours = {
        "attributes": attributes,
        "instance": instance,
        "image": image,
        "vars": image.get("vars", {}),
    }
    return {**names, **ours}


def render(entries: list[Entry], names: dict[str, Any]) -> tuple[list[Entry], list[str]]:
    """Entries as they shall be written, and what is wrong with those that cannot be."""
    sources = {entry.path: entry for entry in entries}

    def load(name: str) -> Any:
        found = sources.get(name)
        return (found.data.decode("utf-8"), name, lambda: True) if found else None

    environment = Environment(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name) and str(name).endswith(MARKUP),
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _not_json}
    done: list[Entry] = []
    wrong: list[str] = []
    for entry in entries:
        try:
            done.append(_one(environment, entry, names))
        except WRONG as error:
            faults = {where(error, entry.path, sources), *undefined(environment, entry, names)}
            wrong += map(str, sorted(faults))
    return done, wrong


def undefined(environment: Environment, entry: Entry, names: dict[str, Any]) -> list[Fault]:
    """Every undefined name of a file, not only the first: rendered again, it goes on."""
    faults: list[Fault] = []
    going_on = environment.overlay(undefined=noting(faults))
    with suppress(*WRONG):  # told by the strict one, or a consequence of what was noted
        _one(going_on, entry, names)
    return faults


def noting(faults: list[Fault]) -> type[Undefined]:
    """An undefined name that notes where it is used, and goes on as itself or as nothing.

    bakehouse/recipe/templates.py has its twin, for the scripts that Airflow renders.
    """

    def note(self: Undefined, *_arguments: object) -> Undefined:
        frame = sys._getframe(1)
        while "__jinja_template__" not in frame.f_globals and frame.f_back:
            frame = frame.f_back
        if template := frame.f_globals.get("__jinja_template__"):
            line = template.get_corresponding_lineno(frame.f_lineno)
            faults.append(Fault(frame.f_code.co_filename, line, self._undefined_message))
        return self

    def nothing(value: object) -> Any:
        def method(self: Undefined, *_arguments: object) -> object:
            note(self)
            return value

        return method

    failing = Undefined._fail_with_undefined_error
    operators = {name: note for name, method in vars(Undefined).items() if method is failing}
    values = {"__str__": "", "__len__": 0, "__bool__": False, "__eq__": False, "__ne__": True}
    ends = {name: nothing(value) for name, value in {**values, "__iter__": iter(())}.items()}
    return type("Noting", (ChainableUndefined,), {**operators, **ends})


def _not_json(value: object) -> str:
    """What tojson cannot say: an undefined name as a text raises, and names itself."""
    if isinstance(value, Undefined):
        return str(value)
    raise TypeError(f"{value} is not JSON")


def _one(environment: Environment, entry: Entry, names: dict[str, Any]) -> Entry:
    if stat.S_ISLNK(entry.mode) or not entry.path.endswith(SUFFIX):
        return entry
    text = environment.get_template(entry.path).render(names)
    return Entry(entry.path[: -len(SUFFIX)], entry.mode, text.encode("utf-8"))


def where(error: Exception, path: str, known: Any) -> Fault:
    """The line is the template's own, and the file the one that it includes."""
    file = getattr(error, "filename", None) or path
    line = getattr(error, "lineno", None) or 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in known:
            file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return Fault(file, line, str(getattr(error, "message", None) or error))


def read_tree(folder: Path) -> list[Entry]:
    """The files and symbolic links below the folder, sorted by path, with paths relative to it."""
    entries = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            entries.append(Entry(name, stat.S_IFLNK | 0o777, bytes(path.readlink())))
        elif path.is_file():
            entries.append(Entry(name, path.stat().st_mode, path.read_bytes()))
    return entries


def write(root: Path, entry: Entry) -> None:
    """Replace the file in one step; it keeps the owner that a package gave it."""
    target = root / entry.path
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.bakehouse")
    if stat.S_ISLNK(entry.mode):
        half.unlink(missing_ok=True)
        half.symlink_to(entry.data.decode())
    else:
        half.write_bytes(entry.data)
        half.chmod(stat.S_IMODE(entry.mode))
        if target.exists():
            before = target.stat()
            os.chown(half, before.st_uid, before.st_gid)
    half.replace(target)


def main(arguments: list[str]) -> int:
    """Render all templates and write the files.

    Returns:
        The exit code: 1 when a template has errors, which are printed, and nothing is written.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option in ("templates", "instance", "project", "image", "root"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    given = parser.parse_args(arguments)
    instance, project, image = (
        json.loads(path.read_text("utf-8")) for path in (given.instance, given.project, given.image)
    )
    done, wrong = render(read_tree(given.templates), context(instance, project, image))
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    for entry in done:
        write(given.root, entry)
        print(f"/{entry.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
