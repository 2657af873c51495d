"""How long a test waits before it gives up: an idle machine needs a tenth of it.

A deadline ends a test that hangs. It says nothing of how fast anything has to be.
"""

from __future__ import annotations

SOON = 300.0  # seconds for what takes a few
RUN = 1200.0  # for a run on instant machines
