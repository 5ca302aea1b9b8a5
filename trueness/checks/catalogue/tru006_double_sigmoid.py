"""Probabilities that were taken for logits."""

from scipy.special import expit, logit

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult

CHECK = Check("TRU006", "double sigmoid", "error", ("binary",))


def check(run: CheckInput) -> CheckResult:
    """All probabilities inside sigmoid([0, 1])."""
    prob = run.probabilities
    if not (prob.min() >= 0.5 and prob.max() <= expit(1.0) + 1e-9 and prob.max() > prob.min()):
        return CHECK.clean()
    low, high = float(logit(prob.min())), float(min(1.0, logit(prob.max())))
    return CHECK.finding(
        f"all probabilities lie in [{prob.min():.3f}, {prob.max():.3f}], inside sigmoid([0, 1]) = "
        f"[0.5, 0.731]; inverting one sigmoid restores the range [{low:.3f}, {high:.3f}]",
        low=prob.min(), high=prob.max(), restored_low=low, restored_high=high,
    )  # fmt: skip
