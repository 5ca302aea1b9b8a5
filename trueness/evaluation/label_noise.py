"""Wrong labels, found by confident learning: which rows are suspect, and how many there are.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.evaluation.clusters import clustered_shares
from trueness.evaluation.inputs import InputError
from trueness.evaluation.intervals import Estimate

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class ClusterNoise:
    """What labels inside clusters say of each other, without any model.

    Attributes
    ----------
    pairs, disagreeing : int
        Neighbouring rows of a cluster, and those of them with different labels.
    noise : Estimate
        Proportion of wrong labels that would make as many disagree.
    """

    pairs: int
    disagreeing: int
    noise: Estimate


def noise_in_clusters(y: ArrayLike, cluster: ArrayLike, confidence: float = 0.95) -> ClusterNoise:
    """Proportion of wrong labels, from rows of one cluster whose labels differ.

    If the rows of a cluster are of one true class, and each label is wrong by itself with
    probability e, two of them differ with 2 e - e^2 (1 + q), where q is the probability that two
    wrong labels agree: 1 with two classes, 1 / (K - 1) if all wrong ones are equally probable, as
    the value supposes. The interval covers e whatever q is. Labels that are wrong for a whole
    cluster are not seen, so that it is a lower bound of all wrong labels otherwise. It is exact at
    the effective sample size of the clusters, see `clustered_shares`.

    Parameters
    ----------
    y, cluster : (n,) int
    confidence : float

    Examples
    --------
    >>> result = noise_in_clusters([0, 0, 1, 1, 1, 0], [7, 7, 8, 8, 9, 9])
    >>> result.pairs, result.disagreeing, round(result.noise.value, 3)
    (3, 1, 0.211)
    """
    labels, of = np.asarray(y, np.int64), np.asarray(cluster, np.int64)
    order = np.argsort(of, kind="stable")
    one, other = order[:-1], order[1:]
    same = of[one] == of[other]
    differ = labels[one[same]] != labels[other[same]]
    if not len(differ):
        return ClusterNoise(0, 0, Estimate(None, None, None, 0))
    every = np.zeros(len(differ), np.int64)
    (k,), (n,), (low,), (high,) = clustered_shares(differ, every, of[one[same]], 1, confidence)
    wrong = max(1, len(np.unique(labels)) - 1)
    value = _noise_of(float(k / n), 1 / wrong)
    ends = _noise_of(float(low), float(wrong == 1)), _noise_of(float(high), 1.0)
    return ClusterNoise(int(n), int(k), Estimate(value, *ends, int(n)))


def _noise_of(disagreeing: float, agree: float) -> float:
    """Proportion of wrong labels that makes so many pairs differ, if wrong ones agree so often."""
    return float((1 - np.sqrt(max(0.0, 1 - (1 + agree) * disagreeing))) / (1 + agree))


@dataclass(frozen=True)
class LabelNoise:
    """What out-of-fold probabilities say of given labels.

    A row is confidently of a class if its probability reaches the class's own threshold: the mean
    probability of the class over the rows that are labelled so. Of several such classes it is the
    most probable one. A row that is confidently of another class than its label is a suspect.

    Parameters
    ----------
    y : (n,) int
        Given labels, 0 to K - 1.
    probabilities : (n, K)
        By a model that saw neither the row nor what depends on it.

    Raises
    ------
    InputError
        With code ``shape`` or ``range``.

    Examples
    --------
    >>> p = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]]
    >>> result = LabelNoise.of([0, 0, 1, 1, 1], p)
    >>> result.suspect.tolist(), result.ranked().tolist(), result.number
    ([False, False, False, False, True], [4], 1)
    """

    y: Index
    probabilities: Floats

    @classmethod
    def of(cls, y: ArrayLike, probabilities: ArrayLike) -> LabelNoise:
        """From whatever holds numbers, checked."""
        labels, p = np.asarray(y, np.int64), np.asarray(probabilities, np.float64)
        if p.ndim != 2 or labels.shape != p.shape[:1]:
            raise InputError(f"labels {labels.shape} and probabilities {p.shape}; (n,) and (n, K) "
                             "are needed", "shape")  # fmt: skip
        if len(labels) and (labels.min() < 0 or labels.max() >= p.shape[1]):
            raise InputError("labels must lie between 0 and K - 1", "range")
        if not np.isfinite(p).all() or (p < 0).any() or (p > 1 + 1e-6).any():
            raise InputError("probabilities must lie between 0 and 1", "range")
        return cls(labels, p)

    @cached_property
    def thresholds(self) -> Floats:
        """Mean probability of each class over the rows labelled so, (K,); infinite without any."""
        k = self.probabilities.shape[1]
        own = self.probabilities[np.arange(len(self.y)), self.y]
        counts = np.bincount(self.y, minlength=k)
        sums = np.bincount(self.y, own, minlength=k)
        return np.divide(sums, counts, out=np.full(k, np.inf), where=counts > 0)

    @cached_property
    def confident(self) -> Index:
        """Class that each row is confidently of, (n,); -1 for none."""
        reached = self.probabilities >= self.thresholds - 1e-12
        best = np.where(reached, self.probabilities, -1.0).argmax(axis=1)
        return np.where(reached.any(axis=1), best, -1)

    @cached_property
    def suspect(self) -> NDArray[np.bool_]:
        """Rows that are confidently of another class than their label, (n,)."""
        return (self.confident >= 0) & (self.confident != self.y)

    @cached_property
    def joint(self) -> Index:
        """Rows by label and by the class that they are confidently of, (K, K)."""
        k, sure = self.probabilities.shape[1], self.confident >= 0
        pairs = self.y[sure] * k + self.confident[sure]
        return np.bincount(pairs, minlength=k * k).reshape(k, k)

    @cached_property
    def suggested(self) -> Index:
        """Another class for each row, (n,): the confident one, else the most probable other one."""
        other = self.probabilities.copy()
        other[np.arange(len(self.y)), self.y] = -1.0
        return np.where(self.suspect, self.confident, other.argmax(axis=1))

    @cached_property
    def margin(self) -> Floats:
        """Probability of the suggested class minus that of the label, (n,), -1 to 1."""
        every = np.arange(len(self.y))
        return self.probabilities[every, self.suggested] - self.probabilities[every, self.y]

    @cached_property
    def number(self) -> int:
        """Estimated number of wrong labels: each label's confident share, times its rows."""
        rows = np.bincount(self.y, minlength=len(self.joint))
        sure = self.joint.sum(axis=1)
        wrong = sure - np.diag(self.joint)
        return round(float((rows * wrong / np.maximum(sure, 1)).sum()))

    def ranked(self) -> Index:
        """Suspects, those with the largest margin first."""
        order = np.argsort(-self.margin, kind="stable")
        return order[self.suspect[order]]

    def shares(
        self, slices: ArrayLike, cluster: NDArray[np.int64], n_slices: int,
        confidence: float = 0.95,
    ) -> list[Estimate]:  # fmt: skip
        """Share of wrong labels in each slice: suspects among the rows confidently of a class.

        The interval is exact at the effective sample size of the clusters (see
        `clustered_shares`): it is about other rows like these under the same model. It does not
        cover what the model is wrong about: texts of one class that read like another one are
        suspects, and a model that learnt the noise misses some.

        Parameters
        ----------
        slices : (n,) int
            0 to n_slices - 1.
        cluster : (n,) int
            Rows of one are not independent.
        n_slices : int
        confidence : float
        """
        sure = self.confident >= 0
        of, (_, item) = np.asarray(slices, np.int64)[sure], np.unique(cluster, return_inverse=True)
        if not len(of):
            return [Estimate(None, None, None, 0, 0) for _ in range(n_slices)]
        item = np.unique(item[sure], return_inverse=True)[1].astype(np.int64)
        k, n, low, high = clustered_shares(self.suspect[sure], of, item, n_slices, confidence)
        return [
            Estimate(float(a / b) if b else None, float(c), float(d), int(b), int(a))
            for a, b, c, d in zip(k, n, low, high, strict=True)
        ]
