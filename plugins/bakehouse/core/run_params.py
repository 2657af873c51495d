"""The params of a run, as its DAG's trigger form and `conf` give them. Pure.

Airflow checks each field of the form by its JSON schema before there is a run, and answers 400. It
takes unknown keys of `conf` without a word, and params of a run that was made by another version of
Bakehouse: these are refused by the first task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from bakehouse.core.errors import PermanentError
from bakehouse.core.models import Frozen
from bakehouse.core.nearest import nearest
from bakehouse.core.problems import problem_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHOWN = 60  # characters of a value


class RunParams(Frozen):
    """The fields of a form. A subclass has those of one DAG, each with its default."""

    @classmethod
    def of_run(cls, params: Mapping[str, Any], conf: Mapping[str, Any] | None = None) -> Self:
        """Return the fields among a run's params; a run of an older form lacks some.

        Args:
            params: The run's params.
            conf: What was given when the run was triggered; None where nobody has given anything.

        Raises:
            PermanentError: A key of `conf` is not a field, or a value is not valid.
        """
        if unknown := sorted(set(conf or {}) - set(cls.model_fields)):
            known = ", ".join(cls.model_fields)
            keys = ", ".join(_with_nearest(key, cls.model_fields) for key in unknown)
            raise PermanentError(
                f"conf has unknown keys: {keys}. Trigger another run; its keys may be {known}"
            )
        given = {name: params[name] for name in cls.model_fields if name in params}
        try:
            return cls.model_validate({n: value for n, value in given.items() if value is not None})
        except ValidationError as invalid:
            problems = "; ".join(
                f"{'.'.join(map(str, one['loc']))} {problem_of(one)} (it is {_shown(one['input'])})"
                for one in invalid.errors()
            )
            raise PermanentError(f"the params are not valid: {problems}") from None


def triggered_by(run: Any) -> str:
    """Return the user who has triggered a DAG run; empty if nobody has, or if it is not known.

    Source: `triggering_user_name` of a DAG run, which a schedule leaves empty.
    """
    return str(getattr(run, "triggering_user_name", None) or "")


def _with_nearest(key: str, known: Iterable[str]) -> str:
    found = nearest(key, known)
    return f"{key!r} (did you mean {found!r}?)" if found else repr(key)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
