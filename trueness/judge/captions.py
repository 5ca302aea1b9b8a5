"""Sentences around a leaderboard: who leads, how it is sorted, how much it can say."""

from __future__ import annotations

from trueness.document import numbers
from trueness.judge.access import WHOLE_TABLE, part_in_words
from trueness.judge.group import Group

FEW_POSITIVES = 100
"""With fewer, the standard error of a recall may be above five points."""
MIN_ALARMS = 5
"""Precisions of fewer alarms rank last: they say next to nothing."""


def headline(group: Group) -> str:
    """Who leads, with what; first of all whether candidates are pending."""
    return f"{group.pending} {_leads(group)}" if group.pending else _leads(group)


def _leads(group: Group) -> str:
    if not group.candidates:
        why = " ".join(group.notes) or "only baselines are stored for these units."
        return f"Nothing to judge: {why}"
    if not group.verdict.leader:
        return group.verdict.reason
    leader = group.candidates[0]
    seeds = sum(m.run.candidate == leader.run.candidate for m in group.candidates)
    mean = f" (AUC: mean of {seeds} seeds)" if seeds > 1 and group.kind == "binary" else ""
    e = leader.estimates[group.sort]
    value = numbers.estimate(e) if e.k is None else numbers.share(e)
    what = group.sort if group.classes is None else group.classes.words.measure(group.sort)
    return f"{leader.name} leads{mean}: {what} {value}."


def caption(group: Group) -> str:
    """Base rate, units, how the table is sorted."""
    rate = group.base_rate
    known = "" if rate is None else f"Base rate {numbers.share(rate)}. "
    end = "upper" if group.sort == "calibration_error" else "lower"
    models = [
        numbers.plural(group.n_candidates, "candidate"),
        "early stopping on a validation part" if "validation" in group.rule.chosen_on else "",
        "" if group.part == WHOLE_TABLE else f"measured on {part_in_words(group.part)}",
    ]
    level = numbers.level(group.rule.confidence)
    return (
        f"{known}{', '.join(filter(None, models))}; sorted by the {end} {level} bound of "
        f"{group.sort}, not adjusted for multiple testing. Intervals are pointwise {level} "
        f"confidence intervals.{''.join(_limits(group))}"
    )


def _limits(group: Group) -> list[str]:
    """What few positives, few alarms and alarms that cluster leave unknown."""
    rate, result = group.base_rate, []
    top, *others = (f"precision@{cut}" for cut in (group.rule.budget, group.rule.rate_name, 0.5))
    if rate is not None and rate.k is not None and 0 < rate.k < FEW_POSITIVES:
        result.append(f" With {numbers.plural(rate.k, 'positive')} a recall is known to about "
                     f"±{numbers.percent(0.5 / rate.k**0.5)} points.")  # fmt: skip
    shares = [m.estimates[name] for m in group.models for name in (top, *others)
              if name in m.estimates]  # fmt: skip
    if any(0 < share.n < MIN_ALARMS for share in shares):
        result.append(f" A precision of fewer than {MIN_ALARMS} alarms says next to nothing.")
    effective, n = group.effective_alarms, group.models[0].estimates[top].n
    if effective is not None and effective < n - 0.5:
        result.append(f" The {numbers.plural(n, 'alarm')} of the leader depend on each other: "
                     f"their effective number is {numbers.decimal(effective, 1)}.")  # fmt: skip
    return result


def selection_lines(group: Group) -> list[str]:
    """How far the candidates differ, and how often a choice among them fails."""
    result = group.selection
    if result is None or result.shrunk.pooled.value is None or result.distinct < 2:
        return []
    spread = result.shrunk.deviation
    differ = "precisions are shrunk towards the pooled one"
    if 100 * spread < 0.05:
        differ = "no evidence that the models differ"
    lines = [
        f"Pooled precision@{result.budget} {numbers.share(result.shrunk.pooled, counts=False)} "
        f"over {numbers.plural(result.distinct, 'distinct candidate')}; between-model SD "
        f"{numbers.decimal(100 * spread, 1)} points: {differ}."
    ]
    if result.overfitting is not None and result.overfitting.value is not None:
        lines.append(
            f"Probability of backtest overfitting {numbers.percent(result.overfitting.value)} % "
            f"({numbers.count(result.overfitting.n)} splits): how often the best by AUC on one "
            "half of the units is not above the median on the other; of equal candidates 50 % on "
            "average, 10–82 % in single samples."
        )
    return lines
