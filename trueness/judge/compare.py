"""Two runs on the same units: who is better, where they differ, which alarms only one raised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Document
from trueness.errors import TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.influence import too_few
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.joint_draws import auc_draws, masked_auc_draws, precision_draws
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import Resampled, SortedScores, mean_difference
from trueness.evaluation.selection import Contrast, simultaneous_contrasts
from trueness.judge.access import record_access
from trueness.judge.finding import named_run
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_evaluated_on
from trueness.predictions import COLUMNS, Predictions
from trueness.store import AnyStore, Run

if TYPE_CHECKING:
    from trueness.judge.languages import TwoCompared

Raised: TypeAlias = Literal["both", "first", "second"]
MOST_SLICES = 60
"""Slices of one kind; beyond, the largest ones."""
MONTHLY = 400
"""Days up to which times are sliced by month instead of year."""


@dataclass(frozen=True)
class Named:
    """A run and what it is called."""

    name: str
    run: Run[Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"name": self.name, "key": self.run.key, "label": self.run.record["label"],
                "baseline": self.run.spec.is_baseline}  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """A measure of both runs, and first minus second on the same resamples."""

    name: str
    first: Estimate
    second: Estimate
    contrast: Contrast

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"first": self.first.to_dict(), "second": self.second.to_dict(),
                "difference": self.contrast.to_dict()}  # fmt: skip


@dataclass(frozen=True)
class SliceDifference:
    """Some of the units, such as those of a year.

    Attributes
    ----------
    of, name : str
        What they share, such as year, and its value.
    base_rate : Estimate
    first, second : float or None
        AUC of both; None with fewer than ten units of a class.
    contrast : Contrast or None
        First minus second in AUC, adjusted for all slices of the kind.
    alarms : tuple of Estimate
        Precision of the alarms of both inside the slice; the cut is that of all units.
    """

    of: str
    name: str
    base_rate: Estimate
    first: float | None
    second: float | None
    contrast: Contrast | None
    alarms: tuple[Estimate, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "of": self.of, "name": self.name, "base_rate": self.base_rate.to_dict(),
            "first": self.first, "second": self.second,
            "difference": None if self.contrast is None else self.contrast.to_dict(),
            "first_alarms": self.alarms[0].to_dict(), "second_alarms": self.alarms[1].to_dict(),
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """First run minus second on one part of a binary label.

    Attributes
    ----------
    first, second : Named
    part : str
        Where they are measured.
    n, positives, budget : int
        Units, positives among them, alarms that each may raise.
    measures : list of Measure
        AUC, and precision at the budget.
    slices : list of SliceDifference
        By time, by group, by every further column of words.
    alarms : polars.DataFrame
        Units that one or both raise an alarm on, by time: id, time, group, y, raised (both, first,
        second), and their rank under both, 1 the highest score.
    hits : dict of {"both", "first", "second"} to Estimate
        Precision of the alarms that both raise, or only one of them.
    """

    first: Named
    second: Named
    part: str
    n: int
    positives: int
    budget: int
    measures: list[Measure]
    slices: list[SliceDifference]
    alarms: pl.DataFrame
    hits: dict[Raised, Estimate]

    @property
    def confidence(self) -> float:
        """Of every interval."""
        return self.first.run.estimands.confidence

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "comparison", "first": self.first.to_dict(),
            "second": self.second.to_dict(), "part": self.part, "n": self.n,
            "positives": self.positives, "confidence": self.confidence, "budget": self.budget,
            "measures": {one.name: one.to_dict() for one in self.measures},
            "slices": [one.to_dict() for one in self.slices],
            "alarms": {
                "both": self.hits["both"].to_dict(), "only_first": self.hits["first"].to_dict(),
                "only_second": self.hits["second"].to_dict(),
                "units": self.alarms.with_columns(_as_text("time", self.alarms)).to_dicts(),
            },
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per unit that one or both raise an alarm on."""
        return self.alarms

    def document(self) -> Document:
        """What to show."""
        from trueness.judge.compare_document import comparison_document

        return comparison_document(self)


@dataclass(frozen=True)
class ClassComparison:
    """First run minus second on one part of K classes.

    Attributes
    ----------
    first, second : Named
    part : str
    differences : TwoCompared
        Differences of macro-F1 and of top-k accuracy, per group and over all.
    """

    first: Named
    second: Named
    part: str
    differences: TwoCompared

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "class_comparison", "first": self.first.to_dict(),
                "second": self.second.to_dict(), "part": self.part,
                **self.differences.to_dict()} | {
            "first_values": self.differences.macro_f1.first,
            "second_values": self.differences.macro_f1.second,
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per group, then per summary, then top-k accuracy of all units and each group."""
        result = self.differences.macro_f1
        tops = {k: {n: one[k].difference for n, one in self.differences.top_k.items()}
                for k in next(iter(self.differences.top_k.values()))}  # fmt: skip
        rows = [
            {"what": what, "name": name, "difference": one.simultaneous.value,
             "low": one.simultaneous.low, "high": one.simultaneous.high, "verdict": one.verdict}
            for what, every in {"group": result.groups, "summary": result.summaries, **tops}.items()
            for name, one in every.items()
        ]  # fmt: skip
        return pl.from_dicts(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What to show."""
        from trueness.judge.compare_document import class_comparison_document

        return class_comparison_document(self)


def compare(
    store: AnyStore, first: str, second: str, *, part: str | None = None, opened: bool = False,
    access: tuple[str, str] | None = None,
) -> Comparison | ClassComparison:  # fmt: skip
    """Compare two runs on the same units, first minus second.

    Parameters
    ----------
    store : Store or MemoryStore
    first, second : str
        Ids, keys or beginnings of keys.
    part : str, optional
        By default the part that both are measured on.
    opened : bool
        Whether a sealed part was asked for on purpose.
    access : tuple of str, optional
        Verb and question for the ledger.

    Raises
    ------
    TruenessError
        With code ``other_units`` if they were asked about other units, ``same_run`` if they are
        one.
    """
    one, other = (Named(*named_run(store, wanted)) for wanted in (first, second))
    _check_comparable(one, other, part)
    part = one.run.estimands.measured_on if part is None else part
    if access:
        record_access(store, [one.run, other.run], *access, part=part, opened=opened)
    if one.run.estimands.kind == "classes":
        from trueness.judge.languages import compare_two

        return ClassComparison(one, other, part, compare_two(one.run, other.run, part))
    return _of_an_event(one, other, part)


def _check_comparable(one: Named, other: Named, part: str | None) -> None:
    rules = [named.run.estimands for named in (one, other)]
    if one.run.key == other.run.key:
        raise TruenessError(f"{one.name}: both names stand for one run; give two", "same_run")
    if rules[0].kind != rules[1].kind:
        raise TruenessError(f"{one.name} and {other.name} answer different questions, a binary "
                            "label and K classes", "other_units")  # fmt: skip
    if part is None and rules[0].measured_on != rules[1].measured_on:
        parts = " and ".join(rule.measured_on for rule in rules)
        raise TruenessError(f"{one.name} and {other.name} are measured on {parts}; say which part",
                            "which_part")  # fmt: skip
    if part is not None:
        check_evaluated_on(one.run, part), check_evaluated_on(other.run, part)


# ---------------------------------------------------------------------------------- a binary label


def _of_an_event(one: Named, other: Named, part: str) -> Comparison:
    rule = one.run.estimands
    parts = [named.run.predictions().part(part) for named in (one, other)]
    if parts[0].units() != parts[1].units():
        raise TruenessError(
            f"{one.name} and {other.name} were asked about other units ({len(parts[0]):,} and "
            f"{len(parts[1]):,} of the {part} part), so they cannot be paired", "other_units",
        )  # fmt: skip
    first, scores = parts[0], [p.score for p in parts]
    blocks, budget = first.blocks(rule.block), min(rule.budget, len(first))
    drawn = {
        "auc": auc_draws(first.y, scores, blocks=blocks),
        f"precision@{budget}": precision_draws(first.y, scores, alarms=budget, blocks=blocks),
    }
    raised = [score > alarm_cut(score, budget) for score in scores]
    residuals = [Residuals.of(SortedScores.of(first.y, score), blocks) for score in scores]
    both = raised[0] & raised[1]
    kinds: dict[Raised, tuple[Residuals, NDArray[np.bool_]]] = {
        "both": (residuals[0], both), "first": (residuals[0], raised[0] & ~both),
        "second": (residuals[1], raised[1] & ~both),
    }  # fmt: skip
    return Comparison(
        one, other, part, len(first), int(first.y.sum()), budget,
        [_measure(name, pair, rule.confidence) for name, pair in drawn.items()],
        _slices(parts, raised, residuals, rule.confidence), _alarms(parts, raised),
        {who: rest.share(first.y, of, rule.confidence) for who, (rest, of) in kinds.items()},
    )  # fmt: skip


def _measure(name: str, pair: Sequence[Resampled], confidence: float) -> Measure:
    one, other = pair
    (contrast,) = simultaneous_contrasts([mean_difference([one], [other])], confidence)
    return Measure(name, one.proportion(confidence), other.proportion(confidence), contrast)


def _alarms(parts: list[Predictions], raised: list[NDArray[np.bool_]]) -> pl.DataFrame:
    """Units on which an alarm is raised."""
    first = parts[0]
    who = np.where(raised[0] & raised[1], "both", np.where(raised[0], "first", "second"))
    known = [name for name in ("id", "time", "group", "y") if name in first]
    ranks = {
        f"rank_{name}": p.frame["score"].rank("min", descending=True).cast(pl.Int64)
        for name, p in zip(("first", "second"), parts, strict=True)
    }
    table = first.frame.select(known).with_columns(raised=pl.Series(who), **ranks)
    return table.filter(pl.Series(raised[0] | raised[1]))


def _as_text(name: str, table: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.String)] if name in table.columns else []


# ------------------------------------------------------------------------------- where they differ


def _slices(
    parts: list[Predictions], raised: list[NDArray[np.bool_]], residuals: list[Residuals],
    confidence: float,
) -> list[SliceDifference]:  # fmt: skip
    """Both runs on the units of every period, of every group, of every value of a text column."""
    return [
        one
        for of, values in _keys(parts[0])
        for one in _of_kind(of, values, parts, raised, residuals, confidence)
    ]


def _keys(part: Predictions) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """What units may share, and its value for each, (n,)."""
    if part.time is not None:
        days = part.time.astype("datetime64[D]")
        short = int((days.max() - days.min()).astype(int)) <= MONTHLY
        unit, name = ("datetime64[M]", "month") if short else ("datetime64[Y]", "year")
        yield name, days.astype(unit).astype(np.str_)
    if part.group is not None:
        yield "group", part.group
    for name, kind in part.frame.schema.items():
        if name not in COLUMNS and kind == pl.String:
            yield name, part.column(name).astype(np.str_)


def _of_kind(
    of: str, values: NDArray[np.str_], parts: list[Predictions], raised: list[NDArray[np.bool_]],
    residuals: list[Residuals], confidence: float,
) -> list[SliceDifference]:  # fmt: skip
    names, counts = np.unique(values, return_counts=True)
    blocks = residuals[0].blocks
    if len(names) < 2:
        return []
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_SLICES])
    inside = {str(names[i]): values == names[i] for i in kept}
    pairs = {name: _pair(parts, one, blocks) for name, one in inside.items()}
    estimable = [pair for pair in pairs.values() if pair]
    level = 1 - (1 - confidence) / max(1, len(estimable))
    y = parts[0].y

    def base_rate(one: NDArray[np.bool_]) -> Estimate:
        return of_share(y, one, blocks).estimate(int(y[one].sum()), int(one.sum()), confidence)

    def precision(one: NDArray[np.bool_], model: int) -> Estimate:
        return residuals[model].share(y, one & raised[model], confidence)

    return [
        SliceDifference(
            of, name, base_rate(one), *_values(pairs[name]),
            _contrast(pairs[name], level, len(estimable)), (precision(one, 0), precision(one, 1)),
        )
        for name, one in inside.items()
    ]  # fmt: skip


def _pair(parts: list[Predictions], inside: NDArray[np.bool_], blocks: Blocks) -> list[Resampled]:
    """AUC of both on some units with joint draws; nothing if a class is too rare.

    Units that fill fewer than five blocks have no draws: these would say nothing about chance.
    """
    y = parts[0].y
    if too_few(y[inside]):
        return []
    return masked_auc_draws(y, [part.score for part in parts], inside, blocks)


def _values(pair: list[Resampled]) -> tuple[float | None, float | None]:
    return (pair[0].value, pair[1].value) if pair else (None, None)


def _contrast(pair: list[Resampled], level: float, companions: int) -> Contrast | None:
    """Difference inside a slice, after Bonferroni for its companions."""
    if not pair:
        return None
    (result,) = simultaneous_contrasts([mean_difference(pair[:1], pair[1:])], level)
    adjusted = result.simultaneous.with_candidates(companions)
    return Contrast(result.pointwise, adjusted)
