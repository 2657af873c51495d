"""The freeze: one Airflow Variable that keeps every fleet and every family as it is. Pure.

Whatever stands in the Variable is a freeze, also what a hurried person typed without the JSON; only
an empty value, and what plainly says no, are none.
"""

from __future__ import annotations

import json
import re

from bakehouse.core.models import Frozen

VARIABLE = "bakehouse_freeze"
NOT_FROZEN = frozenset({"", "{}", "[]", "null", "none", "false", "no", "off", "0", '""'})
UNKNOWN = "somebody"
_NAMED = re.compile(r"\s*([\w.@+-]+):\s(.*)", re.DOTALL)


class Freeze(Frozen):
    """Who has frozen everything, and why."""

    who: str = UNKNOWN
    why: str = ""

    def __str__(self) -> str:
        """Return the half sentence that logs and notes show."""
        return f"frozen by {self.who}" + (f": {self.why}" if self.why else "")

    def to_json(self) -> str:
        """Return the Variable's value."""
        return json.dumps(self.model_dump(), ensure_ascii=False)


def parse_freeze(value: str | None) -> Freeze | None:
    """Return the freeze that the Variable's value says; None if it says none.

    `{"who": "ann", "why": "quarter's end"}`; `ann: quarter's end` is the same, and any other text
    is the reason.
    """
    text = " ".join((value or "").split())
    if text.lower() in NOT_FROZEN:
        return None
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    if isinstance(said, dict):
        return _of(str(said.get("who") or ""), str(said.get("why") or ""))
    if isinstance(said, str):
        named = _NAMED.fullmatch(said)
        return _of(*named.groups()) if named else _of("", said)
    return _of("", text)


def _of(who: str, why: str) -> Freeze:
    return Freeze(who=" ".join(who.split()) or UNKNOWN, why=" ".join(why.split()))
