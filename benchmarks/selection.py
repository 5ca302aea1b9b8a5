"""Judging 1,000 candidates on 6,000 times with 1,000 joint draws, step by step.

The estimates of each with their intervals, and everything that corrects for the choice among them:
joint draws of AUC and precision, circular shifts of all, the deviations of all pairs, the
differences to the leader and to the best of ten baselines, the bounds of precision, the shrinkage,
the overfitting. Prints wall and processor time of each step and the peak memory. Beside the draws
stands what a bootstrap as a loop over scikit-learn would take, from ten resamples of one candidate.
OMP_NUM_THREADS threads, or one per core.

    python benchmarks/selection.py [--candidates 1000] [--times 6000]
"""

import argparse
import os
import resource
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from trueness.evaluation import (
    Blocks,
    Chance,
    against_best,
    auc_counts,
    auc_draws,
    class_counts,
    contrasts_with_leader,
    largest_of_pairs,
    measure_many,
    overfitting_of_aucs,
    precision_bounds,
    precision_draws,
    shrink_drawn,
)
from trueness.evaluation.blocks import DRAWS
from trueness.evaluation.rearranged import alarm_values, rank_values
from trueness.evaluation.rearranged_labels import labels_of
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.threads import in_threads, threads

LENGTH, ALARMS, PIECES, FOLDS, LOOP = 20, 30, 16, 5, 10


def candidates(n, m):
    """Labels, and scores with an AUC near 0.7 whose errors are half shared."""
    rng = np.random.default_rng(0)
    y = (rng.random(n) < 0.2).astype(np.uint8)
    common = rng.standard_normal(n)
    return y, [0.734 * y - 1 + 0.7 * (common + rng.standard_normal(n)) for _ in range(m)]


def loops(y, score, blocks, m):
    """Seconds that loops over scikit-learn would take: estimates, AUC, precision."""
    weights = blocks.weights(LOOP)[:, 1:].T.astype(float)
    fold = np.arange(len(y)) * FOLDS // len(y)

    def timed(work):
        began = time.perf_counter()
        for row in weights:
            work(row)
        return (time.perf_counter() - began) / LOOP * DRAWS * m

    def auc(row):
        roc_auc_score(y, score, sample_weight=row)

    def every(row):
        auc(row)
        average_precision_score(y, score, sample_weight=row)
        for f in range(FOLDS):
            roc_auc_score(y[fold == f], score[fold == f], sample_weight=row[fold == f])

    def precision(row):
        np.repeat(y[np.argsort(-score)], row.astype(int))[:ALARMS].mean()

    return timed(every), timed(auc), timed(precision)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    def __init__(self):
        self.total = [0.0, 0.0]

    def __call__(self, name, work, loop=None):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        spent = time.perf_counter() - wall, time.process_time() - cpu
        self.total = [a + b for a, b in zip(self.total, spent, strict=True)]
        ratio = "" if loop is None else f"{loop:11,.0f} s as a loop, {loop / spent[0]:,.0f} times"
        print(f"{name:36}{spent[0]:7.2f} s wall{spent[1]:7.2f} s processor{ratio}")
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("candidates", 1000), ("times", 6000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    m, n = arguments.candidates, arguments.times
    y, scores = candidates(n, m)
    blocks = Blocks.of(n, length=LENGTH)
    few = Blocks.of(n, length=LENGTH + 1)  # other noise; kernels are compiled once
    rule = {"alarms": (7, 15, ALARMS), "alarm_rate_pct": 5.0, "confidence": 0.95,
            "fold": np.arange(n) * FOLDS // n}  # fmt: skip
    measure_many(y, scores[:2], blocks=few, **rule)
    largest_of_pairs(auc_draws(y, scores[:2], blocks=few))
    piece = blocks.pieces(PIECES)
    won = [auc_counts(y, score, piece) for score in scores[:2]]
    overfitting_of_aucs(np.array(won), *class_counts(y, piece))
    before = peak()
    print(f"{m:,} candidates, {n:,} times, {DRAWS:,} draws; {threads()} threads on "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    every, auc, precision = loops(y, scores[0], blocks, m)
    clock = Clock()
    clock("estimates of each, with intervals", lambda: measure_many(
        y, scores, blocks=blocks, **rule), every)  # fmt: skip
    aucs = clock("joint draws of AUC", lambda: auc_draws(y, scores, blocks=blocks), auc)
    precisions = clock("joint draws of precision", lambda: precision_draws(
        y, scores, alarms=ALARMS, blocks=blocks), precision)  # fmt: skip
    labels = labels_of(y, Blocks.of(n, time=np.arange(n)))
    for name, values in (("alarms", lambda one: alarm_values(one, ALARMS)), ("ranks", rank_values)):
        clock(f"{n:,} circular shifts of {name}", lambda values=values: Chance.of(
            labels, [values(SortedScores.of(y, score)) for score in scores]))  # fmt: skip
    leader = int(np.argmax([one.value for one in precisions]))
    pairs = [
        clock(f"deviations of all pairs, {name}", lambda some=some: largest_of_pairs(some))
        for name, some in (("AUC", aucs), ("precision", precisions))
    ]
    contrasts = clock("differences to the leader, both", lambda: [
        contrasts_with_leader(some, leader, largest=largest)
        for some, largest in zip((aucs, precisions), pairs, strict=True)])  # fmt: skip
    clock("differences to the best of ten", lambda: against_best(aucs, aucs[:10]))
    clock("bounds of precision", lambda: precision_bounds(
        precisions, [one.dependence for one in precisions]))  # fmt: skip
    clock("shrinkage", lambda: shrink_drawn(precisions))
    won = clock("won pairs between 16 pieces", lambda: in_threads(
        lambda score: auc_counts(y, score, piece), scores))  # fmt: skip
    overfitting = clock("overfitting, 12,870 splits", lambda: overfitting_of_aucs(
        np.array(won), *class_counts(y, piece)))  # fmt: skip
    print(f"{'all':36}{clock.total[0]:7.2f} s wall{clock.total[1]:7.2f} s processor")
    print(f"peak memory {peak():.0f} MiB, of which {before:.0f} before the first step")
    ties = [c.verdict for c in contrasts[0]]
    print(f"tied with the leader in AUC: {ties.count('tied')} of {len(ties)}; overfitting "
          f"{overfitting.probability.value:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
