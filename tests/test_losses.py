"""Contracts over the whole family of losses; a new row in LOSSES is covered with its shape's defaults."""

import inspect
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from trueness.losses import binary as losses
from trueness.losses.binary import LOSSES, asymmetricfocal, bce, focal, labelsmoothing, weightedbce
from trueness.spec import Spec
from trueness.spec.loss import Loss

CHOSEN = {
    "bce": {},
    "weightedbce": {"pos_weight": 3.0},
    "labelsmoothing": {"epsilon": 0.2},
    "focal": {"gamma": 2.0, "alpha": 0.25},
    "mildfocal": {"gamma": 0.75, "alpha": 0.5},
    "asymmetricfocal": {"gamma_pos": 1.0, "gamma_neg": 2.0, "alpha": 0.4},
    "softauc": {"gamma": 2.0},
    "weightedsum": {"alpha": 0.3, "gamma": 1.5},
    "entropyreg": {"lambda_entropy": 0.1, "sign": 1},
    "variancereg": {"lambda_var": 0.5},
    "calibratedfocal": {"gamma": 2.0, "alpha": 0.25, "lambda_cal": 0.4, "temperature": 1.5},
    "poly": {"epsilon1": 2.0},
    "logitadjusted": {"tau": 1.2, "prior": 0.2},
    "ldam": {"max_margin": 0.5, "scale": 2.0, "prior": 0.2},
    "partialauc": {"max_fpr": 0.3},
    "toppush": {"temperature": 0.5},
}


def _scalars(kind):
    """Chosen ones, or the defaults of the shape; a prior that they leave open is 0.2."""
    loss = Loss.validated({"kind": kind, **CHOSEN.get(kind, {})})
    return {n: 0.2 if v is None and n == "prior" else v for n, v in loss if n != "kind"}


SCALARS = {kind: _scalars(kind) for kind in LOSSES}

# one example's value depends on the rest of the batch, and only the batch's mean has a formula
WHOLE_BATCH = {"variancereg", "calibratedfocal"} | {
    k for k, s in Loss.kinds().items() if s.pairwise
}
# nothing ties their scores to 0.5: only the order is learnt
RANKING = {"softauc", "partialauc", "toppush"}
# bce less a reward, which is what is left of it at the right label
MAY_BE_NEGATIVE = {"entropyreg", "variancereg"}
# a function of p alone, and p has no gradient left at logits of +-80
SATURATES = {"softauc"}


def _loss(kind, logits, y):
    return LOSSES[kind](logits, y, **SCALARS[kind])


def _real_mean(values, y):
    return (values * (y >= 0)).sum() / (y >= 0).sum()


def test_every_loss_is_covered_and_can_be_declared():
    assert set(SCALARS) == set(LOSSES)
    assert set(CHOSEN) <= set(LOSSES)
    for kind, scalars in SCALARS.items():
        content = {"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "holdout"}}
        declared = Spec.model_validate({**content, "loss": {"kind": kind, **scalars}}).loss
        assert declared.kind == kind
        read = set(inspect.signature(LOSSES[kind]).parameters) - {"logits", "y"}
        assert set(type(declared).model_fields) - {"kind"} == read


@pytest.mark.parametrize("kind", LOSSES)
def test_values_and_gradients_are_finite_at_extreme_logits(kind):
    logits = torch.tensor([-80.0, -80.0, 0.0, 0.0, 80.0, 80.0, -80.0, 80.0], requires_grad=True)
    y = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, -1.0, -1.0])
    values = _loss(kind, logits, y)
    assert values.shape == (8,)
    assert values.isfinite().all()
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", sorted(set(LOSSES) - SATURATES))
def test_is_pulled_towards_the_label_from_the_wrong_end(kind):
    logits = torch.tensor([-80.0, -80.0, 0.0, 0.0, 80.0, 80.0], requires_grad=True)
    y = torch.tensor([0.0, 1.0] * 3)
    (gradient,) = torch.autograd.grad(_loss(kind, logits, y).sum(), logits)
    assert gradient[1] < 0 < gradient[4]


@pytest.mark.parametrize("kind", sorted(set(LOSSES) - MAY_BE_NEGATIVE))
def test_is_never_negative(kind):
    logits, y = torch.linspace(-80, 80, 41), (torch.arange(41) % 3 == 0).float()
    assert (_loss(kind, logits, y) >= 0).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_gradient_is_the_derivative(kind):
    logits = torch.linspace(-3, 3, 12, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, -1.0] * 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: _loss(kind, z, y), logits)


@pytest.mark.parametrize("kind", LOSSES)
def test_vmap_equals_a_loop_with_scalars_per_member(kind):
    torch.manual_seed(0)
    logits, y = torch.randn(4, 16).requires_grad_(), (torch.rand(4, 16) < 0.3).float()
    y[1, 12:], y[2], y[3] = -1, 0, 1  # a short batch, and one class alone
    share = torch.tensor([1, 0.9, 0.5, 0.7])
    scalars = {name: value * share for name, value in SCALARS[kind].items()}

    def call(z, t, *values):
        return LOSSES[kind](z, t, **dict(zip(scalars, values, strict=True)))

    stacked = torch.vmap(call)(logits, y, *scalars.values())
    (gradient,) = torch.autograd.grad(stacked.sum(), logits)
    for k in range(4):
        member = logits[k].detach().requires_grad_()
        alone = LOSSES[kind](member, y[k], **{n: float(v[k]) for n, v in scalars.items()})
        torch.testing.assert_close(stacked[k], alone, rtol=1e-6, atol=1e-6)
        (expected,) = torch.autograd.grad(alone.sum(), member)
        torch.testing.assert_close(gradient[k], expected, rtol=1e-5, atol=1e-6)


def _focal_form(p, y, gamma, alpha):
    pt = np.where(y == 1, p, 1 - p)
    return np.where(y == 1, alpha, 1 - alpha) * (1 - pt) ** gamma * -np.log(pt)


NOISY = {"bootstrap", "forwardcorrection"}
"""Losses for labels that may be wrong."""


def _noisy_form(kind, p, y):
    s = SCALARS[kind]
    if kind == "bootstrap":
        own = (p >= 0.5) if s["hard"] else p
        target = s["beta"] * y + (1 - s["beta"]) * own
        return -(target * np.log(p) + (1 - target) * np.log(1 - p))
    kept, flipped = 1 - s["noise_rate_0"], 1 - s["noise_rate_1"]  # the matrix of Patrini et al.
    flips = np.array([[kept, 1 - kept], [1 - flipped, flipped]])
    observed = np.stack([1 - p, p], 1) @ flips
    return -np.log(observed[np.arange(len(y)), y.astype(int)])


def _probability_form(kind, p, y):
    """The published formulas of one example, on probabilities in float64."""
    s, pt = SCALARS[kind], np.where(y == 1, p, 1 - p)
    if kind == "bce":
        return -np.log(pt)
    if kind == "weightedbce":
        return np.where(y == 1, s["pos_weight"], 1) * -np.log(pt)
    if kind == "labelsmoothing":
        target = np.where(y == 1, 1 - s["epsilon"], s["epsilon"])
        return -(target * np.log(p) + (1 - target) * np.log(1 - p))
    if kind == "asymmetricfocal":
        positive = -s["alpha"] * (1 - p) ** s["gamma_pos"] * np.log(p)
        return np.where(y == 1, positive, -(1 - s["alpha"]) * p ** s["gamma_neg"] * np.log(1 - p))
    if kind == "entropyreg":
        entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
        return -np.log(pt) - s["sign"] * s["lambda_entropy"] * entropy
    if kind == "poly":
        return -np.log(pt) + s["epsilon1"] * (1 - pt)
    if kind == "logitadjusted":  # softmax of p pi^tau against (1 - p)(1 - pi)^tau
        own = np.where(y == 1, s["prior"], 1 - s["prior"]) ** s["tau"] * pt
        other = np.where(y == 1, 1 - s["prior"], s["prior"]) ** s["tau"] * (1 - pt)
        return -np.log(own / (own + other))
    if kind == "ldam":  # margins proportional to n^(-1/4), the larger one equal to max_margin
        share = np.where(y == 1, s["prior"], 1 - s["prior"])
        margin = s["max_margin"] * share**-0.25 / min(s["prior"], 1 - s["prior"]) ** -0.25
        own = np.exp(s["scale"] * (np.log(pt / (1 - pt)) - margin))
        return -np.log(own / (own + 1))
    if {"gamma", "alpha"} == set(s):
        return _focal_form(p, y, s["gamma"], s["alpha"])
    raise AssertionError(f"add the published formula of {kind} here, or {kind} to WHOLE_BATCH")


@pytest.mark.parametrize("kind", sorted(set(LOSSES) - WHOLE_BATCH))
def test_equals_the_published_formula_on_probabilities(kind):
    logits = torch.linspace(-6, 6, 50, dtype=torch.float64)
    y = (torch.arange(50) % 2).double()
    form = _noisy_form if kind in NOISY else _probability_form
    expected = form(kind, torch.sigmoid(logits).numpy(), y.numpy())
    np.testing.assert_allclose(_loss(kind, logits, y).numpy(), expected, rtol=1e-9)


def _softauc_form(p, y, gamma):
    pairs = [
        1 / (1 + math.exp(-gamma * (p[j] - p[i])))
        for i in range(len(p))
        for j in range(len(p))
        if y[i] == 1 and y[j] == 0
    ]
    return sum(pairs) / len(pairs)


def _tail_mean(costs, share):
    """Mean of the highest `share` of costs, as Rockafellar and Uryasev define it."""
    return min(s + sum(max(c - s, 0) for c in costs) / (share * len(costs)) for s in costs)


def _batch_form(kind, p, y):
    """The published formulas of a whole batch, pair by pair on probabilities in float64."""
    s, n = SCALARS[kind], len(p)
    cross_entropy = -np.log(np.where(y == 1, p, 1 - p)).mean()
    odds = [p[i] / (1 - p[i]) for i in range(n)]
    positive, negative = ([odds[i] for i in range(n) if y[i] == c] for c in (1, 0))
    if kind == "softauc":
        return _softauc_form(p, y, s["gamma"])
    if kind == "weightedsum":
        return s["alpha"] * cross_entropy + (1 - s["alpha"]) * _softauc_form(p, y, s["gamma"])
    if kind == "variancereg":
        return cross_entropy - s["lambda_var"] * np.var(p, ddof=1)
    if kind == "calibratedfocal":
        gap = (p.mean() - y.mean()) / s["temperature"]
        return _focal_form(p, y, s["gamma"], s["alpha"]).mean() + s["lambda_cal"] * gap**2
    if kind == "partialauc":
        costs = [[math.log(1 + j / i) for j in negative] for i in positive]
        return sum(_tail_mean(row, s["max_fpr"]) for row in costs) / len(positive)
    top = sum(j ** (1 / s["temperature"]) for j in negative) ** s["temperature"]
    return sum(math.log(1 + top / i) for i in positive) / len(positive)


@pytest.mark.parametrize("kind", sorted(WHOLE_BATCH))
@pytest.mark.parametrize("positives", [1, 7, 23])
def test_mean_equals_the_published_formula_pair_by_pair(kind, positives):
    generator = torch.Generator().manual_seed(positives)
    logits = torch.randn(24, dtype=torch.float64, generator=generator) * 2
    y = (torch.randperm(24, generator=generator) < positives).double()
    expected = _batch_form(kind, torch.sigmoid(logits).numpy(), y.numpy())
    assert _loss(kind, logits, y).mean().item() == pytest.approx(expected, rel=1e-9)


def test_pairs_are_shared_equally_between_the_classes():
    logits, y = torch.randn(20), (torch.arange(20) % 4 == 0).float()
    for kind in ("softauc", "partialauc"):
        values = _loss(kind, logits, y)
        torch.testing.assert_close(values[y == 1].sum(), values[y == 0].sum())


@given(st.floats(0.01, 1), st.integers(1, 12))
def test_partial_auc_counts_the_last_negative_by_its_fraction(max_fpr, n_negatives):
    z = torch.arange(float(n_negatives + 1), dtype=torch.float64)
    y = (z == 0).double()
    area = LOSSES["partialauc"](z, y, max_fpr=max_fpr).mean().item()
    costs = [math.log1p(math.exp(k)) for k in range(n_negatives, 0, -1)]
    left = max(max_fpr * n_negatives, 1)  # the hardest negative always counts
    weights = [min(max(left - k, 0), 1) for k in range(n_negatives)]
    expected = sum(w * c for w, c in zip(weights, costs, strict=True)) / left
    assert area == pytest.approx(expected, rel=1e-9)


def test_top_push_is_an_upper_bound_of_the_hard_maximum_and_tends_to_it():
    torch.manual_seed(1)
    z, y = torch.randn(40, dtype=torch.float64), (torch.arange(40) % 5 == 0).double()
    hard = F.softplus(z[y == 0].max() - z[y == 1]).mean().item()
    soft = [LOSSES["toppush"](z, y, temperature=t).mean().item() for t in (1, 0.1, 0.01)]
    assert soft[0] > soft[1] > soft[2] > hard - 1e-12
    assert soft[2] == pytest.approx(hard, abs=1e-4)
    assert soft[0] <= hard + math.log(32)


@pytest.mark.parametrize(("kind", "constant"), [("softauc", 0.5), ("partialauc", math.log(2)), ("toppush", math.log(2))])  # fmt: skip
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_missing_class_costs_a_constant_without_gradient(kind, constant, label):
    logits = torch.linspace(-80, 80, 7, requires_grad=True)
    y = torch.full((7,), label)
    y[5:] = -1
    values = _loss(kind, logits, y)
    torch.testing.assert_close(values, torch.full((7,), constant))
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert (gradient == 0).all()


def test_one_example_has_no_variance():
    logits = torch.tensor([0.7, 5.0], requires_grad=True)
    y = torch.tensor([1.0, -1.0])
    alone = _loss("variancereg", logits, y)[0]
    torch.testing.assert_close(alone, bce(logits, y)[0])
    assert torch.autograd.grad(alone, logits)[0].isfinite().all()


@pytest.mark.parametrize("kind", LOSSES)
def test_padded_rows_are_left_out(kind):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(18, dtype=torch.float64, generator=generator)
    y = (torch.arange(18) % 4 == 1).double()
    y[12:] = -1
    logits[12:] = torch.tensor([80.0, -80.0, 0.0, 3.0, -3.0, 80.0], dtype=torch.float64)
    order = torch.randperm(18, generator=generator)
    for rows in (torch.arange(18), order):  # appended, and anywhere
        padded, real = logits[rows].requires_grad_(), y[rows] >= 0
        alone = padded.detach()[real].requires_grad_()
        values, expected = _loss(kind, padded, y[rows]), _loss(kind, alone, y[rows][real])
        assert values.isfinite().all()
        torch.testing.assert_close(values[real], expected, rtol=1e-12, atol=1e-14)
        (gradient,) = torch.autograd.grad(_real_mean(values, y[rows]), padded)
        (unpadded,) = torch.autograd.grad(expected.mean(), alone)
        torch.testing.assert_close(gradient[real], unpadded, rtol=1e-12, atol=1e-14)
        assert (gradient[~real] == 0).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_thirty_two_examples_can_be_overfitted(kind):
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(32, generator=generator).requires_grad_()
    y = (torch.randperm(32, generator=generator) < 8).float()
    adam = torch.optim.Adam([logits], lr=0.2)
    for _ in range(200):
        adam.zero_grad()
        _loss(kind, logits, y).mean().backward()
        adam.step()
    assert logits[y == 1].min() > logits[y == 0].max()  # AUC 1
    if kind not in RANKING:
        assert ((logits > 0) == (y == 1)).all()


@pytest.mark.parametrize("kind", ["partialauc", "toppush"])
def test_a_shift_of_all_logits_changes_nothing(kind):
    logits = torch.randn(20, dtype=torch.float64)
    y = (torch.arange(20) % 3 == 0).double()
    torch.testing.assert_close(_loss(kind, logits + 7, y), _loss(kind, logits, y))


def test_the_published_confidence_penalty_rewards_uncertainty():
    logits, y = torch.tensor([0.0, 4.0]), torch.tensor([1.0, 1.0])
    for sign in (1, -1):
        penalised = LOSSES["entropyreg"](logits, y, lambda_entropy=0.1, sign=sign)
        at_half, confident = (bce(logits, y) - penalised) * sign
        assert at_half > confident > 0


def test_an_adjusted_logit_gives_the_probability_back():
    """At the optimum of a constant score, sigmoid(z + tau log-odds) is the share of positives."""
    y = (torch.arange(20) < 4).double()
    shift = 1.2 * math.log(0.2 / 0.8)
    score = torch.full((20,), math.log(0.2 / 0.8) - shift, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(_loss("logitadjusted", score, y).sum(), score)
    assert gradient.sum().item() == pytest.approx(0, abs=1e-12)


BATCHES = st.lists(st.floats(-20, 20), min_size=1, max_size=20)


def _batch(values):
    logits = torch.tensor(values, dtype=torch.float64)
    return logits, (torch.arange(len(values)) % 2).double()


@given(BATCHES, st.floats(0, 5), st.floats(0, 1))
def test_identities(values, gamma, alpha):
    logits, y = _batch(values)
    same = [
        (bce(logits, y), F.binary_cross_entropy_with_logits(logits, y, reduction="none")),
        (focal(logits, y, gamma=0.0, alpha=None), bce(logits, y)),
        (focal(logits, y, gamma=0.0, alpha=0.5) * 2, bce(logits, y)),
        (weightedbce(logits, y, pos_weight=1.0), bce(logits, y)),
        (labelsmoothing(logits, y, epsilon=0.0), bce(logits, y)),
        (
            asymmetricfocal(logits, y, gamma_pos=gamma, gamma_neg=gamma, alpha=alpha),
            focal(logits, y, gamma=gamma, alpha=alpha),
        ),
    ]
    for one, other in same:
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


@given(BATCHES, st.floats(0.1, 5), st.floats(0.05, 0.95), st.sampled_from([1, -1]))
def test_identities_of_the_regularised_and_the_top_weighted(values, gamma, prior, sign):
    logits, y = _batch(values)
    plain, free = bce(logits, y), {"gamma": gamma, "temperature": 1.5}
    same = [
        (losses.weightedsum(logits, y, alpha=1.0, gamma=gamma), plain),
        (losses.weightedsum(logits, y, alpha=0.0, gamma=gamma), losses.softauc(logits, y, gamma=gamma)),
        (losses.entropyreg(logits, y, lambda_entropy=0.0, sign=sign), plain),
        (losses.variancereg(logits, y, lambda_var=0.0), plain),
        (
            losses.calibratedfocal(logits, y, alpha=prior, lambda_cal=0.0, **free),
            focal(logits, y, gamma=gamma, alpha=prior),
        ),
        (losses.calibratedfocal(logits, y, lambda_cal=0.0, **free), focal(logits, y, gamma=gamma)),
        (losses.poly(logits, y, epsilon1=0.0), plain),
        (losses.logitadjusted(logits, y, tau=0.0, prior=prior), plain),
        (losses.logitadjusted(logits, y, tau=gamma, prior=0.5), plain),
        (losses.ldam(logits, y, max_margin=0.0, scale=1.0, prior=prior), plain),
        (
            losses.ldam(logits, y, max_margin=0.0, scale=gamma, prior=prior),
            losses.ldam(logits, y, max_margin=0.0, scale=gamma, prior=0.5),
        ),
    ]  # fmt: skip
    for one, other in same:
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


@given(BATCHES.filter(lambda values: len(values) > 1))
def test_the_whole_partial_auc_is_the_logistic_loss_of_all_pairs(values):
    logits, y = _batch(values)
    whole = losses.partialauc(logits, y, max_fpr=1.0).mean()
    pairs = F.softplus(logits[y == 0][:, None] - logits[y == 1])
    torch.testing.assert_close(whole, pairs.mean(), rtol=1e-7, atol=1e-7)
