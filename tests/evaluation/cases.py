"""Worlds that several tests draw from."""

import contextlib

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.special import expit

from trueness.errors import TruenessError
from trueness.evaluation.blocks import DRAWS, Blocks
from trueness.evaluation.by_group import group_units
from trueness.evaluation.class_draws import ClassDraws, macro_f1_draws, sizes_of
from trueness.evaluation.macro_f1 import Cells
from trueness.evaluation.slice_comparison import ALLOWED_DROP, compare_draws, compare_pair


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


def _class_draws(y, runs, group, blocks, *, n_classes, min_rows=100, draws=DRAWS):
    """Every seed, (n,) or (seeds, n), of every model on the same draws."""
    blocks = blocks or Blocks.of(len(y))
    groups = group_units(group, len(y), min_rows)
    predicted = {(n, i): p for n, some in runs.items() for i, p in enumerate(np.atleast_2d(some))}
    cells = Cells.of(y, groups, blocks, n_classes)
    scores = macro_f1_draws(y, predicted, groups, blocks, cells, draws=draws)
    sizes, actual = sizes_of(groups, blocks, cells), {name: [] for name in runs}
    for (name, _), values in scores.items():
        actual[name].append(ClassDraws.of(values, sizes))
    return actual


def compare_slices(y, first, second, group, blocks=None, **options):
    """First minus second, per group."""
    drawn = _class_draws(y, {"first": first, "second": second}, group, blocks, **options)
    return compare_pair(drawn["first"], drawn["second"])


def compare_many(
    y,
    runs,
    group,
    blocks=None,
    *,
    reference,
    target="worst_group",
    allowed_drop=ALLOWED_DROP,
    **options,
):
    """Methods against a reference, per group."""
    drawn = _class_draws(y, runs, group, blocks, **options)
    return compare_draws(drawn, reference=reference, target=target, allowed_drop=allowed_drop)
