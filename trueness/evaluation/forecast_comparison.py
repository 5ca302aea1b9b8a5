"""Who is better by a loss that every unit has: tests for many candidates, computed by `arch`.

AUC and precision are no means over units; log loss and Brier score are, and the tests of the
forecasting literature apply to them as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from trueness.errors import at_least
from trueness.evaluation.blocks import DRAWS, FEWEST_BLOCKS, Blocks, Bootstrap
from trueness.evaluation.inputs import (
    Input,
    InputError,
    as_logits,
    check_confidence,
    choice,
    labels_and_scores,
)
from trueness.evaluation.resampling import check_size

Array = NDArray[np.float64]
Loss: TypeAlias = Literal["log", "brier"]


@dataclass(frozen=True)
class LossComparison:
    """What three tests say about candidates and a benchmark, by mean loss.

    Attributes
    ----------
    mean : list of float
        Mean loss of each candidate.
    better_p : dict
        Superior predictive ability: p-values of "no candidate is better than the benchmark",
        ``lower, consistent, upper``; the consistent one is the test.
    better : list of int
        Candidates better than the benchmark, stepwise; family-wise error 1 - confidence.
    among_best : list of int
        Model confidence set: holds the best candidates with about the stated confidence.
    among_best_p : list of float
        For each candidate, the error at which it leaves that set.
    benchmark, n : int
    confidence : float
    """

    mean: list[float]
    better_p: dict[str, float]
    better: list[int]
    among_best: list[int]
    among_best_p: list[float]
    benchmark: int
    n: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def unit_losses(
    y_true: ArrayLike, scores: Iterable[ArrayLike], kind: Loss = "log", *, input: Input = "logit"
) -> Array:
    """Loss of each candidate on each unit, (n, m); natural logarithm, or squared error.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    scores : iterable of m arrays (n,)
    kind : {"log", "brier"}
    input : {"logit", "probability", "score"}
        What the scores are; see `as_logits` for what is refused.

    Examples
    --------
    >>> unit_losses([0, 1], [[0.0, 0.0]], "brier").ravel()
    array([0.25, 0.25])
    """
    choice("loss", kind, get_args(Loss))
    columns = []
    for score in scores:
        labels, values = labels_and_scores(y_true, score)
        z = as_logits(values, input)
        wrong = np.where(labels == 1, -z, z)
        columns.append(np.logaddexp(0, wrong) if kind == "log" else expit(wrong) ** 2)
    if not columns:
        raise InputError("no candidates; at least one is needed", "empty")
    return np.column_stack(columns)


def loss_comparison(
    losses: ArrayLike, benchmark: int, *, blocks: Blocks, confidence: float = 0.95,
    draws: int = DRAWS, bootstrap: Bootstrap = "stationary", seed: int = 0,
) -> LossComparison:  # fmt: skip
    """Compare candidates by losses per unit, corrected for their number.

    Hansen, "A Test for Superior Predictive Ability" (2005); Romano and Wolf, "Stepwise Multiple
    Testing as Formalized Data Snooping" (2005); Hansen, Lunde and Nason, "The Model Confidence Set"
    (2011), with the maximum of the t-statistics.

    NOTE[DIFF]: `arch` uses the standard errors in the first two tests only to leave out hopeless
    candidates; the largest difference of means itself is not studentised. Candidates with equal
    losses on all units count once. Units of one time, or of one cluster, are summed first.

    Parameters
    ----------
    losses : (n, m)
        Less is better.
    benchmark : int
        Column that the others are compared with.
    blocks : Blocks
        Of the n units; at least five. Their length is the mean one of a stationary bootstrap.
    confidence : float
        In (0, 1).
    draws : int
    bootstrap : "circular" or "stationary"
    seed : int
    """
    benchmark, draws = at_least("benchmark", benchmark, 0), at_least("draws", draws, 2)
    seed = at_least("seed", seed, 0, 2**32 - 1)
    choice("bootstrap", bootstrap, get_args(Bootstrap))
    check_confidence(confidence)
    units = _checked_losses(losses, benchmark, blocks)
    table, m = _by_item(units, blocks), units.shape[1]
    _, first, back = np.unique(table, axis=1, return_index=True, return_inverse=True)
    own = back[benchmark]
    rivals = [i for i in range(len(first)) if i != own]
    options = {"block_size": blocks.length, "reps": draws, "bootstrap": bootstrap, "seed": seed}
    p, better = dict.fromkeys(("lower", "consistent", "upper"), 1.0), []
    set_p = np.ones(len(first))
    if rivals:
        distinct = table[:, first]
        p, ahead = _better_than(distinct[:, own], distinct[:, rivals], 1 - confidence, options)
        better = [rivals[i] for i in ahead]
        set_p = _confidence_set(distinct, 1 - confidence, options)
    each = set_p[back]
    return LossComparison(
        units.mean(axis=0).tolist(), p, [i for i in range(m) if back[i] in better],
        np.flatnonzero(each > 1 - confidence).tolist(), each.tolist(), benchmark, len(units),
        confidence,
    )  # fmt: skip


def _checked_losses(losses: ArrayLike, benchmark: int, blocks: Blocks) -> Array:
    table = np.asarray(losses)
    if table.ndim != 2 or not table.size or table.dtype.kind not in "fiu":
        raise InputError("losses must be a table of numbers, units by candidates", "dimensions")
    if not np.isfinite(table).all():
        raise InputError(f"{int((~np.isfinite(table)).sum())} losses are not finite", "not_finite")
    if not 0 <= benchmark < table.shape[1]:
        raise InputError(
            f"no column {benchmark} among {table.shape[1]} to be the benchmark", "benchmark"
        )
    check_size(blocks, len(table))
    if blocks.few:
        raise InputError(
            f"{blocks.items} times in blocks of {blocks.length}: at least {FEWEST_BLOCKS} blocks "
            "are needed", "few",
        )  # fmt: skip
    table = table.astype(np.float64)
    columns = np.unique(table, axis=1)
    shapes = np.unique((columns - columns[:1]).round(12), axis=1)
    if shapes.shape[1] < columns.shape[1]:
        raise InputError(
            "two columns of losses differ by a constant; no test can judge that", "constant"
        )
    return table


def _by_item(losses: Array, blocks: Blocks) -> Array:
    """Losses (n, m) summed by time or cluster, (items, m), scaled so that the means stay."""
    if blocks.time is None and blocks.cluster is None:
        return losses
    sums = np.column_stack([blocks.totals(column) for column in losses.T])
    return sums * (blocks.items / blocks.n)


def _better_than(
    benchmark: Array, rivals: Array, size: float, options: dict[str, Any]
) -> tuple[dict[str, float], list[int]]:
    """P-values of superior predictive ability, and the rivals that stepwise testing finds.

    The steps are taken here: `arch.bootstrap.StepM` (8.0) fails once no rival is left.
    """
    from arch.bootstrap import SPA

    test = SPA(benchmark, rivals, **options)
    test.compute()
    p = {str(name): float(value) for name, value in test.pvalues.items()}
    left = np.ones(rivals.shape[1], np.bool_)
    while left.any():
        test.subset(left)
        test.compute()
        ahead = test.better_models(size)
        if not len(ahead):
            break
        left[ahead] = False
    return p, np.flatnonzero(~left).tolist()


def _confidence_set(losses: Array, size: float, options: dict[str, Any]) -> Array:
    """Error at which each column leaves the model confidence set, (m,)."""
    from arch.bootstrap import MCS

    test = MCS(losses, size, method="max", **options)
    test.compute()
    return test.pvalues["Pvalue"].sort_index().to_numpy(np.float64)
