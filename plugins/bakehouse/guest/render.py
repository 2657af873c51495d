"""Renders the templates of an image with the metadata of the instance. Runs in the guest.

`templates/` mirrors /; `*.j2` are Jinja2, the rest is copied. Names: instance attributes over
project attributes (`-` becomes `_`), `attributes['a-b']`, `instance.*`, `image.*`, `vars.*`;
a name that is not there is an error. Either everything is written or nothing: every mistake is
told on standard error as `file:line: what`, and every path that was written on standard output.
The value `secret://NAME` of an attribute is replaced by that of a secret (secret_values.py).

Templates are programs of others: they run in Jinja2's sandbox, within limits of time, memory and
size. Bakehouse renders the scripts of recipes with the same sandbox (recipe/templates.py), so it
stands here alone: Python 3.9 and Jinja2, nothing else.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import marshal
import os
import re
import resource
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if __name__ == "__main__":  # both are slow to load, and of no use here
    sys.modules["_hashlib"] = None  # type: ignore[assignment]  # OpenSSL
    sys.modules["pickle"] = marshal  # Jinja2 calls its dumps() at import, for a cache

from jinja2 import (
    ChainableUndefined,
    FunctionLoader,
    StrictUndefined,
    TemplateNotFound,
    Undefined,
    nodes,
)
from jinja2.compiler import CodeGenerator
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

SUFFIX = ".j2"
MARKUP = (".html.j2", ".htm.j2", ".xml.j2", ".svg.j2")
SECONDS = 20  # of processor time, for all templates; a small machine needs one
MEMORY = 256 * 2**20  # bytes beyond those of the interpreter
SIZE = 4 * 2**20  # characters of a rendered file
MANY = 1_000  # undefined names, after which a rendering ends
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in ', re.MULTILINE)


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
        """The line that people read."""
        return f"{self.file}:{self.line}: {self.problem}"


class TooLong(Exception):
    """A rendered file exceeds SIZE."""

    def __init__(self) -> None:
        super().__init__(f"the rendered file has more than {SIZE:,} characters")


class TooMany(Exception):
    """A template has MANY undefined names."""


class _Generator(CodeGenerator):
    """Evaluates nothing while it compiles: an expression without an end would have no line."""

    def _output_child_to_const(self, node: Any, frame: Any, finalize: Any) -> str:
        if isinstance(node, (nodes.Const, nodes.TemplateData)):
            return super()._output_child_to_const(node, frame, finalize)
        raise nodes.Impossible

    def visit_EvalContextModifier(self, node: Any, frame: Any) -> None:
        if all(isinstance(option.value, nodes.Const) for option in node.options):
            super().visit_EvalContextModifier(node, frame)
        else:
            self.fail("autoescape needs true or false", node.lineno)


def _joined(pieces: Iterable[str]) -> str:
    """The text of a template; one that is too long ends at the line that made it so."""
    found, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > SIZE:
            if hasattr(pieces, "throw"):
                pieces.throw(TooLong())  # as if the template itself had raised it
            raise TooLong
        found.append(piece)
    return "".join(found)


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates reach the names that they are given and nothing behind them."""

    code_generator_class = _Generator
    concat = staticmethod(_joined)

    def __init__(self, **options: Any) -> None:
        super().__init__(optimized=False, undefined=StrictUndefined, **options)


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


def sandbox(entries: list[Entry]) -> Sandbox:
    """An environment in which the templates may include each other."""
    sources = {entry.path: entry for entry in entries}

    def load(name: str) -> Any:
        found = sources.get(name)
        return (found.data.decode("utf-8"), name, lambda: True) if found else None

    environment = Sandbox(
        loader=FunctionLoader(load),
        autoescape=lambda name: bool(name) and str(name).endswith(MARKUP),
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _not_json}
    return environment


def render(entries: list[Entry], names: dict[str, Any]) -> tuple[list[Entry], list[str]]:
    """Entries as they shall be written, and what is wrong with those that cannot be."""
    environment = sandbox(entries)
    known = {entry.path for entry in entries}
    done: list[Entry] = []
    wrong: list[str] = []
    for entry in entries:
        try:
            done.append(_one(environment, entry, names))
        except Exception as error:
            found = where(error, entry.path, known.__contains__)
            faults = {found, *undefined(environment, entry, names)}
            wrong += map(str, sorted(faults))
    return done, wrong


def undefined(environment: Sandbox, entry: Entry, names: dict[str, Any]) -> list[Fault]:
    """Every undefined name of a file, not only the first: rendered again, it goes on."""
    faults: list[Fault] = []
    going_on = environment.overlay(undefined=noting(faults))
    with suppress(Exception):  # told by the strict one, or a consequence of what was noted
        _one(going_on, entry, names)
    return faults


def noting(faults: list[Fault]) -> type[Undefined]:
    """An undefined name that notes where it is used, and goes on as itself or as nothing."""

    def note(self: Undefined, *_arguments: object) -> Undefined:
        frame = sys._getframe(1)
        while "__jinja_template__" not in frame.f_globals and frame.f_back:
            frame = frame.f_back
        if len(faults) >= MANY:
            raise TooMany
        if template := frame.f_globals.get("__jinja_template__"):
            line = template.get_corresponding_lineno(frame.f_lineno)
            problem = self._undefined_message.rstrip(".")
            faults.append(Fault(frame.f_code.co_filename, line, problem))
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


def _one(environment: Sandbox, entry: Entry, names: dict[str, Any]) -> Entry:
    if stat.S_ISLNK(entry.mode) or not entry.path.endswith(SUFFIX):
        return entry
    text = environment.get_template(entry.path).render(names)
    return Entry(entry.path[: -len(SUFFIX)], entry.mode, text.encode("utf-8"))


def where(error: BaseException, path: str, is_template: Callable[[str], bool]) -> Fault:
    """The line is the template's own, and the file the one that it includes."""
    file = getattr(error, "filename", None) or path
    line = getattr(error, "lineno", None) or 0
    trace = error.__traceback__
    while trace is not None:
        if is_template(trace.tb_frame.f_code.co_filename):
            file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    problem = str(getattr(error, "message", None) or error).rstrip(".")
    if isinstance(error, TemplateNotFound):
        problem = f"there is no template {problem}"
    elif isinstance(error, SyntaxError):
        line, problem = 1, str(error.msg)  # of the code that Jinja2 has made
    elif isinstance(error, MemoryError):
        problem = f"needs more than {MEMORY >> 20} MiB of memory"
    return Fault(file, line, problem or type(error).__name__)


def limit(seconds: int, trace: BinaryIO) -> None:
    """Limit this process; one that takes too long writes where it was and is ended.

    From C, and not by an exception: one expression may take for ever without returning to Python.
    """
    faulthandler.enable(trace, all_threads=False)
    faulthandler.register(signal.SIGXCPU, trace, all_threads=False, chain=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    in_use = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, resource.RLIM_INFINITY))
    allow(seconds)


def allow(seconds: int) -> None:
    """Allow this process so much more processor time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, resource.RLIM_INFINITY))


def ended_at(trace: str, status: int, environment: Sandbox, prefix: str = "") -> Fault | None:
    """Where a process was that its limits have ended.

    Args:
        trace: What it wrote when it was ended.
        status: Its exit code, or the negative number of the signal.
        environment: The environment of its templates.
        prefix: What stands before the names of templates in messages.
    """
    problem = f"cannot be rendered: the process ended with {status}"
    if status == -signal.SIGXCPU:
        problem = "takes too much processor time"
    for file, line in _FRAME.findall(trace):
        with suppress(Exception):
            template = environment.get_template(file[len(prefix) :])
            return Fault(file, template.get_corresponding_lineno(int(line)), problem)
    return None


def within_limits(work: Callable[[], bytes], seconds: int) -> tuple[bytes, int, str]:
    """Run a function in a limited child: what it returned, its exit code, and where it was."""
    reading, writing = os.pipe()
    with os.fdopen(os.memfd_create("trace"), "w+b") as trace:
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(Exception):
                limit(seconds, trace)
                with os.fdopen(writing, "wb") as pipe:
                    pipe.write(work())
                code = 0
            os._exit(code)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        trace.seek(0)
        return said, os.waitstatus_to_exitcode(status), trace.read().decode("utf-8", "replace")


def render_limited(
    entries: list[Entry], names: dict[str, Any], seconds: int
) -> tuple[list[Entry], list[str]]:
    """Render in a child with limits of time and memory."""

    def work() -> bytes:
        done, wrong = render(entries, names)
        texts = [(entry.path, entry.mode, entry.data.decode("latin-1")) for entry in done]
        return json.dumps([texts, wrong]).encode("ascii")

    said, status, trace = within_limits(work, seconds)
    if status == 0:
        texts, wrong = json.loads(said)
        return [Entry(path, mode, data.encode("latin-1")) for path, mode, data in texts], wrong
    fault = ended_at(trace, status, sandbox(entries))
    return [], [str(fault or f"the templates cannot be rendered: exit code {status}")]


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


def conflicts(root: Path, entries: list[Entry]) -> list[str]:
    """What stands in the way of the files, found before the first one is written."""
    wrong, seen = [], set()
    for path, _, _ in entries:
        target = root / path
        if path in seen:
            wrong.append(f"{path}:0: two templates are rendered to this file")
        elif target.is_dir() and not target.is_symlink():
            wrong.append(f"{path}:0: /{path} is a folder")
        else:
            wrong += [
                f"{path}:0: /{above.relative_to(root)} is not a folder"
                for above in target.parents
                if root in above.parents and os.path.lexists(above) and not above.is_dir()
            ]
        seen.add(path)
    return wrong


def write(root: Path, entries: list[Entry]) -> None:
    """Replace the files: all are written beside their targets first, then each in one step."""
    halves: list[tuple[Path, Path]] = []
    try:
        for entry in entries:
            target = root / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            number, half = tempfile.mkstemp(dir=target.parent, prefix=".bakehouse-")  # mode 600
            halves.append((Path(half), target))
            with os.fdopen(number, "wb") as file:
                _fill(file, Path(half), entry, target)
        for half_file, target in halves:
            half_file.replace(target)
    finally:
        for half_file, _ in halves:
            half_file.unlink(missing_ok=True)


def _fill(file: BinaryIO, half: Path, entry: Entry, target: Path) -> None:
    """Write an entry with the owner and mode that its target has.

    Nobody else can read it before it has them. A link as a target is replaced, and what it
    points to keeps its content.
    """
    if stat.S_ISLNK(entry.mode):
        half.unlink()
        half.symlink_to(os.fsdecode(entry.data))
        return
    file.write(entry.data)
    file.flush()
    mode = stat.S_IMODE(entry.mode)
    with suppress(OSError):  # a link to nothing is as good as no file
        before = target.stat()
        if stat.S_ISREG(before.st_mode):
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
            mode = stat.S_IMODE(before.st_mode) | _executable(mode, before.st_mode)
    os.fchmod(file.fileno(), mode)  # last: a change of the owner removes setuid


def _executable(wanted: int, before: int) -> int:
    """A template that git has as a program is one, for all who may read it."""
    return (before & 0o444) >> 2 if wanted & 0o100 else 0


def refer_to_secrets(*names: dict[str, Any]) -> bool:
    """Whether a value of these attributes is meant to be a reference to a secret."""
    return any(
        str(value).strip().startswith("secret:/") for each in names for value in each.values()
    )


def beside(name: str) -> ModuleType:
    """A program of the image that lies beside this one. Raises OSError."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"{name}.py is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def resolved(instance: dict[str, Any], project: dict[str, str], entries: list[Entry]) -> Any:
    """Metadata with secrets in place of references: secret_values.Resolved, or None without any."""
    if not refer_to_secrets(project, instance.get("attributes", {})):
        return None
    secrets = beside("secret_values")
    texts = (entry.data.decode("utf-8", "replace") for entry in entries)
    return secrets.resolve(instance, project, secrets.used_by(texts))


def private(entries: list[Entry], secrets: Any) -> list[Entry]:
    """Entries of which those with a secret are their owner's only, unless their files are there."""
    return [
        Entry(path, mode & ~0o077 if secrets.hidden.inside(data) else mode, data)
        for path, mode, data in entries
    ]


def render_with_secrets(
    entries: list[Entry],
    instance: dict[str, Any],
    project: dict[str, str],
    image: dict[str, Any],
    seconds: int,
) -> tuple[list[Entry], list[str], Any]:
    """Render in a limited child; what is wrong has no secret in it, and None stands for none."""
    try:
        secrets = resolved(instance, project, entries)
    except OSError as error:
        return [], [f"metadata refers to secrets, which this image cannot read: {error}"], None
    if secrets is None:
        done, wrong = render_limited(entries, context(instance, project, image), seconds)
        return done, wrong, None
    if secrets.wrong:
        return [], secrets.wrong, secrets
    names = context(secrets.instance, secrets.project, image)
    done, wrong = render_limited(entries, names, seconds)
    return private(done, secrets), [secrets.hidden(one) for one in wrong], secrets


def main(arguments: list[str]) -> int:
    """Render all templates and write the files.

    Returns:
        The exit code: 1 when a template has errors, which are printed, and nothing is written.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option in ("templates", "instance", "project", "image", "root"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--wait", action="store_true", help="for a line on standard input")
    given = parser.parse_args(arguments)
    if given.wait and not sys.stdin.readline():
        return 1  # whoever was to say that the metadata are there has ended
    instance, project, image = (
        json.loads(path.read_text("utf-8")) for path in (given.instance, given.project, given.image)
    )
    entries = read_tree(given.templates)
    done, wrong, _ = render_with_secrets(entries, instance, project, image, given.seconds)
    wrong = wrong or conflicts(given.root, done)
    if not wrong:
        try:
            write(given.root, done)
        except OSError as error:
            wrong = [f"{error.filename or given.root}: cannot be written: {error.strerror}"]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    for entry in done:
        print(f"/{entry.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
