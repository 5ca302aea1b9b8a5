import dataclasses

import numpy as np
import pytest

from trueness.baselines import BASELINES, fit_baseline, window_features
from trueness.evaluation import roc_auc


def _auc(examples, fit, fold=1):
    rows = examples.members("oof", fold)
    return roc_auc(examples.y[rows], fit.logits[fold, rows].astype(float))


def test_window_features_are_last_row_and_means(noise_examples):
    x, names = window_features(noise_examples)
    i = 17
    window = noise_examples.x[noise_examples.start[i]]
    np.testing.assert_allclose(x[i], [*window[-1], *window.mean(axis=0)], rtol=1e-5, atol=1e-6)
    assert names[:5] == ("a", "b", "c", "d", "mean of a")


@pytest.mark.parametrize("kind", BASELINES)
def test_scores_exactly_the_examples_that_play_and_repeats(noise_examples, make_spec, kind):
    one, two = (fit_baseline(noise_examples, _spec(make_spec, kind)) for _ in range(2))
    np.testing.assert_array_equal(one.logits, two.logits)
    np.testing.assert_array_equal(np.isfinite(one.logits), noise_examples.parts > 0)
    assert len(one.chosen) == 2


def _spec(make_spec, kind):
    from trueness.spec.model import Baseline

    return make_spec().model_copy(update={"model": Baseline(kind=kind)})


@pytest.mark.parametrize("kind", ["one_feature", "logit", "forest", "boosting"])
def test_finds_a_planted_signal(noise_examples, make_spec, kind):
    assert _auc(noise_examples, fit_baseline(noise_examples, _spec(make_spec, kind))) > 0.8


def test_base_rate_is_the_training_share(noise_examples, make_spec):
    fit = fit_baseline(noise_examples, _spec(make_spec, "base_rate"))
    for fold in (0, 1):
        share = noise_examples.y[noise_examples.members("train", fold)].mean()
        scores = fit.logits[fold][np.isfinite(fit.logits[fold])]
        np.testing.assert_allclose(1 / (1 + np.exp(-scores)), share, rtol=1e-5)


def test_one_feature_takes_the_right_column_with_the_right_sign(noise_examples, make_spec):
    fit = fit_baseline(noise_examples, _spec(make_spec, "one_feature"))
    assert fit.chosen == ["high a", "high a"]
    turned = dataclasses.replace(
        noise_examples, series=noise_examples.series * np.float32([-1, 1, 1, 1])
    )
    again = fit_baseline(turned, _spec(make_spec, "one_feature"))
    assert again.chosen == ["low a", "low a"]
    assert _auc(turned, again) == pytest.approx(_auc(noise_examples, fit))


@pytest.mark.parametrize("kind", BASELINES)
def test_labels_of_the_predicted_part_change_nothing(noise_examples, make_spec, kind):
    """The out-of-fold part chooses nothing: other labels there leave every score as it was."""
    y = noise_examples.y.copy()
    rows = noise_examples.members("oof", 1)
    y[rows] = 1 - y[rows]
    flipped = dataclasses.replace(noise_examples, y=y)
    one, two = (
        fit_baseline(e, _spec(make_spec, kind)).logits[1] for e in (noise_examples, flipped)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["logit", "boosting"])
def test_a_fold_sees_its_own_copy_of_the_series(two_copies, make_spec, kind):
    both, alone = two_copies
    fits = [fit_baseline(one, _spec(make_spec, kind)).logits for one in (both, *alone)]
    for fold in range(2):
        np.testing.assert_array_equal(fits[0][fold], fits[1 + fold][fold])
    assert not np.allclose(fits[1], fits[2], equal_nan=True)


def test_windows_of_one_row_have_no_means(noise_examples):
    rows = dataclasses.replace(noise_examples, context=1)
    x, names = window_features(rows)
    assert names == rows.features
    np.testing.assert_array_equal(x, rows.series[: len(rows.y)].astype(float))
