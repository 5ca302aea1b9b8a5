"""Losses of K logits: pure functions ``(logits, y, *, settings) -> (B,)`` in one table.

Logits are (B, K), labels (B,) class numbers, int64. Formulas are in p = softmax(logits), and p_y is
the probability of the true class. All stay finite, with their gradients, for logits of +-80. With
smoothing e the target is ``(1 - e)`` on the true class plus ``e / K`` on every class: Szegedy et
al., "Rethinking the Inception Architecture for Computer Vision" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from trueness.losses.groups import class_margins, log_priors
from trueness.spec import titles_loss

Classify: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (B, K), labels (B,) and languages (B,) to losses (B,)."""

LEAST_P = 1e-6
"""Below it, the published focal factor sees no change of p."""


def crossentropy(logits: Tensor, y: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy ``-(1 - e) ln p_y - (e / K) sum_k ln p_k``; smallest at p_y = 1 - e + e / K.

    Examples
    --------
    >>> crossentropy(torch.tensor([[0.0, 0.0], [-80.0, 80.0]]), torch.tensor([0, 0]))
    tensor([  0.6931, 160.0000])
    """
    return F.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)


def _log_miss(logits: Tensor, y: Tensor) -> Tensor:
    """``ln(1 - p_y)`` (B,), exact where p_y rounds to 1."""
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.logsumexp(1) - logits.logsumexp(1)


def focal(
    logits: Tensor, y: Tensor, *, gamma: float, alpha: float = 1.0, smoothing: float = 0.0,
    smooth: Literal["product", "beside"] = "product",
) -> Tensor:  # fmt: skip
    """Cross-entropy times ``alpha (1 - p_y)^gamma``.

    Lin et al., "Focal Loss for Dense Object Detection" (2017), for K classes; p_y is raised to 1e-6
    inside the factor, as published.

    Parameters
    ----------
    gamma : float >= 0
        0 is `crossentropy` times alpha.
    alpha : float > 0
        The same for all classes.
    smoothing : float in [0, 1)
        e.
    smooth : "product" or "beside"
        "product", as published: the factor multiplies the smoothing as well and the loss falls to 0
        as p_y goes to 1, so nothing holds the confidence back. "beside":
        ``(1 - e) focal - (e / K) sum_k ln p_k``, whose minimum keeps p_y below 1. It holds back
        more than smoothing alone: of 6 classes, gamma 1.5 and e 0.05 stop at p_y 0.816, not 0.958.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0]])
    >>> focal(logits, torch.tensor([0]), gamma=1.0) / crossentropy(logits, torch.tensor([0]))
    tensor([0.5000])
    """
    # a power of 1 - p has no gradient where p rounds to 1; exp(gamma ln(1 - p)) has
    log_miss = _log_miss(logits, y).clamp(max=math.log1p(-LEAST_P))
    factor = alpha * torch.exp(gamma * log_miss)
    if smooth == "product":
        return factor * crossentropy(logits, y, smoothing=smoothing)
    smooth_term = -logits.log_softmax(1).mean(1)
    return (1 - smoothing) * factor * crossentropy(logits, y) + smoothing * smooth_term


def logitadjusted(
    logits: Tensor, y: Tensor, *, log_prior: Tensor, tau: float = 1.0, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of ``logits + tau ln prior``.

    Menon et al., "Long-tail Learning via Logit Adjustment" (2021). At tau = 1 the largest plain
    logit is optimal for the mean recall of the classes: the softmax is the probability that would
    hold if all classes were equally frequent.

    Parameters
    ----------
    log_prior : (K,) or (B, K)
        Of the classes, for all texts or for each.
    tau : float >= 0
        0 is `crossentropy`.
    """
    return crossentropy(logits + tau * log_prior, y, smoothing=smoothing)


def ldam(
    logits: Tensor, y: Tensor, *, margins: Tensor, scale: float = 1.0, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of ``scale (logits - margin of the true class)``.

    Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss" (2019).

    Parameters
    ----------
    margins : (K,)
        In logits; see `class_margins`.
    scale : float > 0

    Notes
    -----
    NOTE[DIFF]: the authors normalise features and weights, so that logits are cosines, and scale
    them by 30; here the logits are plain, and a network can outgrow any margin.
    """
    asked = F.one_hot(y, logits.shape[1]) * margins
    return crossentropy(scale * (logits - asked), y, smoothing=smoothing)


def gce(logits: Tensor, y: Tensor, *, q: float) -> Tensor:
    """Generalised cross-entropy ``(1 - p_y^q) / q``, bounded by 1 / q.

    Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
    Labels" (2018). q in (0, 1]: towards 0 it is `crossentropy`, 1 is the absolute error. Texts with
    p_y near 0 have next to no gradient: they are taken for mislabelled.
    """
    return -torch.expm1(-q * crossentropy(logits, y)) / q


def kl_to_teacher(logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Distance from a teacher, ``T^2 sum_k t_k (ln t_k - ln p_k)`` with both at temperature T.

    Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network" (2015). The square keeps
    gradients of one size whatever T.

    Parameters
    ----------
    logits, teacher_logits : (B, K)
        The teacher's may be in half precision; no gradient reaches them.
    temperature : float > 0

    Returns
    -------
    (B,)
        At least 0 but for rounding.

    Examples
    --------
    >>> logits = torch.tensor([[1.0, -2.0, 0.5]])
    >>> kl_to_teacher(logits, logits + 3, temperature=2.0).abs() < 1e-6
    tensor([True])
    """
    own = (logits / temperature).log_softmax(1)
    teacher = (teacher_logits.detach().to(logits.dtype) / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(own, teacher, reduction="none", log_target=True).sum(1)


def classification_loss(loss: titles_loss.Classification, counts: Tensor) -> Classify:
    """The function that a spec asks for, with its settings and priors bound.

    Parameters
    ----------
    loss : one of the classification losses of `trueness.spec.titles`
    counts : (G, K)
        Training texts of each language and class, on the device of the logits to come.

    Returns
    -------
    callable
        ``(logits (B, K), y (B,), language (B,)) -> (B,)``; languages are rows of `counts`.

    Raises
    ------
    TruenessError
        If the loss needs shares of classes and one of them is 0.

    Examples
    --------
    >>> spec = titles_loss.CrossEntropy(kind="crossentropy", smoothing=0.1)
    >>> loss = classification_loss(spec, counts=torch.tensor([[90, 10]]))
    >>> loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0]))
    tensor([0.6931])
    """
    function = CLASSIFICATION[loss.kind]
    settings: dict[str, Any] = loss.model_dump(exclude={"kind", "given", "shrinkage", "max_margin"})
    if isinstance(loss, titles_loss.MarginCrossEntropy):
        settings["margins"] = class_margins(counts.sum(0), max_margin=loss.max_margin)
    if not isinstance(loss, titles_loss.AdjustedCrossEntropy):
        return lambda logits, y, language: function(logits, y, **settings)
    priors = log_priors(counts, given=loss.given, shrinkage=loss.shrinkage)
    return lambda logits, y, language: function(logits, y, log_prior=priors[language], **settings)


CLASSIFICATION: dict[str, Callable[..., Tensor]] = {
    "crossentropy": crossentropy,
    "focal": focal,
    "logitadjusted": logitadjusted,
    "ldam": ldam,
    "gce": gce,
}
