"""Load YAML files that users write, or report all mistakes with file, line, value and remedy.

`Kind` describes the content of a file: recipes here, fleets in bakehouse.fleet.load.
"""

from __future__ import annotations

import contextlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bakehouse.core.problems import problem_of
from bakehouse.core.tasks import Flow, task_ids
from bakehouse.recipe.limits import Problem, problems_of
from bakehouse.recipe.mistakes import Mistake, Mistakes, did_you_mean
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.yaml_values import MAX_BYTES, compose, dotted, quoted, read, show, too_big

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

__all__ = ["Kind", "Mistake", "Mistakes", "load_recipe", "load_recipes", "located", "node_at"]

_Path = tuple[str | int, ...]
_YAML = (".yaml", ".yml")
_ALMOST = (".yaml.txt", ".yml.txt", ".yaml.j2", ".yml.j2")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Kind(Generic[Model]):
    """What a file contains: a model with a `name`, and the ids that `sla` and `retries` use."""

    model: type[Model]
    task_ids: tuple[str, ...]
    begin: str  # the first line of the shortest file
    rules: Callable[[Model], Iterable[Problem]] = lambda _: ()
    """What is wrong across the fields of a model that is valid field by field."""

    def expected(self, loc: _Path) -> str:
        """Return the description of the nearest field."""
        found = ""
        fields: Mapping[str, Any] = self.model.model_fields
        for part in loc:
            if part not in fields:
                break
            found = fields[str(part)].description or found
            model = _not_optional(fields[str(part)].annotation)
            fields = model.model_fields if _is_model(model) else {}
        return found or "another value"

    def fields_at(self, loc: _Path) -> list[str]:
        """List the fields of the model at `loc`."""
        model: Any = self.annotation_at(loc) if loc else self.model
        fields = list(model.model_fields) if _is_model(model) else []
        return [field for field in fields if (loc, field) != ((), "name")]

    def annotation_at(self, loc: _Path) -> Any:
        """Return the type of the field at `loc`; None if there is none."""
        model: Any = self.model
        for part in loc:
            if isinstance(part, int):
                model = _item_of(model)
                continue
            if not _is_model(model) or part not in model.model_fields:
                return None
            model = _not_optional(model.model_fields[str(part)].annotation)
        return model


FILES = "*.y*ml"  # `.yml` is a mistake, and not unseen
RECIPES = Kind(Recipe, task_ids(Flow.BAKE), begin="base: debian-cloud/debian-12", rules=problems_of)


def load_recipe(content: str | bytes, path: str) -> Recipe:
    """Load a recipe; `path` gives its name and is used in messages. Raises Mistakes."""
    if isinstance(content, bytes):
        return load_bytes(RECIPES, content, path)
    return load_text(RECIPES, content, path)


def load_recipes(folder: Path, only: str | None = None) -> tuple[list[Recipe], list[Mistakes]]:
    """Load all `*.yaml` of a folder, or `only` the one of this name; see load_folder."""
    return load_folder(RECIPES, folder, only)


def load_text(kind: Kind[Model], text: str, path: str) -> Model:
    """Load a file of this kind; its stem is the name. Raises Mistakes."""
    document = read(text, path, lambda loc: kind.annotation_at(loc) is bool)
    return _validate(kind, document.data, document.root, path, document.mistakes)


def load_bytes(kind: Kind[Model], content: bytes, path: str) -> Model:
    """Load a file of this kind as it is stored. Raises Mistakes."""
    if len(content) > MAX_BYTES:
        raise Mistakes([too_big(path)])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as unreadable:
        line = content.count(b"\n", 0, unreadable.start) + 1
        problem, remedy = f"cannot be read: {unreadable}", "Save it as UTF-8 text"
        raise Mistakes([Mistake(path, line, "the file", "", problem, remedy)]) from None
    return load_text(kind, text, path)


def load_folder(
    kind: Kind[Model], folder: Path, only: str | None = None
) -> tuple[list[Model], list[Mistakes]]:
    """Load all `*.yaml` of a folder, by name; each file with mistakes becomes one Mistakes."""
    good, broken = [], []
    for file in sorted(folder.glob("*" if only is None else FILES.replace("*", only, 1))):
        if not _is_meant(file):
            continue
        try:
            good.append(_load_file(kind, file))
        except Mistakes as mistakes:
            broken.append(mistakes)
    return good, broken


def shown(file: Path) -> str:
    """Return the path from the project folder on, such as `include/recipes/web.yaml`."""
    return "/".join(file.parts[-3:])


def mistake_at(file: Path, loc: _Path, problem: str, remedy: str) -> Mistake:
    """Locate a mistake that a rule across files has found in a valid file."""
    root = compose(file.read_text("utf-8"))
    return located(shown(file), root, loc, problem, remedy)


def _is_meant(file: Path) -> bool:
    """Whether somebody means it to be read: a YAML file whatever it is called, or a folder of them.

    Copies that editors and people keep (`web.yaml.bak`, `web.yaml~`) are not meant.
    """
    if file.name.startswith("."):
        return False
    if file.suffix != ".yaml" and file.is_dir():
        return any(file.glob("*.y*ml"))
    name = file.name.lower()
    return name.endswith((*_YAML, *_ALMOST, ".json")) and name != "schema.json"


def _load_file(kind: Kind[Model], file: Path) -> Model:
    if file.suffix != ".yaml" and file.is_dir():
        remedy = f"Move its files to include/{file.parent.name}"
        raise Mistakes([Mistake(shown(file), 1, "the folder", "", "is not read", remedy)])
    if file.suffix != ".yaml":
        remedy = f"Rename it to {file.name.partition('.')[0]}.yaml"
        raise Mistakes([Mistake(shown(file), 1, "the file", "", "is not read", remedy)])
    try:
        return load_bytes(kind, _content(file), shown(file))
    except OSError as unreadable:
        remedy = "Make it a readable file"
        mistake = Mistake(shown(file), 1, "the file", "", f"cannot be read: {unreadable}", remedy)
        raise Mistakes([mistake]) from None


def _content(file: Path) -> bytes:
    if not file.is_file():
        raise OSError("it is not a regular file")  # a pipe or a device may never end
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _validate(
    kind: Kind[Model], data: Any, root: Node | None, path: str, found: list[Mistake]
) -> Model:
    if not isinstance(data, dict):
        remedy = f"Begin with `{kind.begin}`"
        raise Mistakes([Mistake(path, 1, "the file", "", "is not a mapping", remedy)])
    stem = Path(path).stem
    if data.get("name", stem) != stem:
        remedy = f"Remove it, or rename the file to {data['name']}.yaml"
        found.append(located(path, root, ("name",), "differs from the file's name", remedy))
    try:
        model = kind.model.model_validate({**data, "name": stem})
    except ValidationError as invalid:
        told = {one.where for one in found}
        found += (one for one in _explain(kind, invalid, root, path) if one.where not in told)
        locs = [_without_key(error["loc"]) for error in invalid.errors()]
        found += _of_the_rest(kind, {**data, "name": stem}, locs, root, path)
        raise Mistakes(found) from None
    found += (located(path, root, *problem) for problem in kind.rules(model))
    if found:
        raise Mistakes(found)
    return model


def _of_the_rest(
    kind: Kind[Model], data: Any, wrong: list[_Path], root: Node | None, path: str
) -> Iterator[Mistake]:
    """Find what the rules find, were the fields with mistakes not given."""
    rest = deepcopy(data)
    for loc in sorted(wrong, key=str, reverse=True):  # of a list, the last ones first
        _remove(rest, loc)
    with contextlib.suppress(ValidationError):
        for problem in kind.rules(kind.model.model_validate(rest)):
            if not any(loc[: len(problem.loc)] == problem.loc for loc in wrong):
                yield located(path, root, *problem)


def _remove(data: Any, loc: _Path) -> None:
    for part in loc[:-1]:
        if not isinstance(data, dict) or part not in data:
            return
        data = data[part]
    if loc and isinstance(data, dict):
        data.pop(loc[-1], None)


def _without_key(loc: _Path) -> _Path:
    return tuple(part for part in loc if part != "[key]")


def _explain(
    kind: Kind[Any], invalid: ValidationError, root: Node | None, path: str
) -> Iterator[Mistake]:
    errors = invalid.errors(include_url=False)
    for error in errors:
        if error["type"] == "default_factory_not_called":
            continue  # the name is wrong, and has its own error
        loc = error["loc"]
        if error["type"] == "too_short" and any(
            len(one["loc"]) > len(loc) and one["loc"][: len(loc)] == loc for one in errors
        ):
            continue  # only its wrong items are not counted
        yield _mistake_of(kind, error, root, path)


def _mistake_of(kind: Kind[Any], error: ErrorDetails, root: Node | None, path: str) -> Mistake:
    loc = _without_key(error["loc"])
    if error["type"] == "missing":
        problem, remedy = "is missing", f"Add it: {kind.expected(loc)}"
        return located(path, root, loc, problem, remedy, show_value=False)
    if error["type"] == "extra_forbidden":
        known = kind.fields_at(loc[:-1])
        return located(path, root, loc, "is not a field", did_you_mean(loc[-1], known), False)
    if error["loc"] and error["loc"][-1] == "[key]":
        remedy = did_you_mean(loc[-1], list(kind.task_ids)) if loc[0] in {"sla", "retries"} else ""
        remedy = remedy or f"Expected: {kind.expected(loc[:-1])}"
        problem = "is not a task" if loc[0] in {"sla", "retries"} else problem_of(error)
        return located(path, root, loc, problem, remedy, show_value=False)
    if unquoted := _unquoted(error, node_at(root, loc)[0]):
        return located(path, root, loc, *unquoted)
    shows_value = error["type"] != "secret"  # it may be the secret itself
    return located(path, root, loc, problem_of(error), _remedy(kind, error, loc), shows_value)


def _unquoted(error: ErrorDetails, node: Node | None) -> tuple[str, str] | None:
    """Return problem and remedy of a value that is a text if it is written in quotes."""
    if error["type"] not in {"string_type", "scalar"} or not isinstance(node, ScalarNode):
        return None
    if error["input"] is None and not node.value:
        return "has no value", 'Write "" for an empty text; a text that begins with # needs quotes'
    return ("is not a text", quoted(node.value)) if not isinstance(error["input"], str) else None


def _remedy(kind: Kind[Any], error: ErrorDetails, loc: _Path) -> str:
    if loc == ("name",):
        return "Rename the file: at most 35 of a-z, 0-9 and -, beginning with a letter"
    annotation = kind.annotation_at(loc)
    if error["type"] == "literal_error" and get_origin(annotation) is Literal:
        return did_you_mean(str(error["input"]), [str(choice) for choice in get_args(annotation)])
    return f"Expected: {kind.expected(loc)}"


def located(
    path: str, root: Node | None, loc: _Path, problem: str, remedy: str, show_value: bool = True
) -> Mistake:
    """Return the mistake of a field with its line and, as it stands in the file, its value."""
    node, line = node_at(root, loc)
    value = show(node) if show_value and node is not None else ""
    return Mistake(path, line, dotted(loc), value, problem, remedy)


def node_at(node: Node | None, loc: _Path) -> tuple[Node | None, int]:
    """Return the node at `loc` and the line of its key, else of the nearest existing node."""
    line = node.start_mark.line + 1 if node else 1
    for part in loc:
        below = _below(node, part)
        if below is None:
            return None, line
        node, line = below
    return node, line


def _below(node: Node | None, part: str | int) -> tuple[Node, int] | None:
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, MappingNode):
        for key, value in reversed(node.value):  # YAML uses the last of two equal keys
            if key.value == str(part):
                return value, key.start_mark.line + 1
    return None


def _not_optional(annotation: Any) -> Any:
    """Return Model of `Model | None`, and anything else as it is."""
    models = [one for one in get_args(annotation) if _is_model(one)]
    return models[0] if models and isinstance(annotation, UnionType) else annotation


def _item_of(annotation: Any) -> Any:
    """Return the type of the items of a list, of a list that may be absent too."""
    for one in (annotation, *get_args(annotation)):
        while get_origin(one) is Annotated:
            one = get_args(one)[0]
        if get_origin(one) is tuple:
            item = get_args(one)[0]
            return get_args(item)[0] if get_origin(item) is Annotated else item
    return None


def _is_model(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseModel)
