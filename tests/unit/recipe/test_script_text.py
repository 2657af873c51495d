"""Line ends and encodings of what a guest executes: told with the line, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.recipe.script_text import wrong_text

BASH = "#!/bin/bash\n"


@pytest.mark.parametrize(
    ("path", "data", "line", "words"),
    [
        ("app/health", b"#!/bin/bash\r\nexit 0\r\n", 1, "ends in CR LF, as 1 more"),
        ("app/smoke_test.sh", b'check "ok" "h" true\r\n', 1, "ends in CR LF"),
        ("app/gate", b"#!/bin/sh\ntrue\r\n", 2, "ends in CR LF"),
        ("app/drain", b"#!/bin/sh\rtrue\r", 1, "has a lone CR, as 1 more"),
        ("app/lib.sh", b"dir=/opt/app\r\n", 1, "ends in CR LF"),
        ("app/deep/er/functions.bash", b"a\nb\rc\n", 2, "has a lone CR"),
        ("app/bin/tool", b"#!/usr/bin/python3\r\nprint(1)\r\n", 1, "ends in CR LF"),
        ("app/templates/etc/cron.daily/x", b"#!/bin/sh\r\n", 1, "ends in CR LF"),
        ("app/self-extracting", b"#!/bin/sh\r\nexit\n\0\x01\r\n\xff", 1, "ends in CR LF"),
        ("app/health", b"\xef\xbb\xbf#!/bin/bash\n", 1, "begins with a byte order mark"),
        ("app/install.sh.j2", b"\xef\xbb\xbftrue\n", 1, "begins with a byte order mark"),
        ("app/prepare.sh.j2", "a\nß\n".encode("latin-1"), 2, "is not UTF-8 (it is the byte 0xdf)"),
        ("app/smoke_test.sh", "# ä\n".encode("latin-1"), 1, "is not UTF-8"),
        ("app/templates/etc/motd.j2", "\nä".encode("latin-1"), 2, "is not UTF-8"),
        ("app/lib.sh", f"{BASH}# x\n".encode("utf-16"), 1, "is not UTF-8 (it is UTF-16)"),
        ("app/lib.sh", f"{BASH}# x\n".encode("utf-16-le"), 1, "is not UTF-8 (it is UTF-16)"),
        ("app/install.sh.j2", "true\n".encode("utf-16-be"), 1, "is not UTF-8 (it is UTF-16)"),
        ("app/health", f"{BASH}\n".encode("utf-32"), 1, "is not UTF-8 (it is UTF-32)"),
        ("app/health", b"#!/bin/sh\n\ntrue\0\n", 3, "has a NUL byte"),
        ("app/install.sh.j2", b"true\n\0", 2, "has a NUL byte"),
        ("app/two\nlines.sh", b"a\r\n", 1, "ends in CR LF"),
    ],
)
def test_what_a_machine_would_stumble_over(path: str, data: bytes, line: int, words: str) -> None:
    found = wrong_text(path, data)
    assert [mistake.line for mistake in found] == [line]
    text = str(found[0])
    assert words in text
    assert text.startswith("include/startup_scripts/app/")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("app/install.sh.j2", b"true\r\n"),  # Jinja2 turns it into LF
        ("app/health", b"#!/bin/bash\nprintf 'a\\r\\n'\n"),
        ("app/health", b"\x7fELF\x02\0\r\n\xff"),
        ("app/health", b""),
        ("app/notes.txt", b"a\r\n\xff\0"),
        ("app/page.bat", b"echo\r\n"),
        ("app/templates/etc/windows.ini.j2", b"\xef\xbb\xbfa\r\n"),
        ("app/self-extracting", b"#!/bin/sh\nexit\n\0\x01\r\n\xff"),
        ("app/old.py", "#!/usr/bin/python3\n# -*- coding: latin-1 -*-\n# ä\n".encode("latin-1")),
        ("app/data.bin", b"\xff\xfe\0\0"),
        ("app/lib.sh", "# ä ß 漢\n".encode()),
    ],
)
def test_what_no_machine_stumbles_over(path: str, data: bytes) -> None:
    assert wrong_text(path, data) == []


def test_all_mistakes_of_a_file_at_once() -> None:
    found = wrong_text("app/health", b"\xef\xbb\xbf#!/bin/sh\r\na\rb\n\xe4\n")
    assert [mistake.line for mistake in found] == [1, 3, 1, 2]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), max_size=200))
def test_every_utf8_text_with_lf_is_right(text: str) -> None:
    assert wrong_text("app/health", f"{BASH}# {text}\n".encode()) == []


@given(st.sampled_from(["health", "x/y.sh", "install.sh.j2", "any"]), st.binary(max_size=200))
def test_no_content_is_an_error_of_ours(path: str, data: bytes) -> None:
    for mistake in wrong_text(f"app/{path}", data):
        str(mistake).encode()
