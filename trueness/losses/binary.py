"""Losses: pure functions of logits, one value per example, in one table.

Each takes logits (B,) and labels y (B,) as floats, and scalars by keyword (Python numbers or 0-d
tensors, so that members of a stack may differ), and returns (B,), whose mean over the real rows is
the loss of the batch. Formulas are in p = sigmoid(logit). All stay finite, with their gradients,
for logits of +-80 and use masks instead of indexing, so that they vmap.

Labels are 1, 0, or -1 for a row that only pads a short batch. Losses over the whole batch (softauc,
weightedsum, variancereg, calibratedfocal, partialauc, toppush) leave such rows out of every mean,
sum, maximum and rank; per-example losses merely stay finite there. The values in padded rows mean
nothing, and whoever takes the mean must mask them.

NOTE[DIFF]: the published forms clamp p to [1e-7, 1 - 1e-7], where the gradient vanishes; these
work on the logit and clamp nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Scalar: TypeAlias = float | Tensor
LN_2 = math.log(2)
"""Logistic cost of a tie."""


def _softplus_pair(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(-ln p, -ln(1-p)) of a logit, both without overflow."""
    return F.softplus(-logits), F.softplus(logits)


def _classes(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masks (B,) of the positives, of the negatives and of both; padded rows are in none."""
    positive, negative = (y == 1).to(y.dtype), (y == 0).to(y.dtype)
    return positive, negative, positive + negative


def _mean(values: Tensor, real: Tensor) -> Tensor:
    """Mean () over the real rows."""
    return (values * real).sum() / real.sum().clamp(min=1)


def _pair_mean(cost: Tensor, share: Tensor, real: Tensor, missing: float) -> Tensor:
    """Weighted mean of pair costs (B, B), half of each given to either partner.

    Examples (B,) average to ``sum(cost * share) / sum(share)``, or to `missing` without any pair.
    """
    each, total = cost * share, share.sum()
    there = total > 0
    halves = (each.sum(0) + each.sum(1)) * real.sum() / (2 * torch.where(there, total, 1.0))
    return torch.where(there, halves, missing)


def bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy, ``-[y ln p + (1-y) ln(1-p)]``.

    Examples
    --------
    >>> bce(torch.tensor([0.0, -80.0]), torch.tensor([1.0, 1.0]))
    tensor([ 0.6931, 80.0000])
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    return y * cost_pos + (1 - y) * cost_neg


def weightedbce(logits: Tensor, y: Tensor, *, pos_weight: Scalar) -> Tensor:
    """Cross-entropy with positives counted `pos_weight` times.

    ``-[w y ln p + (1-y) ln(1-p)]``; `pos_weight` w > 0. Log-odds come out
    shifted by ln w, so probabilities are too high for w > 1; w = 1 is `bce`.
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    return pos_weight * y * cost_pos + (1 - y) * cost_neg


def labelsmoothing(logits: Tensor, y: Tensor, *, epsilon: Scalar) -> Tensor:
    """Cross-entropy against the target ``y (1 - epsilon) + (1 - y) epsilon``.

    After Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016).
    Squeezes probabilities inwards to between epsilon and 1 - epsilon; epsilon is in [0, 1], and 0
    is `bce`.
    """
    return bce(logits, y * (1 - epsilon) + (1 - y) * epsilon)


def asymmetricfocal(
    logits: Tensor, y: Tensor, *, gamma_pos: Scalar, gamma_neg: Scalar, alpha: Scalar
) -> Tensor:
    """Focal loss with one exponent per class.

    ``-alpha y (1-p)^g+ ln p - (1-alpha)(1-y) p^g- ln(1-p)``, after Ridnik et al., "Asymmetric Loss
    For Multi-Label Classification" (2021), without its probability shift. Exponents are
    >= 0, alpha is in [0, 1]. Probabilities lean towards the class with the smaller exponent. Equal
    exponents make it `focal`.
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    # (1-p)^g = exp(-g * -ln(1-p)): smooth where a power of a vanishing probability is not
    positive = alpha * torch.exp(-gamma_pos * cost_neg) * cost_pos
    negative = (1 - alpha) * torch.exp(-gamma_neg * cost_pos) * cost_neg
    return y * positive + (1 - y) * negative


def focal(logits: Tensor, y: Tensor, *, gamma: Scalar, alpha: Scalar | None = None) -> Tensor:
    """Focal loss ``a_t (1 - p_t)^gamma (-ln p_t)``.

    Lin et al., "Focal Loss for Dense Object Detection" (2017). Pulls probabilities towards the
    middle as gamma >= 0 grows. `alpha` in [0, 1] weighs the positives, 1 - alpha the negatives;
    None leaves both at 1. gamma = 0 without alpha is `bce`; with alpha = 0.5 it is half of it.
    """
    if alpha is None:
        return 2 * asymmetricfocal(logits, y, gamma_pos=gamma, gamma_neg=gamma, alpha=0.5)
    return asymmetricfocal(logits, y, gamma_pos=gamma, gamma_neg=gamma, alpha=alpha)


def softauc(logits: Tensor, y: Tensor, *, gamma: Scalar) -> Tensor:
    """Share of wrongly ordered pairs, smoothed.

    Mean over all pairs of a positive i and a negative j of ``sigmoid(gamma (p_j - p_i))``; half of
    a pair belongs to each partner. 0.5 without gradient if a class is missing in the batch. A
    sigmoid for the step as in Herschtal & Raskutti, "Optimising Area Under the ROC Curve Using
    Gradient Descent" (2004), here on probabilities.

    Parameters
    ----------
    gamma : scalar > 0
        Steepness. Since p_j - p_i is in [-1, 1], the loss is in [sigmoid(-gamma), sigmoid(gamma)].

    Notes
    -----
    The scale is meaningless: nothing ties p to a frequency, and p drifts to 0 and 1, where the
    gradient vanishes. Judge by ranking and calibrate afterwards. Memory grows with B^2.

    Examples
    --------
    >>> softauc(torch.tensor([80.0, -80.0]), torch.tensor([1.0, 0.0]), gamma=2.0)
    tensor([0.1192, 0.1192])
    """
    positive, negative, real = _classes(y)
    p = torch.sigmoid(logits)
    cost = torch.sigmoid(gamma * (p[None, :] - p[:, None]))
    return _pair_mean(cost, positive[:, None] * negative, real, missing=0.5)


def weightedsum(logits: Tensor, y: Tensor, *, alpha: Scalar, gamma: Scalar) -> Tensor:
    """Cross-entropy and soft AUC together, ``alpha bce + (1 - alpha) softauc(gamma)``.

    Parameters
    ----------
    alpha : scalar in [0, 1]
        1 is `bce`, 0 is `softauc`.
    gamma : scalar > 0
        Steepness of the soft AUC.

    Notes
    -----
    Published by the study. The cross-entropy anchors the scale, the AUC part stretches
    it towards 0 and 1: over-confident, so calibrate afterwards.
    """
    return alpha * bce(logits, y) + (1 - alpha) * softauc(logits, y, gamma=gamma)


def entropyreg(logits: Tensor, y: Tensor, *, lambda_entropy: Scalar, sign: Scalar) -> Tensor:
    """Confidence penalty ``bce - sign lambda_entropy H(p)``, ``H = -p ln p - (1-p) ln(1-p)``.

    Pereyra et al., "Regularizing Neural Networks by Penalizing Confident Output Distributions"
    (2017). The published sign = 1 REWARDS uncertain predictions and pulls p towards 0.5; it cures
    no clustering in the middle. sign = -1 penalises them and pulls p towards 0 and 1.

    Parameters
    ----------
    lambda_entropy : scalar >= 0
        0 is `bce`.
    sign : 1 or -1

    Examples
    --------
    >>> at = torch.tensor([0.0])
    >>> entropyreg(at, torch.tensor([1.0]), lambda_entropy=0.1, sign=1) / bce(at, torch.ones(1))
    tensor([0.9000])
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    entropy = torch.sigmoid(logits) * cost_pos + torch.sigmoid(-logits) * cost_neg
    return bce(logits, y) - sign * lambda_entropy * entropy


def variancereg(logits: Tensor, y: Tensor, *, lambda_var: Scalar) -> Tensor:
    """Cross-entropy that rewards spread, ``bce - lambda_var var(p)``.

    The variance is over the batch with n - 1, and 0 for one example; example i carries
    ``n / (n-1) (p_i - mean p)^2`` of it. Published by the study.

    Parameters
    ----------
    lambda_var : scalar >= 0
        0 is `bce`.

    Notes
    -----
    Pushes p away from the mean of the batch, so probabilities come out over-confident.
    """
    _, _, real = _classes(y)
    p, n = torch.sigmoid(logits), real.sum()
    spread = (p - _mean(p, real)) ** 2 * n / (n - 1).clamp(min=1)
    return bce(logits, y) - lambda_var * spread


def calibratedfocal(
    logits: Tensor,
    y: Tensor,
    *,
    gamma: Scalar,
    lambda_cal: Scalar,
    temperature: Scalar,
    alpha: Scalar | None = None,
) -> Tensor:
    """Focal loss that ties the mean probability of a batch to its share of positives.

    ``focal + lambda_cal ((mean p - mean y) / temperature)^2``, the same addition for every example.
    Published by the study.

    Parameters
    ----------
    gamma : scalar >= 0
    lambda_cal : scalar >= 0
        0 is `focal`.
    temperature : scalar > 0
        Divides the gap only; it is no temperature of the logits.
    alpha : scalar in [0, 1], optional

    Notes
    -----
    Pulls p towards the middle as `focal` does. Only the overall mean is corrected, which is
    calibration in the large: a probability of 0.7 need not come true in 70 % of cases.
    """
    _, _, real = _classes(y)
    gap = (_mean(torch.sigmoid(logits), real) - _mean(y, real)) / temperature
    return focal(logits, y, gamma=gamma, alpha=alpha) + lambda_cal * gap**2


def poly(logits: Tensor, y: Tensor, *, epsilon1: Scalar) -> Tensor:
    """Cross-entropy with another first term of its series, ``bce + epsilon1 (1 - pt)``.

    Poly-1 of Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss
    Functions" (2022); pt is the probability of the true class.

    Parameters
    ----------
    epsilon1 : scalar >= -1
        0 is `bce`; 2 is the authors' choice on ImageNet, -1 removes the first term.

    Notes
    -----
    For epsilon1 > 0 probabilities come out more extreme, below 0 more timid.
    """
    wrong = y * torch.sigmoid(-logits) + (1 - y) * torch.sigmoid(logits)
    return bce(logits, y) + epsilon1 * wrong


def bootstrap(logits: Tensor, y: Tensor, *, beta: Scalar, hard: Scalar) -> Tensor:
    """Cross-entropy against the target ``beta y + (1 - beta) q``.

    q is p itself, or with `hard` whether p >= 0.5. Reed et al., "Training Deep Neural Networks on
    Noisy Labels with Bootstrapping" (2015). The gradient also flows through a soft q.

    Parameters
    ----------
    beta : scalar in [0, 1]
        1 is `bce`.
    hard : scalar, 0 or 1

    Notes
    -----
    The part with the own answer is the entropy of p: probabilities come out over-confident.
    """
    p = torch.sigmoid(logits)
    own = hard * (logits >= 0).to(logits.dtype) + (1 - hard) * p
    return bce(logits, beta * y + (1 - beta) * own)


def forwardcorrection(
    logits: Tensor, y: Tensor, *, noise_rate_0: Scalar, noise_rate_1: Scalar
) -> Tensor:
    """Cross-entropy of what labels say that are wrong at known rates.

    ``-y ln p' - (1-y) ln(1-p')`` with ``p' = e0 (1-p) + (1-e1) p``: Patrini et al., "Making Deep
    Neural Networks Robust to Label Noise: A Loss Correction Approach" (2017), forward.

    Parameters
    ----------
    noise_rate_0, noise_rate_1 : scalar in [0, 0.5)
        e0 of the zeros are labelled 1, e1 of the ones are labelled 0; both 0 is `bce`.

    Notes
    -----
    p estimates the class without the noise, so against the labels at hand it is too extreme.
    """
    ln_1, ln_0 = F.logsigmoid(logits), F.logsigmoid(-logits)
    e0, e1 = (torch.zeros_like(logits) + rate for rate in (noise_rate_0, noise_rate_1))
    says_1 = torch.logaddexp(e0.log() + ln_0, torch.log1p(-e1) + ln_1)
    says_0 = torch.logaddexp(torch.log1p(-e0) + ln_0, e1.log() + ln_1)
    return -(y * says_1 + (1 - y) * says_0)


def logitadjusted(logits: Tensor, y: Tensor, *, tau: Scalar, prior: Scalar) -> Tensor:
    """Cross-entropy of the logit shifted by the log-odds of the classes.

    ``bce(logit + tau ln(prior / (1 - prior)))``: Menon et al., "Long-tail Learning via Logit
    Adjustment" (2021), for two classes.

    Parameters
    ----------
    tau : scalar >= 0
        0 is `bce`; 1 makes the sign of the logit optimal for the balanced error.
    prior : scalar in (0, 1)
        Share of positives.

    Notes
    -----
    The score is the log-odds had both classes been equally frequent: for rare positives p is too
    high. ``sigmoid(logit + tau ln(prior / (1 - prior)))`` is the probability.

    Examples
    --------
    >>> logitadjusted(torch.tensor([0.0]), torch.tensor([1.0]), tau=1.0, prior=0.5)
    tensor([0.6931])
    """
    log_odds = torch.logit(torch.zeros_like(logits) + prior)
    return bce(logits + tau * log_odds, y)


def ldam(logits: Tensor, y: Tensor, *, max_margin: Scalar, scale: Scalar, prior: Scalar) -> Tensor:
    """Cross-entropy that asks the rare class for a larger margin.

    ``bce(scale (logit - m+))`` for positives, ``bce(scale (logit + m-))`` for negatives, where the
    margin of a class is ``max_margin (rare / share)^(1/4)``: `max_margin` for the rare one. Cao
    et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss" (2019).

    Parameters
    ----------
    max_margin : scalar >= 0
        In logits. 0 with scale 1 is `bce`.
    scale : scalar > 0
    prior : scalar in (0, 1)
        Share of positives.

    Notes
    -----
    NOTE[DIFF]: the authors normalise features and weights, so that logits are cosines, and scale
    them by 30; here the logits are plain, and a network can outgrow any margin. The score is no
    probability: the margins push p outwards, more so for the rare class. Calibrate afterwards.
    """
    share = torch.zeros_like(logits) + prior
    rare = torch.minimum(share, 1 - share)
    margin_pos = max_margin * (rare / share) ** 0.25
    margin_neg = max_margin * (rare / (1 - share)) ** 0.25
    cost_pos = F.softplus(-scale * (logits - margin_pos))
    return y * cost_pos + (1 - y) * F.softplus(scale * (logits + margin_neg))


def partialauc(logits: Tensor, y: Tensor, *, max_fpr: Scalar) -> Tensor:
    """Wrongly ordered pairs among the hardest negatives: partial AUC up to a false-positive rate.

    Mean of ``softplus(z_j - z_i)`` (not divided by ln 2, so ln 2 at a tie) over the positives i and
    the ``max_fpr n-`` negatives j of the batch with the highest logits z. The last negative counts
    by the fraction that is left, and the hardest one always counts, so this is the exact area under
    the stepped curve: Narasimhan & Agarwal, "A Structural SVM Based Approach for Optimizing Partial
    AUC" (2013); logistic surrogate and hardest negatives as in Zhu et al., "When AUC meets DRO"
    (2022). Half of a pair belongs to each partner. Constant ln 2 if a class is missing.

    Parameters
    ----------
    max_fpr : scalar in (0, 1]
        1 is the logistic loss of the whole AUC.

    Notes
    -----
    A constant added to all logits changes nothing: scores are no probabilities. Judge by ranking
    and calibrate afterwards. Memory grows with B^2.

    Examples
    --------
    >>> z, y = torch.tensor([0.0, 2.0, 0.0, -5.0]), torch.tensor([1.0, 0.0, 0.0, 0.0])
    >>> partialauc(z, y, max_fpr=1 / 3).mean() - F.softplus(torch.tensor(2.0))
    tensor(0.)
    """
    positive, negative, real = _classes(y)
    hardness = torch.where(negative > 0, logits.detach(), -torch.inf)
    rank = torch.argsort(hardness, descending=True, stable=True).argsort()
    counted = (max_fpr * negative.sum() - rank).clamp(0, 1) * negative
    cost = F.softplus(logits[None, :] - logits[:, None])
    return _pair_mean(cost, positive[:, None] * counted, real, missing=LN_2)


def toppush(logits: Tensor, y: Tensor, *, temperature: Scalar) -> Tensor:
    """Positives below the highest negative.

    Mean over the positives i of ``softplus(top - z_i)``, where ``top = T ln sum_j exp(z_j / T)``
    over the negatives of the batch is never below their maximum and at most T ln n- above it.
    Li, Jin & Zhou, "Top Rank Optimization in Linear Time" (2014), with the hard maximum (the limit
    T -> 0) made smooth. Positives carry the cost alone. Constant ln 2 if a class is missing.

    Parameters
    ----------
    temperature : scalar > 0
        T, in logits. The larger, the more negatives share the push downwards.

    Notes
    -----
    A constant added to all logits changes nothing: scores are no probabilities. Judge by ranking
    and calibrate afterwards.

    Examples
    --------
    >>> z, y = torch.tensor([3.0, 1.0, -9.0]), torch.tensor([1.0, 0.0, 0.0])
    >>> toppush(z, y, temperature=0.1).mean() - F.softplus(torch.tensor(1.0 - 3.0))
    tensor(0.)
    """
    positive, negative, real = _classes(y)
    lowest = torch.finfo(logits.dtype).min
    top = temperature * torch.where(negative > 0, logits / temperature, lowest).logsumexp(0)
    n_pos = positive.sum()
    each = positive * F.softplus(top - logits) * real.sum() / n_pos.clamp(min=1)
    return torch.where((n_pos > 0) & (negative.sum() > 0), each, LN_2)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce,
    "weightedbce": weightedbce,
    "labelsmoothing": labelsmoothing,
    "focal": focal,
    "mildfocal": focal,
    "asymmetricfocal": asymmetricfocal,
    "softauc": softauc,
    "weightedsum": weightedsum,
    "entropyreg": entropyreg,
    "variancereg": variancereg,
    "calibratedfocal": calibratedfocal,
    "poly": poly,
    "bootstrap": bootstrap,
    "forwardcorrection": forwardcorrection,
    "logitadjusted": logitadjusted,
    "ldam": ldam,
    "partialauc": partialauc,
    "toppush": toppush,
}
