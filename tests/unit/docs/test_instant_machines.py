"""The guide has each setting of an instant machine, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import PROJECT

import devstack

GUEST = Path(str(devstack.__file__)).with_name("instant_guest.py").read_text("utf-8")
GUIDE = (PROJECT / "docs" / "demo.md").read_text("utf-8")
SECTION = GUIDE.partition("## Instant machines")[2].partition("\n## ")[0]


def test_the_guide_lists_the_settings_that_the_guest_program_reads() -> None:
    read = set(re.findall(r'\bknob\("(\w+)"', GUEST))
    for names in re.findall(r"knob\(name\).*? for name in \(([^)]+)\)", GUEST, re.DOTALL):
        read |= set(re.findall(r'"(\w+)"', names))
    assert {"fail_install", "ill_after", "sources"} <= read
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", SECTION, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == read


def test_the_faults_of_the_api_are_where_the_guide_sends_its_reader() -> None:
    target = (PROJECT / "localgce" / "README.md").read_text("utf-8")
    assert "../localgce/README.md#fault-injection" in SECTION
    assert "\n## Fault injection\n" in target
