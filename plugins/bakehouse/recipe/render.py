"""Render a recipe: from its files at a commit to the metadata of builder and smoke VM."""

from __future__ import annotations

import json
import posixpath
import re
import stat
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bakehouse.core.nearest import nearest
from bakehouse.core.problems import problem_of
from bakehouse.images.image_kinds import CUSTOM_IMAGE
from bakehouse.recipe import payload
from bakehouse.recipe.collect import content_of, lacking
from bakehouse.recipe.commit import GUEST, RECIPES, SCRIPTS, Commit, GitFile, shown
from bakehouse.recipe.install_parts import (
    INSTALL,
    PARTS,
    has_install,
    is_part,
    parts_in,
    wrong_parts,
)
from bakehouse.recipe.lint import unquoted_in, unquoted_of
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.model import Recipe, Scalar
from bakehouse.recipe.rendering import Job, render_limited
from bakehouse.recipe.script_text import wrong_text
from bakehouse.recipe.shell_syntax import wrong_rendered, wrong_syntax
from bakehouse.recipe.template_names import (
    not_rendered,
    undefined_at_boot,
    undefined_in_scripts,
)
from bakehouse.recipe.templates import TEMPLATES, Faults, RenderError, bad_templates, sh
from bakehouse.recipe.unread import SMOKE_TEST, missing_checks, unread_files

if TYPE_CHECKING:
    from bakehouse.guest.render import Fault
    from bakehouse.recipe.facts import ImageFacts

__all__ = ["RenderError", "Rendered", "builder_metadata", "render", "smoke_metadata"]

PREPARE = "prepare.sh.j2"  # optional; runs before the first update of the package lists
_GUEST_FILES = (
    "render.py",
    "config_changes.py",
    "secret_values.py",
    "bakehouse-boot.service",
    "bakehouse-health.service",
    "bakehouse-orders.service",
)
_HEALTH_TIMER = "bakehouse-health.timer"
_REPORT = "$library/report"
_EXECUTABLE, _PLAIN = 0o100755, 0o100644
_READY = "$library/ready"
_NONCE = "0" * 32
_URL_BYTES = 1024  # of the package archive at a date
_FACTS_BYTES = 1024  # of image.json, besides vars and services
_NO_KEY = "'dict object' has no attribute"  # as Jinja2 has it
_UNKNOWN_VAR = re.compile(r"'vars\.(\w+)' is undefined")


@dataclass(frozen=True)
class Rendered:
    """What the content key covers, except the base image; nothing that belongs to a run.

    `vars` are those of this run; `files` is the payload without image.json; `image` is what the
    recipe says of the image itself.
    """

    recipe: str
    vars: Mapping[str, Scalar]
    services: tuple[str, ...]
    bake_script: str
    smoke_script: str
    smoke_metadata: Mapping[str, str]
    files: Mapping[str, GitFile]
    machine_type: str
    disk_gb: int
    image: Mapping[str, str | bool | None]

    def key_material(self) -> dict[str, Any]:
        """Return what the content key covers, as JSON; content_key() adds the base image.

        The smoke test is part of it: a promoted image with this key has passed this test.
        """
        return {
            "recipe": self.recipe,
            "vars": dict(self.vars),
            "services": list(self.services),
            "bake": self.bake_script,
            "smoke": self.smoke_script,
            "smoke_metadata": dict(self.smoke_metadata),
            "files": {path: [f.mode, sha256(f.data).hexdigest()] for path, f in self.files.items()},
            "machine": [self.machine_type, self.disk_gb],
            "image": dict(self.image),
        }


def render(
    recipe: Recipe,
    commit: Commit,
    files: Mapping[str, GitFile],
    vars_override: Mapping[str, Scalar] | None = None,
    snapshot: str | None = None,
) -> Rendered:
    """Render all scripts and the payload of a recipe.

    Raises WrongScripts with everything that is wrong in the files, whatever the kind; RenderError,
    payload.TooBig.

    Args:
        recipe: The recipe at the commit.
        commit: The commit.
        files: The files at the commit, by their path below SCRIPTS (see scripts_at).
        vars_override: Vars of this run, in place of the recipe's.
        snapshot: The date of the packages to install, such as 20261120T000000Z; None for today's.
    """
    recipe = _with_vars(recipe, vars_override or {})
    own = _below(files, f"{recipe.scripts}/")
    names = {"recipe": recipe, "vars": recipe.vars, "git_sha": commit.sha, "commit": commit}
    test = own[SMOKE_TEST].data.decode("utf-8", "replace") if SMOKE_TEST in own else ""
    parts = parts_in(own)
    own_scripts = [*([PREPARE] if PREPARE in own else []), *parts]
    run = {
        "snapshot": snapshot or "",
        "prepare": PREPARE.removesuffix(".j2") if PREPARE in own else "",
        "parts": [part.removesuffix(".j2") for part in parts],
    }
    texts = _Texts(files)
    templates: dict[str, Mapping[str, Any]] = {
        **{f"{recipe.scripts}/{script}": {} for script in own_scripts},
        "boot.sh.j2": {},
        "report.sh.j2": {},
        "orders.sh.j2": {},
        f"{_HEALTH_TIMER}.j2": {},
        "bake.sh.j2": run,
        # scripts of older commits write the smoke test as a here-document, to end_of_test
        "smoke.sh.j2": {"smoke_test": test, "end_of_test": _end_of(test)},
    }
    wrong = _wrong_files(recipe, files)
    try:
        scripts = _render(templates, names, texts)
    except WrongScripts as more:
        raise WrongScripts([*wrong, *_untold(more.mistakes, wrong)]) from None
    except RenderError:
        if not wrong:
            raise
    if wrong:
        raise WrongScripts(wrong)
    bake, boot = scripts["bake.sh.j2"], scripts["boot.sh.j2"]
    _check_guest(recipe, commit, run, bake, boot)
    rendered = Rendered(
        recipe=recipe.name,
        vars=recipe.vars,
        services=recipe.services,
        bake_script=bake,
        smoke_script=scripts["smoke.sh.j2"],
        smoke_metadata=recipe.smoke.metadata,
        files={
            **{f"recipe/{path}": file for path, file in own.items() if _is_installed(path)},
            **{f"guest/{name}": files[f"{GUEST}/{name}"] for name in _GUEST_FILES},
            **{
                f"recipe/{script.removesuffix('.j2')}": GitFile(
                    _EXECUTABLE, scripts[f"{recipe.scripts}/{script}"].encode()
                )
                for script in own_scripts
            },
            "guest/boot.sh": GitFile(_EXECUTABLE, boot.encode()),
            "guest/report.sh": GitFile(_EXECUTABLE, scripts["report.sh.j2"].encode()),
            "guest/orders.sh": GitFile(_EXECUTABLE, scripts["orders.sh.j2"].encode()),
            f"guest/{_HEALTH_TIMER}": GitFile(_PLAIN, scripts[f"{_HEALTH_TIMER}.j2"].encode()),
        },
        machine_type=recipe.builder.machine_type,
        disk_gb=recipe.builder.disk_gb,
        image=_image(recipe),
    )
    _check_size(rendered)
    return rendered


def _render(
    templates: Mapping[str, Mapping[str, Any]], names: Mapping[str, Any], texts: Mapping[str, str]
) -> dict[str, str]:
    """Render scripts by template; those of the recipe are checked for their values as rendered.

    Raises WrongScripts.
    """
    own = [template for template in templates if "/" in template]
    undefined = undefined_in_scripts(names["recipe"], own, texts)
    try:
        scripts = render_limited(Job(templates, names, texts, SCRIPTS))
    except Faults as wrong:
        told = {(fault.file, fault.line): fault for fault in undefined}
        faults = [
            told.get((fault.file, fault.line), fault) if _NO_KEY in fault.problem else fault
            for fault in wrong.faults
        ]
        places = {(fault.file, fault.line) for fault in faults}
        more = [one for one in undefined if (one.file, one.line) not in places]
        raise _not_rendered([*faults, *more], names["recipe"]) from wrong
    if undefined:
        raise _not_rendered(undefined, names["recipe"])
    done = {template: script.text() for template, script in scripts.items()}
    mistakes = [one for name in own for one in unquoted_in(scripts[name], texts, SCRIPTS)]
    mistakes += [one for name in own for one in wrong_rendered(name, done[name], texts)]
    if mistakes:
        raise WrongScripts(mistakes)
    return done


def _not_rendered(faults: Iterable[Fault], recipe: Recipe) -> WrongScripts:
    """Word the faults; of a var that is unknown, the nearest known one is the remedy."""
    found = list[Mistake]()
    for file, line, problem in faults:
        remedy = f"Correct it, or add it to the vars of {recipe.name}.yaml"
        name = _UNKNOWN_VAR.fullmatch(problem)
        if name and (close := nearest(name[1], recipe.vars)):
            remedy = f"Did you mean vars.{close}? Else add it to the vars of {recipe.name}.yaml"
        problem = f"cannot be rendered: {problem.replace(_NO_KEY, 'its mapping has no')}"
        found.append(Mistake(file, line, "the script", "", problem, remedy))
    return WrongScripts(found)


def _untold(more: Iterable[Mistake], told: Iterable[Mistake]) -> Iterator[Mistake]:
    """Leave out what a rendering says of a place that has been told from its text.

    A value that is not quoted may be undefined as well, which is another mistake of its line.
    """
    places = {(one.file, one.line) for one in told if not one.where.startswith("{{")}
    values = {(one.file, one.line, one.where) for one in told}
    for one in more:
        if (one.file, one.line) not in places and (one.file, one.line, one.where) not in values:
            yield one


def _check_size(rendered: Rendered) -> None:
    """Raise TooBig, naming the biggest files, before there is a plan that has them."""
    facts = len(json.dumps([dict(rendered.vars), rendered.services])) + _FACTS_BYTES
    packed = payload.encode(rendered.files, spare=facts * 4 // 3)
    builder = _common("builder", _NONCE) | {
        "bakehouse-snapshot": " " * _URL_BYTES,
        "startup-script": payload.fit("the bake script", rendered.bake_script),
        "bakehouse-payload": packed + " " * (facts * 4 // 3),
    }
    payload.fit_together("the builder", builder)
    payload.fit_together("the smoke test's VM", smoke_metadata(rendered, _NONCE))


def builder_metadata(
    rendered: Rendered, facts: ImageFacts, nonce: str, snapshot_url: str = ""
) -> dict[str, str]:
    """Return the builder's instance metadata. Raises payload.TooBig.

    Args:
        rendered: The rendered recipe.
        facts: The content of image.json.
        nonce: Marks the builder's result, so that no other text is taken for it.
        snapshot_url: The URL of the package archive at the snapshot's date.
    """
    files = {**rendered.files, "image.json": GitFile(0o100644, facts.to_json().encode())}
    return {
        **_common("builder", nonce),
        **({"bakehouse-snapshot": snapshot_url} if snapshot_url else {}),
        "startup-script": payload.fit("the bake script", rendered.bake_script),
        "bakehouse-payload": payload.encode(files),
    }


def smoke_metadata(rendered: Rendered, nonce: str) -> dict[str, str]:
    """Return the smoke VM's instance metadata. Raises payload.TooBig."""
    return {
        **rendered.smoke_metadata,
        **_common("smoke", nonce),
        "startup-script": payload.fit("the smoke test", rendered.smoke_script),
    }


def _common(role: str, nonce: str) -> dict[str, str]:
    # The guest agent creates accounts for the project's SSH keys; they would stay in the image.
    return {
        "enable-guest-attributes": "TRUE",
        "block-project-ssh-keys": "TRUE",
        "bakehouse-role": role,
        "bakehouse-nonce": nonce,
    }


def _image(recipe: Recipe) -> dict[str, str | bool | None]:
    """How long images are kept changes nothing in them."""
    # what the bake script has is outside of it
    outside = {"keep", "remove_files", "shared_files", "keep_package_lists"}
    image = recipe.image.model_dump(mode="json", exclude=outside)
    if image["kind"] == CUSTOM_IMAGE:
        del image["kind"]  # the default adds nothing, so that older images keep their key
    return {**image, "family": recipe.family}


def _with_vars(recipe: Recipe, override: Mapping[str, Scalar]) -> Recipe:
    unknown = sorted(set(override) - set(recipe.vars))
    if unknown:
        known = ", ".join(sorted(recipe.vars)) or "none"
        raise RenderError(
            f"the recipe {recipe.name} has no vars {', '.join(unknown)}; it has {known}"
        )
    form = recipe.model_dump(mode="json")
    try:
        return Recipe.model_validate({**form, "vars": {**recipe.vars, **override}})
    except ValidationError as invalid:
        problems = "; ".join(f"vars {e['loc'][-1]} {problem_of(e)}" for e in invalid.errors())
        raise RenderError(problems) from None


def _below(files: Mapping[str, GitFile], folder: str) -> dict[str, GitFile]:
    return {p.removeprefix(folder): file for p, file in files.items() if p.startswith(folder)}


def _is_installed(path: str) -> bool:
    """Whether the builder gets the file as it is: no template of a script, no smoke test."""
    return path not in {INSTALL, PREPARE, SMOKE_TEST} and not is_part(path)


def wrong_at_boot(recipe: Recipe, files: Mapping[str, GitFile]) -> list[Mistake]:
    """Find what an instance could not render, and what it would not although it should."""
    return [*undefined_at_boot(recipe, files), *not_rendered(recipe, files)]


class WrongScripts(RenderError):
    """Files that cannot be baked, or not as they are; the message has all of them."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """Sort the mistakes and drop duplicates."""
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))


def mistakes_in(files: Mapping[str, GitFile], folder: str) -> list[Mistake]:
    """Find the mistakes of a recipe's folder that are seen without rendering."""
    own = {path: file for path, file in files.items() if path.startswith(f"{folder}/")}
    theirs = {path: f for path, f in files.items() if path.partition("/")[0] != GUEST}
    texts = {path: content_of(theirs, path).decode("utf-8", "replace") for path in theirs}
    templates = {path: texts[path] for path in sorted(own)}
    wrong = [*unquoted_of(texts, SCRIPTS, own), *bad_templates(templates, SCRIPTS)]
    for path, file in own.items():
        if stat.S_ISREG(file.mode):
            wrong += wrong_text(path, file.data) or wrong_syntax(path, file.data)
    paths = [path.removeprefix(f"{folder}/") for path in own]
    return [*wrong, *_written_twice(own, folder), *wrong_parts(paths, folder)]


def _wrong_files(recipe: Recipe, files: Mapping[str, GitFile]) -> list[Mistake]:
    """Find all mistakes that are seen without rendering the scripts."""
    if lacking(files, recipe.scripts):
        return [*_without_install(recipe, files)]  # the folder's name is wrong, and nothing else
    return [
        *_without_install(recipe, files),
        *mistakes_in(files, recipe.scripts),
        *_without_script(recipe, files),
        *unread_files(recipe, files),
        *missing_checks(recipe, files),
        *wrong_at_boot(recipe, files),
    ]


def _without_install(recipe: Recipe, files: Mapping[str, GitFile]) -> Iterator[Mistake]:
    """Find that nothing would be installed."""
    if not has_install(files, recipe.scripts):
        problem = f"has no {SCRIPTS}/{recipe.scripts}/{INSTALL} or {PARTS}"
        remedy = "Commit it, or name the folder that has it"
        file = f"{RECIPES}/{recipe.name}.yaml"
        yield Mistake(file, 1, "scripts", "", problem, remedy)


def _without_script(recipe: Recipe, paths: Container[str]) -> Iterator[Mistake]:
    """Find a `ready.script` that is no file of the recipe's folder."""
    script = recipe.ready.own_script
    if script is not None and f"{recipe.scripts}/{script}" not in paths:
        file, folder = f"{RECIPES}/{recipe.name}.yaml", f"{SCRIPTS}/{recipe.scripts}/"
        problem = f"is not a file of {folder}"
        remedy = "Commit it, or name a program that install.sh creates by its whole path"
        yield Mistake(file, 1, "ready.script", repr(script), problem, remedy)


def _check_guest(
    recipe: Recipe, commit: Commit, run: Mapping[str, Any], bake: str, boot: str
) -> None:
    """Raise RenderError where guest scripts of the commit's own lack what is asked of them."""
    at = f"of commit {commit.sha[:7]}"
    snapshot, prepare = run["snapshot"], run["prepare"]
    if snapshot and snapshot not in bake:
        raise RenderError(
            f"the {SCRIPTS}/bake.sh.j2 {at} does not support snapshots: it"
            f" would install today's packages instead of those of {snapshot}: bake without one"
        )
    if prepare and f"prepare={sh(prepare)}" not in bake:
        raise RenderError(
            f"the {SCRIPTS}/bake.sh.j2 {at} does not run {PREPARE}: remove"
            f" {SCRIPTS}/bake.sh.j2, since Bakehouse has its own, or {PREPARE}"
        )
    remedy = f"remove the file below {SCRIPTS}, since Bakehouse has its own"
    if run["parts"] != ["install.sh"] and f"parts=({sh(run['parts'])})" not in bake:
        raise RenderError(f"the bake.sh.j2 {at} does not run {PARTS}: {remedy}")
    for program in (_READY, _REPORT):
        if program in boot and program not in bake:
            name = program.rpartition("/")[2]
            raise RenderError(
                f"the bake.sh.j2 {at} does not install the program `{name}`, which boot.sh runs:"
                f" {remedy}"
            )
    if recipe.ready.is_declared and _READY not in boot:
        raise RenderError(f"the boot.sh.j2 {at} does not support `ready`: {remedy}")
    image = recipe.image
    for is_used, variable, fields in (
        (
            bool(image.remove_files or image.shared_files),
            "remove_files=",
            "image.remove_files and image.shared_files",
        ),
        (image.keep_package_lists, "keep_package_lists=", "image.keep_package_lists"),
    ):
        if is_used and variable not in bake:
            raise RenderError(f"the bake.sh.j2 {at} does not support {fields}: {remedy}")


def _written_twice(own: Iterable[str], folder: str) -> list[Mistake]:
    """Find files that would take the place of others: rendered scripts and templates."""
    paths = {path.removeprefix(f"{folder}/") for path in own}
    wrong = []
    templates = sorted(path for path in paths if path.startswith(TEMPLATES))
    for rendered in (*(parts_in(paths) or (INSTALL,)), *({PREPARE} & paths), *templates):
        plain = rendered.removesuffix(".j2")
        if plain != rendered and (plain in paths or any(p.startswith(f"{plain}/") for p in paths)):
            file = f"{SCRIPTS}/{folder}/{plain}"
            problem = f"has the name that {shown(posixpath.basename(rendered))} gets when rendered"
            wrong.append(Mistake(shown(file), 1, "", "", problem, "Rename one of them"))
    return wrong


class _Texts(Mapping[str, str]):
    """The texts that templates may include; decoded when one does."""

    def __init__(self, files: Mapping[str, GitFile]) -> None:
        self._files = files

    def __getitem__(self, path: str) -> str:
        data = content_of(self._files, path)
        try:
            return data.decode()
        except UnicodeDecodeError as other:
            line = data.count(b"\n", 0, other.start) + 1
            raise RenderError(f"{SCRIPTS}/{shown(path)}:{line} is not UTF-8") from other

    def __contains__(self, path: object) -> bool:
        return path in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _end_of(text: str) -> str:
    """Return an end mark for a here-document that does not occur in the text."""
    return f"END_OF_TEST_{sha256(text.encode()).hexdigest()[:16]}"
