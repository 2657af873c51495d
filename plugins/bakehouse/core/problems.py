"""What is wrong with a value, in words, where a model refuses it. Pure.

pydantic's own texts name its types, classes and patterns, which are those of the program and not of
the file, form or record that somebody wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_OF_PYDANTIC = frozenset(get_args(core_schema.ErrorType))
_ANOTHER_FORM = "does not have the form that is expected"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field",
    "string_type": "is not a text",
    "string_unicode": "is not a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_parsing_size": "is a number of too many digits",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "finite_number": "is not a number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "tuple_type": "is not a list",
    "list_type": "is not a list",
    "set_type": "is not a list",
    "frozen_set_type": "is not a list",
    "iterable_type": "is not a list",
    "dict_type": "is not a mapping (key: value)",
    "mapping_type": "is not a mapping (key: value)",
    "model_type": "is not a mapping (key: value)",
    "model_attributes_type": "is not a mapping (key: value)",
    "dataclass_type": "is not a mapping (key: value)",
    "json_invalid": "is not JSON",
    "json_type": "is not JSON",
    "datetime_type": "is not a time",
    "datetime_parsing": "is not a time",
    "datetime_object_invalid": "is not a time",
    "datetime_from_date_parsing": "is not a time",
    "timezone_naive": "is a time with a time zone",
    "timezone_aware": "is a time without a time zone",
    "date_type": "is not a date",
    "date_parsing": "is not a date, such as 2026-11-30",
    "date_from_datetime_parsing": "is not a date, such as 2026-11-30",
    "date_from_datetime_inexact": "is a time, not a date, such as 2026-11-30",
    "time_delta_type": "is not a duration",
    "time_delta_parsing": "is not a duration",
    "union_tag_not_found": "does not say of which kind it is",
    "union_tag_invalid": "is of the unknown kind {tag}",
}


_OF_PATTERN: dict[str, str] = {}


def worded(pattern: str, words: str) -> str:
    """Return the pattern of a field; `words` tell of a value that does not have this form."""
    _OF_PATTERN[pattern] = words
    return pattern


def words_of(pattern: str) -> str | None:
    """Return the words of a pattern; None if it has none."""
    return _OF_PATTERN.get(pattern)


def problem_of(error: ErrorDetails) -> str:
    """Return the predicate of a sentence about the value: `must be at least 10`."""
    kind = error["type"]
    if kind in {"value_error", "assertion_error"}:
        return error["msg"].partition(", ")[2] or _ANOTHER_FORM
    if kind not in _OF_PYDANTIC:
        return error["msg"]  # a validator of ours
    if kind == "string_pattern_mismatch":
        return words_of(error["ctx"]["pattern"]) or _ANOTHER_FORM
    return _WORDS.get(kind, _ANOTHER_FORM).format(**error.get("ctx", {}))


def problems_of(invalid: ValidationError, *, root: str = "it") -> str:
    """Return all problems in one line, each with the path of its value."""
    found = []
    for error in invalid.errors(include_url=False):
        place = ".".join(str(part) for part in error["loc"]) or root
        found.append(f"{place} {problem_of(error)}")
    return " ".join("; ".join(found).split())  # a key may contain a line break
