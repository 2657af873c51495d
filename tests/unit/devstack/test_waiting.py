"""The one helper that polls."""

from __future__ import annotations

import pytest

from devstack.waiting import DeadlineExceeded, wait_until


def test_a_wait_ends_when_its_condition_is_true() -> None:
    answers = iter([False, False, True])
    wait_until(lambda: next(answers), 60, "the third answer", every=0)
    assert next(answers, None) is None


def test_a_wait_that_fails_names_what_it_waited_for() -> None:
    with pytest.raises(DeadlineExceeded, match="waited 0 s in vain for the moon"):
        wait_until(lambda: False, 0, "the moon", every=0)


def test_an_error_of_the_condition_ends_the_wait() -> None:
    def broken() -> bool:
        raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        wait_until(broken, 60, "nothing", every=0)
