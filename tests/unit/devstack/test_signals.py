"""One exception for every signal that ends a program, and only for the first of them."""

from __future__ import annotations

import os
import signal

import pytest

from devstack.signals import ENDING, Ended, ending_raises


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_raises_and_the_later_ones_do_not(number: signal.Signals) -> None:
    cleaned: list[signal.Signals] = []

    def end() -> None:
        with ending_raises():
            try:
                os.kill(os.getpid(), number)
            finally:
                for again in ENDING:
                    os.kill(os.getpid(), again)
                    cleaned.append(again)

    with pytest.raises(Ended) as caught:
        end()
    assert cleaned == list(ENDING)
    assert (str(caught.value), caught.value.code) == (number.name, 128 + number)


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with ending_raises():
        pass
    assert [signal.getsignal(number) for number in ENDING] == before
