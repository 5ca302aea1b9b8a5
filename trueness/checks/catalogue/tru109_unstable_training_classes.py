"""A training that diverged, or whose updates were often skipped."""

import numpy as np

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers

DIVERGED = Limit("diverged_loss", 2.0, "last training loss, over its lowest, that is too much")
SKIPPED = Limit(
    "skipped_updates", 0.05, "proportion of updates without finite gradients that is too much"
)
LOST = Limit("lost_score", 0.5, "last macro-F1, over its best, that is too little")
CHECK = Check("TRU109", "unstable training", "warning", ("titles",), (DIVERGED, SKIPPED, LOST))


def check(run: CheckInput) -> CheckResult:
    """Losses that are not finite or end far above their lowest, lost scores, skipped updates."""
    history = run.history
    train, score = history["train_loss"].to_numpy(), history["macro_f1"].to_numpy()
    note, facts = [], {}
    broken = ~np.isfinite(history.select("train_loss", "val_loss").to_numpy()).all(axis=1)
    if broken.any():
        facts["epoch_not_finite"] = int(broken.argmax()) + 1
        note.append(f"a loss is not finite in epoch {facts['epoch_not_finite']}")
    lowest = np.nanmin(train) if np.isfinite(train).any() else np.nan
    if train[-1] > run.limit(DIVERGED) * max(lowest, 0.05):
        facts |= {"train_loss": train[-1], "lowest": lowest}
        note.append(
            f"the training loss ends at {numbers.decimal(train[-1])}, its lowest was "
            f"{numbers.decimal(lowest)}"
        )
    if score[-1] < run.limit(LOST) * np.nanmax(score):
        facts |= {"macro_f1": score[-1], "best": np.nanmax(score)}
        note.append(
            f"macro-F1 ends at {numbers.decimal(score[-1])}, its best was "
            f"{numbers.decimal(np.nanmax(score))}"
        )
    skipped = history["skipped"][-1] / max(1, history["updates"][-1] + history["skipped"][-1])
    if skipped > run.limit(SKIPPED):
        facts["skipped"] = skipped
        note.append(f"{numbers.percent(skipped)} % of the updates were skipped")
    return CHECK.finding("; ".join(note), **facts) if note else CHECK.clean()
