"""Scores of kept LightGBM models equal those of the package, which they do not import."""

import subprocess
import sys

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueness.baselines.fitted import LightGBM
from trueness.baselines.lightgbm_library import KeptBooster

HOW = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}


def grown(seed, rows=300, columns=7, gaps=0.1, trees=12):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) ** 3
    y = (x[:, 0] + rng.normal(size=rows) > 0).astype(float)
    x[rng.random(x.shape) < gaps] = np.nan
    return lightgbm.train(HOW, lightgbm.Dataset(x, y, params=HOW), trees), x


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from([0.0, 0.3]), st.integers(1, 12),
    st.sampled_from(["C", "F"]), st.integers(0, 40),
)  # fmt: skip
def test_equal_to_the_package(seed, gaps, trees, order, rows):
    booster, x = grown(seed, gaps=gaps)
    x = np.array(x[:rows], order=order)
    got = LightGBM(booster.model_to_string(), trees).logits(x)
    assert got.shape == (rows,)
    if rows:  # the package itself refuses to score nothing
        assert np.array_equal(got, booster.predict(x, raw_score=True, num_iteration=trees))


def test_other_columns_and_other_texts_are_refused():
    booster, x = grown(3)
    kept = KeptBooster(booster.model_to_string())
    with pytest.raises(ValueError, match="number of features"):
        kept.raw_scores(x[:, :5], 12)
    with pytest.raises(ValueError):
        KeptBooster("this is no model")


def test_the_package_stays_unimported(tmp_path):
    booster, x = grown(5)
    (tmp_path / "model.txt").write_text(booster.model_to_string())
    program = (
        "import sys, pathlib, numpy as np\n"
        "from trueness.baselines.fitted import LightGBM\n"
        f"files = {{'model.txt': pathlib.Path({str(tmp_path / 'model.txt')!r}).read_bytes()}}\n"
        "one = LightGBM.opened({'trees': 12}, files)\n"
        f"print(one.logits(np.zeros((1, {x.shape[1]})))[0])\n"
        "assert not {'lightgbm', 'sklearn', 'pandas'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) == booster.predict(np.zeros((1, x.shape[1])), raw_score=True)[0]
