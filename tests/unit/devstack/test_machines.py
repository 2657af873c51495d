"""Real machines where they can be had, else instant ones and the reason."""

from __future__ import annotations

import pytest

from devstack.machines import choose, doctor, reason


def test_real_machines_are_taken_where_they_can_be_had() -> None:
    assert choose("qemu", lambda: (True, "all is well")).machines == "qemu"


def test_without_qemu_the_choice_falls_on_instant_machines_and_says_why() -> None:
    words = "FAIL  socat      is not installed\nok    git  /bin\nFAIL  qemu-img  gone\n\nOnly x."
    choice = choose("qemu", lambda: (False, words))
    assert choice.machines == "instant"
    assert choice.why == "socat is not installed; qemu-img gone"
    assert choice.guest is not None


def test_instant_machines_need_no_doctor() -> None:
    def never() -> tuple[bool, str]:
        raise AssertionError("asked")

    assert choose("instant", never).why == ""


@pytest.mark.parametrize(("code", "able"), [(0, True), (1, False)])
def test_the_doctor_answers_by_its_exit_code(code: int, able: bool) -> None:
    assert doctor(lambda _: (code, "words")) == (able, "words")


def test_a_doctor_without_output_gets_some() -> None:
    assert reason("\n") == "localgce doctor failed without output"
