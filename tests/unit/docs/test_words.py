"""Names that were replaced by the field's terms do not come back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.paths import PROJECT

# by the term to use
REPLACED = {
    "PermanentError": r"\bStopEverything\b",
    "TransientError": r"\bTryAgain\b",
    "Blocked": r"\bNotNow\b",
    "ZoneUnavailable": r"\bElsewhere\b",
    "OutcomeUnknown": r"\bUnsure\b",
    "AlreadyExists": r"\bTaken\b",
    "semaphore": r"\b[Tt]urnstile\b",
    "RateLimiter": r"\bReadBudget\b",
    "snapshot": r"\b[Ss]late\b",
    "parent_death": r"\b[Tt]ether\b",
    "reaper": r"\b[Gg]uardians?\b",
    "NotificationEvent": r"\bOccasion\b",
    "Notification": r"\bNews\b",
    "BakeParams": r"\bAsked\b",
    "housekeeping": r"\bkeep_house\b|\b[Kk]eep(s|ing)? house\b",
    "returned an XCom": r"\b(has )?handed on\b",
    "the deferral timed out": r"\bnothing came of\b",
    "a model of the event": r"\bevent\[",
}
# what was, and why: the old names stand there
HISTORY = ("CHANGELOG.md", "docs/decisions/")


def test_replaced_names_do_not_occur() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [PROJECT / name for name in listed.stdout.splitlines() if not name.startswith(HISTORY)]
    found = [
        f"{file.relative_to(PROJECT)}: write {term}, not {match[0]}"
        for file in files
        if file.is_file() and file != Path(__file__) and file.suffix not in {".png", ".lock"}
        for text in [file.read_text("utf-8", "replace")]
        for term, pattern in REPLACED.items()
        if (match := re.search(pattern, text))
    ]
    assert found == []
