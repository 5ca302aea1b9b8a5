"""What scores may be: probabilities where logits are meant are refused, everywhere alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from tests.evaluation.cases import refused
from trueness.evaluation import (
    Blocks,
    Candidate,
    InputError,
    family_bounds,
    measure,
    out_of_fold_calibration,
    roc_auc,
    score_facts,
    threshold_sweep,
    unit_losses,
)
from trueness.evaluation.inputs import as_logits, labels_and_scores, probabilities

RNG = np.random.default_rng(0)
LOGIT = RNG.normal(-0.5, 1.2, 300)
Y = (RNG.random(300) < expit(LOGIT)).astype(np.uint8)
PROB = expit(LOGIT)
RULE = {"alarms": (30,), "alarm_rate_pct": 5.0, "confidence": 0.95,
        "blocks": Blocks.of(300, length=5)}  # fmt: skip

TAKES_INPUT = {
    "measure": lambda score, cut, **kind: measure(Y, score, **RULE, **kind),
    "threshold_sweep": lambda score, cut, **kind: threshold_sweep(Y, score, **kind).columns(),
    "family_bounds": lambda score, cut, **kind: family_bounds(
        {"a": Candidate(Y, score, [cut])}, **kind
    ).certificate("a", 0.3),
    "unit_losses": lambda score, cut, **kind: unit_losses(Y, [score], **kind),
    "out_of_fold": lambda score, cut, **kind: out_of_fold_calibration(Y, score, 3, **kind),
    "score_facts": lambda score, cut, **kind: score_facts(score, **{"input": "logit"} | kind),
}
"""Every function that reads probabilities from scores; each with a threshold where it has any."""


def flat(answer):
    """Numbers of an answer."""
    if isinstance(answer, dict):
        return np.concatenate([flat(one) for one in answer.values()])
    content = answer.to_dict() if hasattr(answer, "to_dict") else None
    if content is not None:
        return flat({k: v for k, v in content.items() if not isinstance(v, str)})
    if isinstance(answer, list | tuple):
        return np.concatenate([np.empty(0), *(flat(one) for one in answer)])
    return np.atleast_1d(np.asarray(np.nan if isinstance(answer, str) else answer, float)).ravel()


@pytest.mark.parametrize("name", TAKES_INPUT)
def test_probabilities_are_refused_where_logits_are_meant(name):
    with refused("scale"):
        TAKES_INPUT[name](PROB, 0.4)


@pytest.mark.parametrize("name", TAKES_INPUT)
def test_probabilities_give_the_same_as_their_logits(name):
    said = TAKES_INPUT[name](PROB, 0.4, input="probability")
    match = TAKES_INPUT[name](LOGIT, logit(0.4))
    np.testing.assert_allclose(flat(said), flat(match), atol=1e-6)


@pytest.mark.parametrize("name", TAKES_INPUT)
def test_numbers_may_be_taken_as_they_are(name):
    if name != "out_of_fold":  # a map has to be fitted, on whatever
        taken = TAKES_INPUT[name](LOGIT, 0.1, input="score")
        np.testing.assert_array_equal(flat(taken), flat(TAKES_INPUT[name](LOGIT, 0.1)))
    TAKES_INPUT[name](PROB, 0.1, input="score")


@pytest.mark.parametrize("name", TAKES_INPUT)
def test_logits_are_no_probabilities_and_other_words_no_input(name):
    with refused("scale"):
        TAKES_INPUT[name](LOGIT, 0.1, input="probability")
    with refused("choice"):
        TAKES_INPUT[name](LOGIT, 0.1, input="percent")


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20))
def test_logits_are_refused_exactly_where_they_differ_and_lie_between_0_and_1(values):
    score = np.array(values)
    if score.min() >= 0 and score.max() <= 1 and score.min() < score.max():
        with refused("scale"):
            as_logits(score, "logit")
    else:
        np.testing.assert_array_equal(as_logits(score, "logit"), score)
    np.testing.assert_array_equal(as_logits(score, "score"), score)


@pytest.mark.parametrize("constant", [0.0, 0.3, 1.0])
def test_equal_scores_pass(constant):
    actual = measure(Y, np.full(300, constant), **RULE)
    assert actual["precision@0.5"].n == 300
    assert len(threshold_sweep(Y, np.full(300, constant))) == 1


def test_scores_that_only_rank_may_lie_anywhere():
    ranks = np.argsort(np.argsort(LOGIT)) / 299
    actual = measure(Y, ranks, **RULE, probabilities=False)
    assert actual["auc"] == measure(Y, LOGIT, **RULE)["auc"]


def test_certain_probabilities_are_clipped():
    np.testing.assert_allclose(
        as_logits(np.array([0.0, 1.0]), "probability"), [logit(1e-7), logit(1 - 1e-7)]
    )
    assert len(as_logits(np.empty(0), "probability")) == 0


def test_refusals_are_value_errors_as_well():
    with pytest.raises(ValueError) as caught:
        roc_auc([0, 2], [1, 2])
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    ("y", "score", "code"),
    [
        ([0, 1], [0.1], "length"),
        ([0, 1], [0.1, np.nan], "not_finite"),
        ([0, 1], [0.1, np.inf], "not_finite"),
        ([0, 2], [0.1, 0.2], "labels"),
        ([0.5, 1], [0.1, 0.2], "labels"),
        (["a", "b"], [0.1, 0.2], "labels"),
        ([0, 1], ["a", "b"], "type"),
        ([0, 1], [1j, 2j], "type"),
        ([], [], "empty"),
        ([[0, 1]], [[0, 1]], "dimensions"),
        (np.ma.array([0, 1], mask=[0, 1]), [1, 2], "dimensions"),
        ([0, 1], np.ma.array([1, 2], mask=[0, 1]), "dimensions"),
    ],
)
def test_labels_and_scores_that_cannot_be_used(y, score, code):
    with refused(code):
        labels_and_scores(y, score)


def test_labels_may_be_of_any_type_that_holds_0_and_1():
    for y in ([True, False], [1.0, 0.0], np.array([1, 0], np.int8)):
        labels, _ = labels_and_scores(y, [3, 4])
        assert labels.tolist() == [1, 0]
        assert labels.dtype == np.uint8


def test_probabilities_that_are_none():
    for values, code in ((["a"], "type"), ([1.1], "scale"), ([np.nan], "scale")):
        with refused(code):
            probabilities(np.asarray(values))
