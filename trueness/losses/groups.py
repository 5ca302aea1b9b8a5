"""What the numbers of texts ask for: sampling, weights, priors and margins, and group DRO."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from trueness.errors import TruenessError


def sampling_probabilities(counts: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """Share of each language among the drawn texts, in proportion to ``n ** alpha``.

    Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale" (2020).

    Parameters
    ----------
    counts : (G,)
        Training texts of each language.
    alpha : float in [0, 1]
        1 takes languages as they are, 0 makes them equal.

    Returns
    -------
    (G,)
        Of sum 1; 0 for a language without texts.

    Raises
    ------
    TruenessError
        If there is no text at all.

    Examples
    --------
    >>> sampling_probabilities([900, 100, 0], alpha=0.5)
    array([0.75, 0.25, 0.  ])
    """
    n = np.asarray(counts, dtype=np.float64)
    if not n.sum():
        raise TruenessError("no language has a training text; at least one is needed")
    share = np.where(n > 0, n**alpha, 0.0)
    return share / share.sum()


def language_weights(counts: Tensor, *, alpha: float, low: float, high: float) -> Tensor:
    """Loss weights of languages in proportion to ``n ** (alpha - 1)``, clipped to [low, high].

    Before clipping their mean over all texts is 1, and the loss expects what it would under
    `sampling_probabilities`, with no text repeated.

    Parameters
    ----------
    counts : (G,)
        Training texts of each language. A language without any gets the limit `high`, below
        alpha = 1; no text asks for it.

    Returns
    -------
    (G,) float32

    Examples
    --------
    >>> language_weights(torch.tensor([900, 100]), alpha=0.5, low=0.2, high=10.0)
    tensor([0.8333, 2.5000])
    """
    n = counts.to(torch.float64)
    mean = torch.where(n > 0, n**alpha, 0.0).sum() / n.sum()
    return (n ** (alpha - 1) / mean).clamp(low, high).to(torch.float32)


def class_weights(
    kind: Literal["balanced", "effective"], counts: Tensor, *, beta: float = 0.999
) -> Tensor:
    """Loss weights of classes, of mean 1 over all texts.

    "balanced" is inverse to the number n of texts; "effective" to ``(1 - beta^n) / (1 - beta)``,
    which saturates at 1 / (1 - beta): Cui et al., "Class-Balanced Loss Based on Effective Number of
    Samples" (2019).

    Parameters
    ----------
    counts : (K,)
        Training texts of each class.
    beta : float in [0, 1)
        0 weighs all alike; read by "effective" only.

    Returns
    -------
    (K,) float32

    Raises
    ------
    TruenessError
        If a class has no text.

    Examples
    --------
    >>> class_weights("balanced", torch.tensor([900, 100]))
    tensor([0.5556, 5.0000])
    """
    n = _texts_of_classes(counts)
    number = n if kind == "balanced" else 1 - beta**n
    return (n.sum() / (n / number).sum() / number).to(torch.float32)


def log_priors(
    counts: Tensor, *, given: Literal["all", "language"], shrinkage: float = 0.0
) -> Tensor:
    """Log of the class shares for each language.

    With ``given="language"`` they are ``(n_ly + s pi_y) / (n_l + s)``, where pi are the shares over
    all languages and s is `shrinkage`, in texts; with ``given="all"`` every language has pi itself.

    Parameters
    ----------
    counts : (G, K)
        Training texts of each language and class.

    Returns
    -------
    (G, K) float32

    Raises
    ------
    TruenessError
        If a share is 0.
    """
    n = counts.to(torch.float64)
    common = (_texts_of_classes(n.sum(0)) / n.sum()).expand_as(n)
    if given == "all":
        return common.log().to(torch.float32)
    prior = (n + shrinkage * common) / (n.sum(1, keepdim=True) + shrinkage)
    if not bool((prior > 0).all()):
        raise TruenessError(
            "some languages have no training text of some class, whose prior is then 0; "
            "set shrinkage above 0"
        )
    return prior.log().to(torch.float32)


def class_margins(counts: Tensor, *, max_margin: float) -> Tensor:
    """Margins (K,) float32 in proportion to ``n_c ** -1/4``, `max_margin` for the rarest class.

    Raises
    ------
    TruenessError
        If a class has no text.

    Examples
    --------
    >>> class_margins(torch.tensor([16, 1]), max_margin=0.5)
    tensor([0.2500, 0.5000])
    """
    n = _texts_of_classes(counts)
    return (max_margin * (n.min() / n) ** 0.25).to(torch.float32)


def _texts_of_classes(counts: Tensor) -> Tensor:
    """Counts (K,) as float64, none of them 0."""
    missing = torch.nonzero(counts == 0).flatten().tolist()
    if missing:
        raise TruenessError(
            f"classes {missing} of {len(counts)} have no training text, so their share is 0; "
            "leave them out of the corpus or take a loss that needs no shares"
        )
    return counts.to(torch.float64)


class GroupDro(nn.Module):
    """Weights of groups that grow with their losses.

    Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts" (2020). After each
    batch ``q_g`` is multiplied by ``exp(eta (L_g + adjustment / sqrt(n_g)))`` and q brought to
    sum 1; the loss of the batch is ``sum_g q_g L_g`` with the new q. L_g is the mean loss of the
    group in the batch; one that is not in the batch has none and keeps its weight but for the sum.

    Parameters
    ----------
    eta : float > 0
        Step of q.
    adjustment : float >= 0
        C; asks small groups for a lower loss, as they overfit.
    counts : (G,)
        Training texts of each group. Groups without any have weight 0, the others start equal.

    Raises
    ------
    TruenessError
        If no group has a text.

    Notes
    -----
    Groups absent from most batches are trained little, whatever their weight: sample them evenly
    (`sampling_probabilities` with alpha 0), as the authors do.

    Examples
    --------
    >>> dro = GroupDro(eta=1.0, adjustment=0.0, counts=torch.tensor([50, 50]))
    >>> dro.weigh(torch.tensor([1.0, 3.0, 0.0]), torch.tensor([0, 0, 1]))
    tensor(1.7616)
    """

    log_q: Tensor
    extra: Tensor

    def __init__(self, eta: float, adjustment: float, counts: Tensor) -> None:
        super().__init__()
        n = counts.to(torch.float32)
        if not bool((n > 0).any()):
            raise TruenessError("no group has a training text; at least one is needed")
        self.eta = eta
        start = torch.where(n > 0, 0.0, -torch.inf).log_softmax(0)
        self.register_buffer("log_q", start)
        self.register_buffer("extra", adjustment / n.clamp(min=1).sqrt(), persistent=False)

    @property
    def q(self) -> Tensor:
        """Weights (G,) of sum 1."""
        return self.log_q.exp()

    def weigh(self, losses: Tensor, group: Tensor) -> Tensor:
        """Move q by the `losses` (B,) of texts of `group` (B,), and return the batch's loss ()."""
        zeros = torch.zeros_like(self.log_q, dtype=losses.dtype)
        texts = zeros.index_add(0, group, torch.ones_like(losses))
        means = zeros.index_add(0, group, losses) / texts.clamp(min=1)
        with torch.no_grad():
            gain = torch.where(texts > 0, self.eta * (means + self.extra), 0.0)
            self.log_q.copy_((self.log_q + gain).log_softmax(0))
        return (self.q * means).sum()
