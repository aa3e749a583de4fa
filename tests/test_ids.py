"""Ids and seeds are functions of content only."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimic.ids import generator_of, seed_of, stable_id


def test_an_id_is_the_same_in_another_process_with_another_hash_seed():
    code = "from mimic.ids import stable_id; print(stable_id('a', 1, None, True))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == stable_id("a", 1, None, True) == "2280173b6d7b66a84c76"


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_parts_never_run_into_each_other(one, other):
    assert (stable_id(*one) == stable_id(*other)) == (one == other)


def test_floats_are_refused():
    with pytest.raises(TypeError, match="float"):
        stable_id("a", 0.1)


def test_seeds_differ_by_purpose_and_draws_repeat():
    assert seed_of("u", "a") != seed_of("u", "b")
    assert 0 <= seed_of("u") < 2**63
    assert generator_of("u", "x").random() == generator_of("u", "x").random()
