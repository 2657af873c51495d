"""A time of the day for the nights of recipes that real schedulers run."""

from __future__ import annotations

from datetime import UTC, datetime

# The night of a new recipe is run when it was due within the last hour, and tests take a while. So
# nights are at another time than the tests are, and before noon, when commits of these days are.
HOUR = 9 if datetime.now(UTC).hour in {1, 2, 3, 4} else 3
NIGHTLY = f"0 {HOUR} * * *"
