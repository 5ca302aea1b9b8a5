"""Returns of the alarms of a run, or of a bundle in use, by a declared exit, against all days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.alarms import (
    OUTCOMES,
    Answered,
    Source,
    find_bundle,
    of_bundle,
    of_run,
    raised_by,
)
from trueness.bundle.finalizing import data_of_run, has_same_inputs
from trueness.bundle.format import Bundle
from trueness.bundle.oddities import of_data, unread
from trueness.bundle.predicting import Predictor
from trueness.bundle.returns import Exit, check_exit, returns_of
from trueness.document import Column, Document, Figure, Items, Part, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, plural
from trueness.errors import TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.means import LEAST, Mean, masked_mean
from trueness.judge.access import record_access
from trueness.judge.alarm_series import periods
from trueness.judge.comparison import best_baseline, measured_part
from trueness.judge.finding import name_of, named_run
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_binary, unrecorded_notes
from trueness.market.labels import UNDEFINED
from trueness.store import AnyStore, Run
from trueness.tasks import task_of

Array = NDArray[np.float64]
SHOWN = 30
MOST_BINS = 40
MARKS: dict[str, tuple[int | None, str, str]] = {
    "hit": (1, "positive", "circle"),
    "miss": (0, "negative", "x"),
    "unknown": (None, "grey", "circle-open"),
}
"""Outcome -> label, colour and symbol."""
NO_BACKTEST = (
    "No portfolio backtest: every alarm is one equal position, entered at the close of its day; "
    "overlapping positions, sizes, limits and taxes are left out."
)


@dataclass(frozen=True)
class Setting:
    """What was asked, and what it is held against.

    Attributes
    ----------
    exit : {"touch", "horizon"}
    cost_bps : float
        Cost of a position, there and back, taken off every return.
    models : int
        Candidates that intervals are adjusted for: a run may have been chosen among them; 1 of a
        bundle, which was chosen before it was asked.
    baseline : (str, (n,) bool) or None
        Name of the best baseline, and its alarms.
    """

    exit: Exit
    cost_bps: float
    models: int
    baseline: tuple[str, NDArray[np.bool_]] | None


@dataclass(frozen=True)
class Payoff:
    """Returns of the alarms of one run, or of a bundle, in percent.

    Attributes
    ----------
    name : str
        What the run is called.
    source : {"run", "bundle"}
    setting : Setting
    alarms : polars.DataFrame
        A row per alarm: id, time, group (of a panel), fold (of a run), y, score, return_pct.
    mean, every_day, difference : Estimate
        Mean return of the alarms, of all days, and the first minus the second.
    of_baseline, lead : Estimate or None
        Mean return of the alarms of the best baseline, and that of the run minus it.
    prices : mapping of str to (times, closes)
        Of each series, for the picture.
    notes : tuple of str
    marks : mapping
        Layout of the picture: folds of a run, and where its sealed parts lie.
    """

    name: str
    source: Source
    setting: Setting
    alarms: pl.DataFrame
    mean: Estimate
    every_day: Estimate
    difference: Estimate
    of_baseline: Estimate | None
    lead: Estimate | None
    prices: Mapping[str, tuple[list[str], list[float]]]
    notes: tuple[str, ...] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        estimates = {
            name: None if (e := getattr(self, name)) is None else e.to_dict()
            for name in ("mean", "every_day", "difference", "of_baseline", "lead")
        }
        rows = self.alarms.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String)).to_dicts()
        return {
            "schema": SCHEMA, "kind": "payoff", "name": self.name, "source": self.source,
            "exit": self.setting.exit, "cost_bps": self.setting.cost_bps,
            "models": self.setting.models, **estimates, "baseline": self.baseline,
            "quantiles": self.quantiles, "alarms": rows, "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per alarm."""
        return self.alarms

    @property
    def baseline(self) -> str | None:
        """The best baseline."""
        return None if self.setting.baseline is None else self.setting.baseline[0]

    @property
    def quantiles(self) -> dict[str, float]:
        """Smallest, lower tenth, median, upper tenth and largest return."""
        names = {"min": 0.0, "10%": 0.1, "median": 0.5, "90%": 0.9, "max": 1.0}
        values = np.quantile(self.alarms["return_pct"].to_numpy(), list(names.values()))
        return dict(zip(names, values.tolist(), strict=True))

    def document(self) -> Document:
        """The mean first, then each alarm and the prices."""
        q = {name: decimal(value, 2) for name, value in self.quantiles.items()}
        where = "All days" if self.source == "run" else "All days of its log"
        facts = [
            f"{where} {_pct(self.every_day)}; alarms minus all days {_pct(self.difference)}",
            f"Returns from {q['min']} to {q['max']} %, median {q['median']} %, eight of ten "
            f"between {q['10%']} and {q['90%']} %",
        ]
        if self.of_baseline is not None and self.lead is not None:
            facts.insert(1, f"Alarms of {self.baseline}, the best baseline, "
                            f"{_pct(self.of_baseline)}; difference {_pct(self.lead)}")  # fmt: skip
        first = Sentence(f"{plural(len(self.alarms), 'alarm')} of {self.name} returned "
                         f"{_pct(self.mean)} on average.", "verdict")  # fmt: skip
        figures = [_distribution(self), *map(_figure_of(self), self.prices)]
        parts: list[Part] = [first, Items([*facts, *self.notes]), Sentence(self._how()), *figures,
                             _table(self)]  # fmt: skip
        return Document(f"Returns of the alarms of {self.name}", parts)

    def _how(self) -> str:
        asked = self.setting
        at = "at the level, else " * (asked.exit == "touch") + "at the last close"
        choice = f" and for {plural(asked.models, 'model')}" if self.source == "run" else (
            "; the model was chosen before these answers"
        )  # fmt: skip
        shown = (self.mean, self.every_day, self.difference, self.of_baseline, self.lead)
        bounds = f"Intervals of 95 %, adjusted for dependence{choice}. " * any(
            one is not None and one.low is not None for one in shown
        )
        return (
            f"Exit {at} of the horizon; cost {decimal(asked.cost_bps, 1)} basis points. "
            f"{bounds}{NO_BACKTEST}"
        )


def _pct(e: Estimate) -> str:
    return f"{estimate(e, 2, signed=True)} %"


def _distribution(result: Payoff) -> Figure:
    """Alarms by their return, hits and misses one above the other."""
    returns = result.alarms["return_pct"].to_numpy()
    edges = np.histogram_bin_edges(returns, min(MOST_BINS, max(5, round(2 * len(returns) ** 0.5))))
    x = ((edges[1:] + edges[:-1]) / 2).tolist()
    data: list[dict[str, Any]] = []
    for label, (y, colour, _) in MARKS.items():
        some = result.alarms.filter(pl.col("y").eq_missing(y))["return_pct"].to_numpy()
        if y is not None or len(some):
            data.append({"type": "bar", "name": label, "x": x, "marker": {"color": colour},
                         "y": np.histogram(some, edges)[0].tolist()})  # fmt: skip
    layout = {"barmode": "stack", "xaxis": {"title": {"text": "return, %"}},
              "yaxis": {"title": {"text": "alarms"}}}  # fmt: skip
    return Figure(data, layout, "Returns of the alarms, one by one.")


def _figure_of(result: Payoff) -> Any:  # noqa: ANN401 - name of a series -> Figure
    def figure(name: str) -> Figure:
        times, closes = result.prices[name]
        alarms = result.alarms
        if "group" in alarms.columns:
            alarms = alarms.filter(pl.col("group") == name)
        at = dict(zip(times, closes, strict=True))
        data: list[dict[str, Any]] = [
            {"type": "scatter", "mode": "lines", "name": "close", "x": times, "y": closes,
             "line": {"color": "grey", "width": 1}},
        ]  # fmt: skip
        for label, (y, colour, symbol) in MARKS.items():
            days = _texts(alarms.filter(pl.col("y").eq_missing(y))["time"].to_numpy())
            if y is None and not days:
                continue
            data.append({"type": "scatter", "mode": "markers", "name": label, "x": days,
                         "y": [at.get(day) for day in days],
                         "marker": {"color": colour, "symbol": symbol, "size": 8}})  # fmt: skip
        note = "; shades tell folds apart and mark sealed parts" * bool(result.marks.get("shapes"))
        layout = {"yaxis": {"title": {"text": "price"}}, **result.marks}
        return Figure(data, layout, f"{name}: alarms on the price{note}.")

    return figure


def _table(result: Payoff) -> Table:
    rows = result.alarms.tail(SHOWN)
    names = [name for name in ("time", "group") if name in rows.columns]
    columns = [*(Column(name, "code", 9) for name in names), Column("outcome", weight=8),
               Column("return, %", "number", 9), Column("score", "number", 4)]  # fmt: skip
    cells = [[*(str(row[name]) for name in names), OUTCOMES[row["y"]],
              row["return_pct"], row["score"]] for row in rows.iter_rows(named=True)]  # fmt: skip
    more = len(result.alarms) - len(rows)
    return Table(columns, cells, note=f"The latest {SHOWN} of {count(len(result.alarms))}." if more
                 else "")  # fmt: skip


# ------------------------------------------------------------------------------------ the question


def payoff(
    store: AnyStore, wanted: str, sources: Mapping[str, Any], *, exit: Exit = "horizon",
    cost_bps: float = 0.0, access: tuple[str, str] | None = None,
) -> Payoff:  # fmt: skip
    """Returns of the alarms of a run on bars, at its largest alarm budget, or of a bundle's log.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id, key or the beginning of a key; or the folder of a bundle.
    sources : mapping
        Bars as ``data`` (and ``vix``, ``features``), None where the record's own are meant.
    exit : {"touch", "horizon"}
        ``touch``: at the level that the target asks for, on the day that reaches it, else at the
        last close of the horizon; of a target that is touched alone. ``horizon``: at the last close
        of the horizon.
    cost_bps : float
        There and back, in basis points.
    access : tuple of str, optional
        Verb and question for the ledger, of a run.

    Raises
    ------
    TruenessError
        With code ``not_bars`` for runs on something else, ``exit`` for a target that no level is
        touched of, ``other_data`` for other bars, ``cost``, ``open`` where no alarm of a bundle has
        a whole horizon, and those of `trueness.bundle.alarms`.
    """
    if not 0 <= cost_bps <= 10_000:
        raise TruenessError(f"a cost of {cost_bps:g} basis points; give 0 to 10,000", "cost")
    bundle = find_bundle(store, wanted)
    if bundle is not None:
        return _of_bundle(bundle, sources, exit, cost_bps)
    name, run = named_run(store, wanted)
    check_binary(run, "payoffs are")
    _check_bars(wanted, run.spec.task.kind)
    check_exit(run.spec.task, exit)
    data = _bars_of(run, name, sources)
    answered = of_run(name, run)
    returns, _ = returns_of(answered, run.spec.task, data.panel, exit)
    if np.isnan(returns).any():
        raise TruenessError("the bars end before the run was measured; give those of the run, or "
                            "longer ones", "other_data")  # fmt: skip
    group = run.record["comparison_group"]
    every = [one for one in store.all_runs()[0] if one.record["comparison_group"] == group]
    notes = unread([run.spec.task], sources)
    notes += unrecorded_notes(record_access(store, [run], *access)) if access else ()
    best = best_baseline([one for one in every if one.key != run.key])
    models = len({one.candidate for one in every if not one.spec.is_baseline})
    other = None if best is None else _of_baseline(store, best, run)
    if best is not None and other is None:
        notes.append(f"{name_of(store, best)}, the best baseline, ties its scores and raises no "
                     "alarm")  # fmt: skip
    result = Setting(exit, cost_bps, max(1, models), other)
    evaluation = _evaluate(answered, returns - cost_bps / 100, data.panel, result, notes)
    return replace(evaluation, marks=periods(run))


def _of_bundle(bundle: Bundle, sources: Mapping[str, Any], exit: Exit, cost_bps: float) -> Payoff:
    """Returns of what a bundle said in use; its model was chosen before."""
    _check_bars(str(bundle.folder), bundle.task)
    predictor = Predictor(bundle)
    task = bundle.members[0].spec.task
    check_exit(task, exit)
    data = predictor.load(_sources_of(bundle, sources))
    notes = list(of_data(bundle, data))
    answered = of_bundle(bundle)
    if not answered.raised.any():
        raise TruenessError(f"{bundle.folder}: {plural(len(answered.frame), 'answer')}, and no "
                            "alarm among them", "no_alarms")  # fmt: skip
    returns, labels = returns_of(answered, task, data.panel, exit)
    over = ~np.isnan(returns)
    if not (over & answered.raised).any():
        raise TruenessError(f"{bundle.folder}: no alarm has a whole horizon in the bars, which end "
                            f"{data.panel.last}; give longer ones as --data", "open")  # fmt: skip
    if lost := int((~over).sum()):
        open_ = plural(int((~over & answered.raised).sum()), "alarm")
        notes.append(f"left out: {plural(lost, 'answer')} whose horizon is not over, {open_} "
                     "among them")  # fmt: skip
    y = pl.Series(np.where(labels == UNDEFINED, -1, labels.astype(np.int64)))
    y = pl.select(pl.coalesce(answered.frame["y"], y.replace(-1, None))).to_series()
    whole = replace(answered, frame=answered.frame.with_columns(y=y).filter(pl.Series(over)),
                    raised=answered.raised[over])  # fmt: skip
    setting = Setting(exit, cost_bps, 1, None)
    return _evaluate(whole, returns[over] - cost_bps / 100, data.panel, setting, notes)


def _sources_of(bundle: Bundle, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Sources that are given, with the bars that the bundle was fitted on where none are."""
    bars = sources.get("data")
    bars = bundle.description["data"].get("source") if bars is None else bars
    if bars is None:
        raise TruenessError(f"{bundle.folder} was fitted on bars that no file holds; give longer "
                            "ones as --data", "no_data")  # fmt: skip
    return {**sources, "data": bars}


def _check_bars(wanted: str, task: str) -> None:
    if task != "market":
        raise TruenessError(f"{wanted} is not about bars, so its alarms have no return", "not_bars")


def _bars_of(run: Run, name: str, sources: Mapping[str, Any]) -> Any:  # noqa: ANN401 - MarketData
    data = data_of_run(run, name, sources)
    (before,) = task_of("market").earlier([run])
    same = data.digest == run.record["data"]["digest"] and has_same_inputs(run, data)
    if not same and (why := before.why_not(data)):
        raise TruenessError(f"{data.in_words()} are not the bars of the run: {why}", "other_data")
    return data


def _of_baseline(store: AnyStore, best: Run, run: Run) -> tuple[str, NDArray[np.bool_]] | None:
    """The best baseline and its alarms, on the same units; None where its scores are tied."""
    mask = raised_by(measured_part(best), run.estimands.budget)
    return (name_of(store, best), mask) if mask.any() else None


def _evaluate(
    answered: Answered, returns: Array, panel: Any, setting: Setting, notes: Sequence[str]  # noqa: ANN401
) -> Payoff:  # fmt: skip
    blocks = Blocks.of(len(returns), time=answered.time, length=answered.block)
    level = 1 - (1 - answered.confidence) / setting.models
    own, of_all = (
        masked_mean(returns, some, blocks)
        for some in (answered.raised, np.ones(len(returns), bool))
    )
    other = setting.baseline and masked_mean(returns, setting.baseline[1], blocks)

    def estimated(one: Mean) -> Estimate:
        return one.estimate(level).with_candidates(setting.models)

    if own.few:
        notes = [*notes, f"the effective sample size of the alarms is below {LEAST:g}: "
                         "too small for an interval"]  # fmt: skip
    return Payoff(
        answered.name, answered.source, setting,
        answered.frame.with_columns(return_pct=pl.Series(returns))
        .filter(pl.Series(answered.raised)),
        estimated(own), estimated(of_all), estimated(own.minus(of_all)),
        estimated(other) if other else None, estimated(own.minus(other)) if other else None,
        _prices(panel, answered), tuple(notes),
    )  # fmt: skip


def _prices(panel: Any, answered: Answered) -> dict[str, tuple[list[str], list[float]]]:  # noqa: ANN401
    """Closes of each series over the answered times."""
    time = answered.time
    assert time is not None
    result = {}
    for bars in panel:
        inside = (bars.dates >= time.min()) & (bars.dates <= time.max())
        result[bars.name] = _texts(bars.dates[inside]), bars.adjusted().close[inside].tolist()
    return result


def _texts(times: NDArray[np.datetime64]) -> list[str]:
    """Days as 2024-01-31, times to the second."""
    days = times.dtype == np.dtype("datetime64[D]")
    return [str(time) for time in times.astype("datetime64[D]" if days else "datetime64[s]")]
