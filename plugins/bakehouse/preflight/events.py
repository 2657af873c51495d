"""The event of the trigger that shows that the triggerer has our code. Pure."""

from __future__ import annotations

from bakehouse.core.models import Frozen


class TriggererAnswered(Frozen):
    """The triggerer has run our trigger; `version` is its Bakehouse."""

    version: str
