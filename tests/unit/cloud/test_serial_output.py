from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.cloud import serial_output as serial

NONCE = "0" * 32


def answer(text: str, start: int = 0) -> dict[str, object]:
    return {"contents": text, "start": str(start), "next": str(start + len(text.encode()))}


def test_an_unfinished_line_waits_for_its_end() -> None:
    chunk = serial.split(answer("one\ntwo"), 0, limit=10)
    assert chunk.lines == ("one",)
    assert chunk.next == 4


def test_the_last_read_takes_the_unfinished_line_too() -> None:
    assert serial.split(answer("one\ntwo"), 0, limit=10, last=True) == serial.Chunk(
        ("one", "two"), 7
    )


def test_lines_beyond_the_limit_wait_for_the_next_tick() -> None:
    chunk = serial.split(answer("a\nb\nc\n"), 0, limit=2)
    assert chunk == serial.Chunk(("a", "b"), 4)


def test_what_the_ring_has_dropped_is_counted() -> None:
    assert serial.split(answer("new\n", start=500), 100, limit=10).lost == 400


def test_bytes_that_are_no_text_do_not_move_the_offset() -> None:
    raw = b"\xff\xfe compiling\nhalf"
    text = raw.decode(errors="replace")
    told = {"contents": text, "start": "100", "next": str(100 + len(raw))}
    chunk = serial.split(told, 100, limit=10)
    assert chunk.next == 100 + len(raw) - len(b"half")


@given(
    st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))),
    st.integers(1, 5),
)
def test_every_line_is_shown_once_whatever_the_bounds(lines: list[str], limit: int) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    shown: list[str] = []
    offset = 0
    for _ in range(len(lines) + 1):
        text = data[offset:].decode()
        chunk = serial.split(answer(text, offset), offset, limit)
        shown += chunk.lines
        offset = chunk.next
    assert shown == [serial.clean(line) for line in lines]
    assert offset == len(data)


def test_colours_and_carriage_returns_do_not_reach_the_log() -> None:
    assert serial.clean("\x1b[0;32m  OK  \x1b[0m Started \x07nginx.\r") == "  OK   Started nginx."


def test_only_lines_with_the_nonce_are_the_guests_word() -> None:
    lines = [
        "[  12.1] systemd: bakehouse is installing",
        f"bakehouse {json.dumps({'nonce': NONCE, 'stage': 'install'})}",
        f"[ 3.2] noise bakehouse {json.dumps({'nonce': NONCE, 'result': 'ok'})}",
        'bakehouse {"nonce": "another", "result": "failed"}',
        "bakehouse {broken",
        "bakehouse {not json}",
    ]
    assert [said.get("stage") or said["result"] for said in serial.said(lines, NONCE)] == [
        "install",
        "ok",
    ]


@given(st.text())
def test_no_text_of_a_guest_breaks_the_parser(text: str) -> None:
    assert serial.said([text], NONCE) == ()
    assert serial.shown(text)


def test_structured_lines_are_shown_in_words() -> None:
    def shown(**line: object) -> str:
        return serial.shown(f"bakehouse {json.dumps({'nonce': NONCE, **line})}")

    assert shown(stage="install") == "guest reports: stage install"
    assert shown(result="ok", ready_seconds=3) == "guest reports: result ok"
    assert shown(check={"name": "page", "ok": False, "detail": "404"}) == (
        "guest reports: check page FAILED 404"
    )
    assert shown(manifest="x" * 5000) == "guest reports: manifest (5000 characters)"
