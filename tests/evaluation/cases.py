"""Worlds that several tests draw from."""

import contextlib

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.special import expit

from trueness.errors import TruenessError


@contextlib.contextmanager
def refused(code):
    """A refusal with a code, in one line."""
    with pytest.raises(TruenessError) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)
    assert "\n" not in str(caught.value)


@st.composite
def scored(draw, min_size=2, tied=True):
    """Labels and scores, often with ties."""
    n = draw(st.integers(min_size, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    score = (
        rng.integers(-4, 5, n).astype(float)
        if tied and draw(st.booleans())
        else rng.standard_normal(n)
    )
    return (rng.random(n) < draw(st.floats(0.1, 0.9))).astype(np.uint8), score


def dependent_days(rng, n, signal):
    """Scores and labels with regimes of ten days."""
    regime = np.repeat(rng.standard_normal(n // 10 + 1), 10)[:n]
    score = regime + rng.standard_normal(n)
    y = rng.random(n) < expit(-1.2 + signal * score)
    return y.astype(np.uint8), score
