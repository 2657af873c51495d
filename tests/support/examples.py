"""How many examples a property is tried on, in proportion to the profile that is loaded."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100  # of hypothesis' own default profile


def examples(number: int) -> settings:
    """So many in `make test`; the profile `long` multiplies them."""
    return settings(max_examples=number * settings().max_examples // USUAL)
