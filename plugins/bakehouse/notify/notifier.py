"""Find the class of a notifier, and say what is wrong with it.

Airflow itself is imported only by the class: `bakehouse validate` is fast for files without one.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakehouse.notify.models import NOTIFIERS

if TYPE_CHECKING:
    from collections.abc import Generator

    from bakehouse.notify.models import Channel

BASE = "airflow.sdk.bases.notifier.BaseNotifier"
_REMEDY = f"Name the path of a class of Airflow's BaseNotifier, or {' or '.join(NOTIFIERS)}"


class BadNotifier(ValueError):
    """A notifier that cannot be used.

    Attributes:
        field: `notifier` or `arguments`.
        problem: What is wrong.
        remedy: What to write.
    """

    def __init__(self, field: str, problem: str, remedy: str = _REMEDY) -> None:
        """See the class."""
        super().__init__(f"{problem}. {remedy}")
        self.field, self.problem, self.remedy = field, problem, remedy


def notifier_class(channel: Channel) -> Any:
    """Return the class of a channel's notifier, which takes its arguments. Raises BadNotifier."""
    module, _, name = channel.path.rpartition(".")
    try:
        with _without_work_folder():
            found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as missing:
        raise BadNotifier("notifier", f"cannot be imported: no module {missing.name}") from None
    except BaseException as error:  # a module may do anything, sys.exit() too
        if isinstance(error, KeyboardInterrupt):
            raise
        what = f"{type(error).__name__}: {error}"
        raise BadNotifier("notifier", f"cannot be imported: {what}") from error
    _check_class(found, module, name)
    _check_arguments(found, channel.keywords)
    return found


def _check_class(found: object, module: str, name: str) -> None:
    if found is None:
        raise BadNotifier("notifier", f"does not exist: {module} has no {name}")
    if not isinstance(found, type):
        raise BadNotifier("notifier", f"is not a class: {name} is a {type(found).__name__}")
    base = next((one for one in found.__mro__ if _path(one) == BASE), None)
    if base is None:
        raise BadNotifier("notifier", f"is not a notifier: {name} is no subclass of BaseNotifier")
    if inspect.isabstract(found) or inspect.getattr_static(found, "notify") is vars(base)["notify"]:
        raise BadNotifier("notifier", f"is abstract: {name} does not implement notify")


def _check_arguments(found: Any, keywords: dict[str, Any]) -> None:
    signature = inspect.signature(found)
    try:
        signature.bind(**keywords)
    except TypeError as wrong:
        known = ", ".join(
            name + ("" if one.default is inspect.Parameter.empty else "?")
            for name, one in signature.parameters.items()
            if one.kind not in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        )
        remedy = f"{found.__name__} takes {known or 'none'}"
        raise BadNotifier("arguments", f"do not fit: {wrong}", remedy) from None


def _path(one: type) -> str:
    return f"{one.__module__}.{one.__qualname__}"


@contextmanager
def _without_work_folder() -> Generator[None]:
    """Import nothing of the folder that is validated: its author may be a stranger."""
    before, here = sys.path[:], Path.cwd()
    sys.path[:] = [entry for entry in before if entry and Path(entry).absolute() != here]
    try:
        yield
    finally:
        sys.path[:] = before
