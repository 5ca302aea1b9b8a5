"""Alarms that fall into few blocks of time."""

import numpy as np

from trueness.checks.inputs import CheckInput, Missing, block_of
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.evaluation.intervals import clopper_pearson
from trueness.evaluation.metrics import alarm_cut

SHARE = Limit(
    "clustered_share", 0.5, "effective number of alarms, over that of random units, that is usual"
)
LEAST = Limit("clustered_alarms", 5, "alarms without which nothing can be said")
CHECK = Check("TRU016", "alarms cluster", "note", ("binary",), (SHARE, LEAST))


def check(run: CheckInput) -> CheckResult:
    """Alarms of the largest budget that fall in far fewer blocks than as many random units.

    The effective number of alarms is ``n² / Σ a²`` over the alarms a of each block: Hill's number
    of order 2 (Hill, "Diversity and evenness", 1973), Kish's effective size with the blocks as
    clusters. Random units reach ``n / (1 + (n - 1) q)``, q the chance that two share a block.
    """
    part, index = run.measured, block_of(run.blocks)
    raised = np.flatnonzero(part.score > alarm_cut(part.score, run.rule.budget))
    n, sizes = len(raised), np.bincount(index)
    if n < max(2, run.limit(LEAST)):
        raise Missing(f"{numbers.plural(n, 'alarm')}: too few")
    counts = np.bincount(index[raised], minlength=len(sizes))
    shared = float((sizes * (sizes - 1.0)).sum() / (len(part) * (len(part) - 1.0)))
    effective, random = n**2 / float((counts**2).sum()), n / (1 + (n - 1) * shared)
    if effective >= run.limit(SHARE) * random:
        return CHECK.clean()
    few, hits = max(1, round(effective)), int(part.y[raised].sum())
    low, high = clopper_pearson(round(hits / n * few), few, run.rule.confidence)
    held = int((counts > 0).sum())
    return CHECK.finding(
        f"{n} alarms fall in {held} of {numbers.plural(len(sizes), 'block')} of "
        f"{run.blocks.length} and count as {effective:.1f} if those of a block are right or wrong "
        f"together (random {run.units}: {random:.1f}); {hits}/{n} is then known to "
        f"{numbers.percent(low)}–{numbers.percent(high)} %",
        alarms=n, effective=effective, random=random, blocks=held,
    )  # fmt: skip
