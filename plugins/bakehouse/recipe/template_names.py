"""Names in templates that nobody defines, in every branch, and templates that nobody renders. Pure.

A rendering tells the names of the branches that it takes. These here are read from the text: a name
that the template itself sets, or that it asks for with `is defined` or `default`, is no mistake.
A branch that the recipe's own values decide against is another recipe's, which shares the scripts.
"""

from __future__ import annotations

import re
import stat
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, meta, nodes
from jinja2.visitor import NodeTransformer

from bakehouse.guest.render import Fault, Sandbox
from bakehouse.recipe.commit import SCRIPTS, Commit, shown
from bakehouse.recipe.facts import ImageFacts
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.model import OWN_METADATA, Recipe
from bakehouse.recipe.templates import TEMPLATES, script_environment, with_references

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from jinja2.sandbox import SandboxedEnvironment

    from bakehouse.recipe.commit import GitFile

_ASKING = frozenset({"defined", "undefined"})
_DEFAULTS = frozenset({"default", "d"})
_ALWAYS_SET = frozenset({*OWN_METADATA, "bakehouse-role", "bakehouse-nonce"})
_INSTANCE = frozenset(
    ["id", "name", "zone", "hostname", "machineType", "networkInterfaces", "disks", "attributes"]
)
_MAPPINGS = frozenset({"vars", "image", "attributes"})  # their methods are no fields
_COMPARED = (nodes.Const, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not)
_Fields = dict[str, frozenset[str]]
_Values = dict[str, dict[str, Any]]


def undefined_in_scripts(
    recipe: Recipe, templates: Iterable[str], texts: Mapping[str, str]
) -> list[Fault]:
    """Find the undefined names of scripts, and of what they include.

    Args:
        recipe: The recipe, whose vars the scripts may name.
        templates: The templates of its scripts, by their path below SCRIPTS.
        texts: All templates.
    """
    environment = script_environment({}, "")
    properties = {name for name, one in vars(Recipe).items() if isinstance(one, property)}
    fields = {
        "vars": frozenset(recipe.vars),
        "recipe": frozenset({*Recipe.model_fields, *properties}),
        "commit": frozenset(Commit.model_fields),
    }
    own = with_references(templates, texts)
    values: _Values = {"vars": recipe.vars, "recipe": {"name": recipe.name}}
    found = _undefined(environment, own, {*fields, "git_sha"}, fields, values)
    return [
        Fault(f"{SCRIPTS}/{file}", line, f"{name!r} is undefined") for file, line, name in found
    ]


def undefined_at_boot(recipe: Recipe, files: Mapping[str, GitFile]) -> list[Mistake]:
    """Find the names in templates that the smoke test's instance would not have.

    An instance needs them as well: a template that names a missing attribute ends its boot.
    """
    start = f"{recipe.scripts}/{TEMPLATES}"
    texts = {
        path: file.data.decode("utf-8", "replace")
        for path, file in files.items()
        if path.startswith(start) and path.endswith(".j2") and stat.S_ISREG(file.mode)
    }
    names = {*recipe.smoke.metadata, *_ALWAYS_SET}
    fields = {
        "vars": frozenset(recipe.vars),
        "image": frozenset(ImageFacts.model_fields),
        "attributes": frozenset(names),
    }
    known = {*fields, "instance", *(name.replace("-", "_") for name in names)}
    found = list[Mistake]()
    values: _Values = {"vars": recipe.vars, "image": {"recipe": recipe.name}}
    for file, line, name in _undefined(Sandbox(), texts, known, fields, values):
        problem = f"{name} is not defined"
        remedy = f"Add it to smoke.metadata of {recipe.name}.yaml, as each instance has it"
        if name.startswith("vars."):
            remedy = f"Add it to the vars of {recipe.name}.yaml"
        elif name.startswith("image."):
            remedy = f"An image has {', '.join(ImageFacts.model_fields)}"
        remedy += f", or write {{{{ {name} | default('') }}}}"
        found.append(Mistake(f"{SCRIPTS}/{shown(file)}", line, "", "", problem, remedy))
    return found


def not_rendered(recipe: Recipe, files: Mapping[str, GitFile]) -> Iterator[Mistake]:
    """Find files that hold a value for Jinja2, and whose name does not end in .j2.

    Files of others have braces too (Go, Prometheus, `docker --format`): only a name that
    Bakehouse's own templates have counts.
    """
    in_scripts = _value_of({"vars": frozenset(recipe.vars)}, [])
    at_boot = _value_of(
        {
            "vars": frozenset(recipe.vars),
            "image": frozenset(ImageFacts.model_fields),
            "instance": _INSTANCE,
            "attributes": frozenset(recipe.smoke.metadata),
        },
        [name.replace("-", "_") for name in recipe.smoke.metadata],
    )
    start = f"{recipe.scripts}/"
    for path, file in sorted(files.items()):
        if not path.startswith(start) or path.endswith(".j2") or not stat.S_ISREG(file.mode):
            continue
        own = path.removeprefix(start)
        is_template = own.startswith(TEMPLATES)
        found = (at_boot if is_template else in_scripts).search(file.data)
        if found is None or b"\0" in file.data:
            continue
        line = file.data.count(b"\n", 0, found.start()) + 1
        value = " ".join(found[0].decode("utf-8", "replace").split())
        remedy = f"Rename it to {own.rpartition('/')[2]}.j2; what is meant for another program"
        remedy += f" belongs beside {TEMPLATES}, and install.sh copies it"
        if not is_template:
            remedy = f"Let install.sh.j2 or a file of {TEMPLATES} write the value where it is read"
        yield Mistake(f"{SCRIPTS}/{shown(path)}", line, value, "", "is not rendered", remedy)


def _value_of(fields: Mapping[str, Collection[str]], names: Collection[str]) -> re.Pattern[bytes]:
    """The beginning of an expression or statement with one of the names."""
    words = [
        rf"{name}\s*(?:\.\s*|\[\s*['\"])(?:{'|'.join(map(re.escape, sorted(known)))})\b"
        for name, known in fields.items()
        if known
    ]
    words += [rf"{re.escape(name)}\s*(?:\||-?}}}})" for name in sorted(names)]
    if not words:
        return re.compile(rb"(?!)")
    any_word = "|".join(words)
    pattern = rf"\{{\{{-?\s*(?:{any_word})|\{{%-?\s*(?:if|elif|for|set)\b[^%\n]*\b(?:{any_word})"
    return re.compile(pattern.encode())


def _undefined(
    environment: SandboxedEnvironment,
    texts: Mapping[str, str],
    known: Collection[str],
    fields: _Fields,
    values: _Values,
) -> Iterator[tuple[str, int, str]]:
    """Yield file, line and name of each name that is nowhere defined."""
    trees = dict[str, nodes.Template]()
    for file, text in texts.items():
        try:
            trees[file] = _Taken(values).visit(environment.parse(text))
        except (TemplateError, RecursionError):
            continue  # has its own mistake
    stored = {
        name.name
        for tree in trees.values()
        for name in tree.find_all(nodes.Name)
        if name.ctx in {"store", "param"}
    }
    stored |= {one.name for tree in trees.values() for one in tree.find_all(nodes.Macro)}
    for file, tree in trees.items():
        try:
            names = _Names(environment)
            names.visit(tree)
        except (TemplateError, RecursionError):
            continue
        free = names.undeclared_identifiers - stored
        yield from ((file, *one) for one in sorted(_of(tree, free, known, fields)))


def _of(
    tree: nodes.Template, free: set[str], known: Collection[str], fields: _Fields
) -> set[tuple[int, str]]:
    asked = _asked(tree)
    guarded = _guarded(tree)
    found = {
        (name.lineno, name.name)
        for name in tree.find_all(nodes.Name)
        if name.name in free - asked and name.name not in known and id(name) not in guarded
    }
    for part in tree.find_all((nodes.Getattr, nodes.Getitem)):
        whole = _dotted(part)
        if whole is None or whole in asked or id(part) in guarded:
            continue
        owner, _, field = whole.partition(".")
        is_method = owner in _MAPPINGS and hasattr(dict, field)
        if owner in free and field not in fields.get(owner, {field}) and not is_method:
            found.add((part.lineno, whole))
    return found


class _Names(meta.TrackingCodeGenerator, Sandbox.code_generator_class):  # type: ignore[misc, valid-type]
    """Finds names as Jinja2 does, but evaluates nothing, as the sandbox's own compiler."""

    def __init__(self, environment: SandboxedEnvironment) -> None:
        super().__init__(environment)
        self.optimizer = None  # else products of constants are computed


class _Known(NodeTransformer):
    """Puts values in place of the names that have one."""

    def __init__(self, values: _Values) -> None:
        self.values = values
        self.used = False

    def _value(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Node:
        owner, _, field = (_dotted(node) or "").partition(".")
        if field not in self.values.get(owner, {}):
            return self.generic_visit(node)
        self.used = True
        return nodes.Const(self.values[owner][field], lineno=node.lineno)

    visit_Getattr = visit_Getitem = _value


class _Taken(NodeTransformer):
    """Leaves of each `if` that known values decide the branch that is taken."""

    def __init__(self, values: _Values) -> None:
        self.values = values

    def visit_If(self, node: nodes.If) -> nodes.Node | list[nodes.Node]:
        test = self._decided(node.test)
        if test is None:
            return self.generic_visit(node)
        if test:
            body = node.body
        elif node.elif_:
            first, *others = node.elif_
            first.elif_, first.else_ = others, node.else_
            body = [first]
        else:
            body = node.else_
        return [left for one in body for left in self.visit_list(one)]

    def visit_CondExpr(self, node: nodes.CondExpr) -> Any:
        test = self._decided(node.test)
        if test is None:
            return self.generic_visit(node)
        one = node.expr1 if test else node.expr2 or nodes.Const("", lineno=node.lineno)
        return self.visit(one)

    def _decided(self, test: nodes.Node) -> bool | None:
        """The test's value; None where values that nobody knows yet take part, or are computed.

        Only comparisons are made here: no limit of time and memory holds outside of a rendering.
        """
        known = _Known(self.values)
        plain = known.visit(deepcopy(test, {id(test.environment): test.environment}))
        if not all(isinstance(one, _COMPARED) for one in (plain, *plain.find_all(nodes.Node))):
            return None
        try:
            value = plain.as_const()
        except nodes.Impossible:
            return None
        return bool(value) if known.used else None


def _asked(tree: nodes.Node) -> set[str]:
    """The names that a template asks for, or has a default for."""
    found = set[str]()
    for one in tree.find_all((nodes.Test, nodes.Filter)):
        if one.name in (_ASKING if isinstance(one, nodes.Test) else _DEFAULTS):
            inner = one.node
            if isinstance(inner, nodes.Name):
                found.add(inner.name)
            elif isinstance(inner, nodes.Getattr | nodes.Getitem) and (whole := _dotted(inner)):
                found.add(whole)
    for test in tree.find_all(nodes.Compare):  # 'a-b' in attributes
        for operand in test.ops:
            where = operand.expr
            if operand.op not in {"in", "notin"} or not isinstance(where, nodes.Name):
                continue
            if isinstance(test.expr, nodes.Const):
                found.add(f"{where.name}.{test.expr.value}")
                found.add(str(test.expr.value).replace("-", "_"))
    return found


def _guarded(tree: nodes.Template) -> set[int]:
    """The ids of what stands in branches that a name decides which may be missing.

    Where one optional name is there, another one may be: `{{ token if cluster is defined }}`.
    """
    blocks: list[nodes.If | nodes.CondExpr] = [
        *tree.find_all(nodes.If),
        *tree.find_all(nodes.CondExpr),
    ]
    return {
        id(inner)
        for block in blocks
        if _asked(nodes.Not(block.test))  # find_all leaves out the node that it begins at
        for inner in block.find_all((nodes.Name, nodes.Getattr, nodes.Getitem))
    }


def _dotted(part: nodes.Node) -> str | None:
    """`vars.port` of vars.port and vars['port']; None for what is deeper or a value."""
    if isinstance(part, nodes.Getattr) and isinstance(part.node, nodes.Name):
        return f"{part.node.name}.{part.attr}"
    if (
        isinstance(part, nodes.Getitem)
        and isinstance(part.node, nodes.Name)
        and isinstance(part.arg, nodes.Const)
        and isinstance(part.arg.value, str)
    ):
        return f"{part.node.name}.{part.arg.value}"
    return None
