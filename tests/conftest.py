"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long one example takes says more of the machine than of the code; pytest's own limit stands.
settings.register_profile("bakehouse", deadline=None)
settings.load_profile("bakehouse")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test that was tried again said the first time."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"{report.nodeid}, first try")
        terminalreporter.write_line(report.longreprtext)
