from __future__ import annotations

import pytest

from bakehouse.core.errors import PermanentError
from bakehouse.core.nearest import did_you_mean, nearest
from bakehouse.rollout.params import RolloutParams

KNOWN = ("image", "members")


@pytest.mark.parametrize("word", ["member", "Members", "memebrs", "MEMBER"])
def test_a_word_that_is_like_a_known_one_names_it(word: str) -> None:
    assert nearest(word, KNOWN) == "members"
    assert did_you_mean(word, KNOWN) == "; did you mean 'members'?"


@pytest.mark.parametrize("word", ["", "xyz", "zone"])
def test_a_word_that_is_like_none_names_none(word: str) -> None:
    assert nearest(word, KNOWN) is None
    assert not did_you_mean(word, KNOWN)


def test_an_unknown_key_of_a_run_is_refused_with_the_key_that_was_meant() -> None:
    with pytest.raises(PermanentError, match=r"'member' \(did you mean 'members'\?\)"):
        RolloutParams.of_run({}, {"member": ["web-1"]})
