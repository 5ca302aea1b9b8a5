import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.market import touch_labels
from trueness.market.labels import UNDEFINED


def _loop(high, low, close, h, x, price, mirror):
    """The definition, day by day."""
    labels = []
    for t in range(len(close)):
        if t + h >= len(close):
            labels.append(UNDEFINED)
            continue
        future = range(t + 1, t + h + 1)
        if mirror:
            reached = min((low if price == "high" else close)[i] for i in future)
            labels.append(int(reached <= close[t] * (1 - x)))
        else:
            reached = max((high if price == "high" else close)[i] for i in future)
            labels.append(int(reached >= close[t] * (1 + x)))
    return labels


@given(
    st.integers(0, 10_000), st.sampled_from([1, 2, 3, 5]), st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0]),
    st.sampled_from(["high", "close"]), st.booleans(),
)  # fmt: skip
def test_equals_the_double_loop(seed, h, pct, price, mirror):
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 40)))
    high, low = close * (1 + rng.random(40) * 0.03), close * (1 - rng.random(40) * 0.03)
    labels = touch_labels(
        high, low, close, horizon_days=h, threshold_pct=pct, price=price, mirror=mirror
    )
    assert labels.tolist() == _loop(high, low, close, h, pct / 100, price, mirror)


def test_reaching_the_level_exactly_counts():
    close = np.array([100.0, 100.0, 100.0])
    high, low = np.array([100.0, 101.0, 100.99]), np.array([100.0, 99.0, 99.01])
    assert touch_labels(high, low, close, horizon_days=1, threshold_pct=1.0).tolist() == [1, 0, 255]
    mirrored = touch_labels(high, low, close, horizon_days=1, threshold_pct=1.0, mirror=True)
    assert mirrored.tolist() == [1, 0, 255]


def test_refuses():
    price = np.ones(5)
    with pytest.raises(DataError, match="differ in length"):
        touch_labels(price, price[:4], price, horizon_days=1, threshold_pct=1.0)
    with pytest.raises(DataError, match="cannot carry"):
        touch_labels(price, price, price, horizon_days=5, threshold_pct=1.0)
    broken = price.copy()
    broken[2] = np.nan
    with pytest.raises(DataError, match="NaN"):
        touch_labels(broken, price, price, horizon_days=1, threshold_pct=1.0)


@pytest.mark.parametrize(
    ("h", "positives", "n"), [(1, 76, 422), (2, 141, 421), (3, 190, 420), (5, 251, 418)]
)
def test_published_base_rates_on_spy(spy, h, positives, n):
    """Validation 2023-24, context 80, +1 % on the high; shares 18.0, 33.5, 45.2, 60.0 % from the research notes."""
    from trueness.market import market_examples
    from trueness.spec.evaluation import Mission
    from trueness.spec.task import MarketTask

    task = MarketTask(kind="market", bars=spy.digest, horizon_days=h)
    examples = market_examples(task, Mission(protocol="mission"), spy)
    rows = examples.members("validation")
    assert (len(rows), int(examples.y[rows].sum())) == (n, positives)
