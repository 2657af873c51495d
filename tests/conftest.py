"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says more of the machine than of the code; pytest's own limit stands.
settings.register_profile("bakehouse", deadline=None)
settings.load_profile("bakehouse")
