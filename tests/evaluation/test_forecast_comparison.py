"""Tests by loss per unit: the same as arch's own, duplicates, refusals."""

import numpy as np
import pytest
from arch.bootstrap import MCS, SPA, StepM
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss

from tests.evaluation.cases import refused
from trueness.evaluation import Blocks, loss_comparison, unit_losses

BLOCKS = Blocks.of(300, length=20)


@pytest.fixture(scope="module")
def losses():
    """Six candidates on 300 days; the last two are better than the first."""
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.3).astype(np.uint8)
    quality = np.array([0.5, 0.5, 0.4, 0.5, 1.5, 2.5])[:, None]
    return unit_losses(y, quality * (2 * y - 1.0) + rng.standard_normal((6, 300)))


@pytest.mark.parametrize("bootstrap", ["stationary", "circular"])
def test_results_equal_direct_calls(losses, bootstrap):
    options = {"block_size": 20, "reps": 400, "bootstrap": bootstrap, "seed": 3}
    actual = loss_comparison(losses, 0, blocks=BLOCKS, draws=400, bootstrap=bootstrap, seed=3)
    distinct, order = np.unique(losses, axis=1, return_index=True)
    own = int(np.flatnonzero(order == 0)[0])
    rivals = [i for i in range(6) if i != own]
    direct = SPA(distinct[:, own], distinct[:, rivals], **options)
    direct.compute()
    assert actual.better_p == pytest.approx(direct.pvalues.to_dict())
    steps = StepM(distinct[:, own], distinct[:, rivals], size=0.05, **options)
    steps.compute()
    assert actual.better == sorted(order[rivals[i]] for i in steps.superior_models)
    best = MCS(distinct, 0.05, method="max", **options)
    best.compute()
    assert actual.among_best == sorted(order[i] for i in best.included)
    assert actual.better == [4, 5]
    assert actual.among_best == [5]
    assert actual.mean == pytest.approx(losses.mean(axis=0))
    assert actual.to_dict()["n"] == 300


def test_unit_losses_average_to_the_usual_ones():
    rng = np.random.default_rng(1)
    y, z = rng.integers(0, 2, 50), rng.standard_normal(50) * 3
    assert unit_losses(y, [z]).mean() == pytest.approx(log_loss(y, expit(z)))
    assert unit_losses(y, [z], "brier").mean() == pytest.approx(brier_score_loss(y, expit(z)))
    assert np.isfinite(unit_losses([0, 1], [[900.0, -900.0]])).all()


def test_all_rivals_may_be_better(losses):
    actual = loss_comparison(losses[:, [0, 4, 5]] + [1.0, 0.0, 0.0], 0, blocks=BLOCKS, draws=300)
    assert actual.better == [1, 2]
    assert actual.better_p["consistent"] < 0.01


def test_copies_count_once(losses):
    single = loss_comparison(losses, 0, blocks=BLOCKS, draws=300)
    double = loss_comparison(np.hstack([losses, losses]), 0, blocks=BLOCKS, draws=300)
    assert double.better_p == single.better_p
    assert double.better == [4, 5, 10, 11]
    assert double.among_best_p == single.among_best_p * 2
    alone = loss_comparison(losses[:, [0, 0]], 1, blocks=BLOCKS)
    assert (alone.better, alone.among_best, alone.better_p["upper"]) == ([], [0, 1], 1.0)


def test_equal_candidates_are_rarely_called_better():
    rng, wrong = np.random.default_rng(2), 0
    for seed in range(40):
        table = rng.standard_normal((200, 6)) ** 2
        wrong += bool(
            loss_comparison(table, 0, blocks=Blocks.of(200, length=20), draws=100, seed=seed).better
        )
    assert wrong <= 5


def test_units_of_one_time_are_summed_in_any_order(losses):
    alone = loss_comparison(losses, 0, blocks=BLOCKS, draws=200)
    order = np.random.default_rng(3).permutation(300)
    mixed = loss_comparison(
        losses[order], 0, blocks=Blocks.of(300, time=order, length=20), draws=200
    )
    assert mixed.better_p == alone.better_p
    assert mixed.among_best_p == alone.among_best_p
    twice = loss_comparison(
        np.repeat(losses, 2, axis=0), 0, draws=200,
        blocks=Blocks.of(600, time=np.repeat(np.arange(300), 2), length=20),
    )  # fmt: skip
    assert (twice.better_p, twice.n) == (alone.better_p, 600)
    assert twice.mean == pytest.approx(alone.mean)


@pytest.mark.parametrize(
    ("arguments", "options", "code"),
    [
        (([1.0, 2.0], 0), {}, "dimensions"),
        (([["a"]], 0), {}, "dimensions"),
        (([[np.nan, 1.0]] * 9, 0), {}, "not_finite"),
        ((np.ones((9, 2)), 2), {}, "benchmark"),
        ((np.ones((9, 2)), 0), {"blocks": Blocks.of(9, length=2)}, "few"),
        ((np.ones((9, 2)), 0), {"blocks": Blocks.of(8)}, "length"),
        ((np.ones((9, 2)), 0), {"confidence": 0}, "range"),
        ((np.ones((9, 2)), 0), {"draws": 1}, "number"),
        ((np.ones((9, 2)), 0), {"seed": -1}, "number"),
        ((np.ones((9, 2)), 0), {"bootstrap": "foo"}, "choice"),
        ((np.ones((9, 2)), 1.5), {}, "number"),
        ((np.ones((9, 2)) * [1, 2], 0), {}, "constant"),
    ],
)
def test_bad_input_is_refused(arguments, options, code):
    with refused(code):
        loss_comparison(*arguments, **{"blocks": Blocks.of(9), **options})


def test_unknown_losses_are_refused():
    with refused("choice"):
        unit_losses([0], [[1.0]], "hinge")
    with refused("empty"):
        unit_losses([0], [])
