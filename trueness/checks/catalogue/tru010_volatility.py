"""Scores that know how far the price moves, and not where."""

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import above
from trueness.document import numbers
from trueness.evaluation.joint_draws import auc_draws
from trueness.evaluation.resampling import mean_difference

CHECK = Check("TRU010", "volatility, not direction", "warning", ("market",))


def check(run: CheckInput) -> CheckResult:
    """Scores that rank the days of the mirror target as well as those of the target.

    Days that are positive for both are left out of both AUCs: whoever finds them is right twice and
    has said nothing about the direction. Both are resampled on the same blocks.
    """
    mirror, y = run.mirror, run.measured.y
    inside = (mirror == 0) | ((mirror == 1) & (y == 0))
    kept, labels = run.measured.only(inside), [y[inside], mirror[inside]]
    if not all(0 < label.sum() < len(label) for label in labels):
        raise Missing("the target or its mirror has one class only")
    blocks, level = kept.blocks(run.rule.block), run.rule.confidence
    one, other = (auc_draws(label, [kept.score], blocks=blocks)[0] for label in labels)
    target, mirrored = one.proportion(level), other.proportion(level)
    if target.low is None or mirrored.low is None:
        raise Missing("the AUCs have no intervals")
    gap = mean_difference([one], [other]).estimate(level)
    if not (above(target, 0.5) and above(mirrored, 0.5)) or above(gap, 0.0):
        return CHECK.clean()
    return CHECK.finding(
        f"AUC {target} on the target and {mirrored} on its mirror, the opposite touch on the same "
        f"{run.units} (those with both left out); difference {numbers.estimate(gap, signed=True)} "
        "does not exclude 0",
        target=target.value, mirror=mirrored.value, difference=gap.value,
        low=gap.low, high=gap.high,
    )  # fmt: skip
