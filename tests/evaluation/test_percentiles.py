"""Percentile intervals, to the digit of numpy."""

import numpy as np
import pytest

from trueness.evaluation.intervals import percentile_interval


@pytest.mark.parametrize("n", [1, 2, 9, 1000, 1001])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_the_percentile_interval_is_that_of_numpy(n, confidence):
    draws = np.random.default_rng(n).standard_normal(n) * 1e-3
    tail = 100 * (1 - confidence) / 2
    assert percentile_interval(draws, confidence) == tuple(np.percentile(draws, [tail, 100 - tail]))
    with_gaps = np.append(draws, np.nan)
    assert percentile_interval(with_gaps, confidence) == percentile_interval(draws, confidence)
