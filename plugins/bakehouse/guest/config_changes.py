"""Renders the templates again, writes what has changed, and says it as a diff. Runs in the guest.

Values of keys that look secret are not shown: neither the value itself, wherever it stands, nor
what stands behind such a key in a file. A line with something of a secret of Secret Manager is not
shown, whatever a template makes of it. Python 3.9, and render.py beside it.
"""

from __future__ import annotations

import argparse
import difflib
import html
import importlib.util
import json
import re
import stat
import sys
from base64 import b64encode
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from types import ModuleType

HIDDEN = "***"
SECONDS = 20  # of processor time, as at boot
LINES, LINE = 400, 300  # of a diff, and the characters of one of them
SHORTEST = 3  # characters of a value that is hidden wherever it stands
_SECRET = re.compile(
    r"pass(?:wor[dt]|wd|phrase|code)?(?![a-z])|secret|token|credential|private|salt|cookie|"
    r"api[-_.]?key|(?:^|[-_.])(?:key|keys|pw|pwd|auth|psk|pin)(?:$|[-_.])|"
    r"(?:access|account|signing|encryption|shared|master|license)[-_.]?key",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"""^(?P<head>[^:=]*?(?P<key>[\w.-]+)["']?\s*(?:=>|:=|[:=])\s*)(?P<value>\S.*)$"""
)
_WORDS = re.compile(r"^(?P<head>[-+ ]?\s*(?P<key>[\w.-]+)\s+)(?P<value>\S.*)$")
_IN_URL = re.compile(r"(://[^/\s:@]*:)[^@\s/]+@")
_PEM = re.compile(r"-----(BEGIN|END) [A-Z ]*PRIVATE KEY-----")


def looks_secret(key: str) -> bool:
    """Whether the value of such a key is not to be shown."""
    humps = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)  # apiKey, dbPassword
    return bool(_SECRET.search(humps))


def secrets_of(*names: Mapping[str, Any]) -> list[str]:
    """The values of keys that look secret, in each form that a template may write."""
    found: set[str] = set()
    for name in names:
        for key, value in name.items():
            if looks_secret(key) and value not in {None, ""}:
                found |= _forms(str(value))
    return sorted((text for text in found if len(text) >= SHORTEST), key=len, reverse=True)


def _forms(value: str) -> set[str]:
    texts = {value, value.strip(), *value.splitlines()}
    return {
        form
        for text in texts
        for form in (
            text,
            json.dumps(text)[1:-1],
            html.escape(text),
            quote(text),
            quote(text, safe=""),
            quote_plus(text),
            b64encode(text.encode()).decode(),
        )
    }


def hidden(text: str, secrets: Sequence[str]) -> str:
    """A line of a file without what is secret."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
    for pattern in (_ASSIGNED, _WORDS):
        match = pattern.match(text)
        if match and looks_secret(match["key"]):
            return f"{match['head']}{HIDDEN}"
    return text


def diff(
    path: str,
    before: bytes | None,
    after: bytes,
    secrets: Sequence[str],
    shown: Container[str] | None = None,
) -> list[str]:
    """A unified diff of one file.

    Args:
        path: The path of the file.
        before: What it had; None if there was none.
        after: What it has now.
        secrets: The values that are not shown.
        shown: The only lines that are shown; None for all.
    """
    try:
        old = (before or b"").decode("utf-8").splitlines()
        new = after.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return [f"--- {path}", f"+++ {path}", "(it is no text)"]
    if shown is not None:
        old, new = ([line if line in shown else HIDDEN for line in each] for each in (old, new))
    old, new = ([*_without_keys(lines)] for lines in (old, new))
    name = path if before is not None else "/dev/null"
    lines = difflib.unified_diff(old, new, name, path, n=1, lineterm="")
    told = []
    for number, line in enumerate(lines):
        text = line if number < 2 or line.startswith("@@") else line[0] + hidden(line[1:], secrets)
        told.append(text if len(text) <= LINE else text[: LINE - 1] + "…")
    only = "its last line end" if shown is None else "a secret"
    return told or [f"--- {path}", f"+++ {path}", f"(only {only})"]


def _without_keys(lines: Iterable[str]) -> Iterable[str]:
    """The lines, without those of private keys."""
    inside = False
    for line in lines:
        mark = _PEM.search(line)
        if mark:
            inside = mark[1] == "BEGIN"
            yield line
        else:
            yield HIDDEN if inside else line


def changes(
    root: Path,
    entries: Sequence[Any],
    secrets: Sequence[str],
    shown: Mapping[str, Container[str]] = MappingProxyType({}),
) -> tuple[list[Any], list[str]]:
    """The entries whose file is another one, and what has changed in them.

    Args:
        root: The folder that stands for /.
        entries: The files as they shall be.
        secrets: The values that are not shown.
        shown: Of files with secrets, by path below /, the only lines that are shown.
    """
    changed, told = [], []
    for entry in entries:
        target = root / entry.path
        if stat.S_ISLNK(entry.mode):
            before = bytes(target.readlink()) if target.is_symlink() else None
        else:
            before = target.read_bytes() if target.is_file() else None
        if before != entry.data:
            changed.append(entry)
            told += diff(f"/{entry.path}", before, entry.data, secrets, shown.get(entry.path))
    if len(told) > LINES:
        told = [*told[:LINES], f"({len(told) - LINES} more lines)"]
    return changed, told


def metadata_diff(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What has changed of metadata, one line for each key that is gone, new or another one."""
    told = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        for sign, value in (("-", old), ("+", new)):
            if value is not None:
                shown = HIDDEN if looks_secret(key) else hidden(value, [])
                text = shown if len(shown) <= LINE else shown[: LINE - 1] + "…"
                told.append(f"{sign}{key}={text}" if "\n" not in text else f"{sign}{key}={text!r}")
    return told


def lines_without_secrets(
    render: ModuleType,
    templates: Sequence[Any],
    metadata: Iterable[tuple[dict[str, Any], dict[str, str]]],
    image: dict[str, Any],
) -> dict[str, set[str]]:
    """Of each file that depends on a secret, by path below /, the lines that do not.

    A file depends on one if it is another with HIDDEN in place of the reference. Secrets of before
    are not known any more, but the metadata of before are: a line that neither gives is not shown.
    """
    known: dict[str, set[str]] = {}
    dependent: set[str] = set()
    for instance, project in metadata:
        own = masked(instance.get("attributes", {}))
        hidden = render.context({**instance, "attributes": own}, masked(project), image)
        plain = render.context(instance, project, image)
        files, others = (
            {
                entry.path: entry.data
                for entry in render.render_limited(templates, names, SECONDS)[0]
            }
            for names in (hidden, plain)
        )
        for entry in templates:
            path = (
                entry.path[: -len(render.SUFFIX)]
                if entry.path.endswith(render.SUFFIX)
                else entry.path
            )
            if path not in files or files[path] != others.get(path):
                dependent.add(path)
            lines = files.get(path, b"").decode("utf-8", "replace").splitlines()
            known.setdefault(path, set()).update(lines)
    return {path: known[path] for path in dependent}


def masked(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes with HIDDEN in place of references to secrets."""
    return {
        key: HIDDEN if str(value).strip().startswith("secret:/") else value
        for key, value in attributes.items()
    }


def _renderer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", Path(__file__).with_name("render.py"))
    if spec is None or spec.loader is None:
        raise ImportError("render.py is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> int:
    """Render all templates, write the files that have changed, and print the diff.

    Returns:
        The exit code: 1 when a template has errors, which are printed, and nothing is written.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = ("templates", "instance", "project", "image", "root", "changed")
    for option in (*names, "instance-before", "project-before"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    given = parser.parse_args(arguments)
    render = _renderer()
    read = {
        name: json.loads(getattr(given, name).read_text("utf-8"))
        for name in ("instance", "project", "image", "instance_before", "project_before")
    }
    templates, image = render.read_tree(given.templates), read["image"]
    done, wrong, fetched = render.render_with_secrets(
        templates, read["instance"], read["project"], image, SECONDS
    )
    wrong = wrong or render.conflicts(given.root, done)
    if wrong:
        print("\n".join(wrong))
        return 1
    attributes = [read[name].get("attributes", {}) for name in ("instance", "instance_before")]
    secrets = secrets_of(
        *attributes, read["project"], read["project_before"], image.get("vars", {})
    )
    metadata = [(read[f"instance{at}"], read[f"project{at}"]) for at in ("", "_before")]
    shown: dict[str, set[str]] = {}
    if fetched or any(render.refer_to_secrets(p, i.get("attributes", {})) for i, p in metadata):
        secrets = [*(fetched.hidden.forms if fetched else ()), *secrets]
        shown = lines_without_secrets(render, templates, metadata, image)
    changed, told = changes(given.root, done, secrets, shown)
    try:
        render.write(given.root, changed)
    except OSError as error:
        print(f"{error.filename or given.root}: cannot be written: {error.strerror}")
        return 1
    given.changed.write_text("".join(f"/{entry.path}\n" for entry in changed), "utf-8")
    print("\n".join(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
