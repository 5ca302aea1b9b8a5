"""Returns of the alarms of a run by a declared exit, against all days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Column, Document, Figure, Items, Part, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, plural
from trueness.errors import TruenessError
from trueness.evaluation.influence import linear
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.access import record_access
from trueness.judge.comparison import best_baseline, measured_part
from trueness.judge.finding import find_run, names_of
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_binary, unrecorded_notes
from trueness.market.bars import Bars
from trueness.market.labels import labels_of, touch_level
from trueness.predictions import Predictions
from trueness.spec.target import Touch
from trueness.store import AnyStore, Run
from trueness.tasks import task_of

Array = NDArray[np.float64]
Exit: TypeAlias = Literal["touch", "horizon"]
SHOWN = 30
NO_BACKTEST = (
    "No portfolio backtest: every alarm is one equal position, entered at the close of its day; "
    "overlapping positions, sizes, limits and taxes are left out."
)


@dataclass(frozen=True)
class Payoff:
    """Returns of the alarms of one run, in percent.

    Attributes
    ----------
    name : str
        What the run is called.
    exit : {"touch", "horizon"}
    cost_bps : float
        Cost of a position, there and back, taken off every return.
    models : int
        Candidates that intervals are adjusted for: the run may have been chosen among them.
    alarms : polars.DataFrame
        A row per alarm: id, time, group (of a panel), y, score, return_pct.
    mean, every_day, difference : Estimate
        Mean return of the alarms, of all days, and the first minus the second.
    baseline : str or None
        The best baseline.
    of_baseline, lead : Estimate or None
        Mean return of its alarms, and that of the run minus it.
    prices : dict of str to (times, closes)
        Of each series, for the picture.
    notes : tuple of str
    """

    name: str
    exit: Exit
    cost_bps: float
    models: int
    alarms: pl.DataFrame
    mean: Estimate
    every_day: Estimate
    difference: Estimate
    baseline: str | None
    of_baseline: Estimate | None
    lead: Estimate | None
    prices: Mapping[str, tuple[list[str], list[float]]]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/json.md describes them."""
        estimates = {
            name: None if (e := getattr(self, name)) is None else e.to_dict()
            for name in ("mean", "every_day", "difference", "of_baseline", "lead")
        }
        rows = self.alarms.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String)).to_dicts()
        return {
            "schema": SCHEMA, "kind": "payoff", "name": self.name, "exit": self.exit,
            "cost_bps": self.cost_bps, "models": self.models, **estimates,
            "baseline": self.baseline, "quantiles": self.quantiles, "alarms": rows,
            "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per alarm."""
        return self.alarms

    @property
    def quantiles(self) -> dict[str, float]:
        """Smallest, lower tenth, median, upper tenth and largest return."""
        names = {"min": 0.0, "10%": 0.1, "median": 0.5, "90%": 0.9, "max": 1.0}
        values = np.quantile(self.alarms["return_pct"].to_numpy(), list(names.values()))
        return dict(zip(names, values.tolist(), strict=True))

    def document(self) -> Document:
        """The mean first, then each alarm and the prices."""
        q = {name: decimal(value, 2) for name, value in self.quantiles.items()}
        facts = [
            f"All days {_pct(self.every_day)}; alarms minus all days {_pct(self.difference)}",
            f"Returns from {q['min']} to {q['max']} %, median {q['median']} %, eight of ten "
            f"between {q['10%']} and {q['90%']} %",
        ]
        if self.of_baseline is not None and self.lead is not None:
            facts.insert(1, f"Alarms of {self.baseline}, the best baseline, "
                            f"{_pct(self.of_baseline)}; difference {_pct(self.lead)}")  # fmt: skip
        how = (
            "at the level, else at the last close" if self.exit == "touch" else "at the last close"
        )
        rest = Sentence(
            f"Exit {how} of the horizon; cost {decimal(self.cost_bps, 1)} basis points. "
            f"Intervals of 95 %, adjusted for dependence and for {plural(self.models, 'model')}. "
            f"{NO_BACKTEST}"
        )
        first = Sentence(f"{plural(len(self.alarms), 'alarm')} of {self.name} returned "
                         f"{_pct(self.mean)} on average.", "verdict")  # fmt: skip
        parts: list[Part] = [first, Items([*facts, *self.notes]), rest, *map(_figure_of(self),
                             self.prices), _table(self)]  # fmt: skip
        return Document(f"Returns of the alarms of {self.name}", parts)


def _pct(e: Estimate) -> str:
    return f"{estimate(e, 2, signed=True)} %"


def _figure_of(found: Payoff) -> Any:  # noqa: ANN401 - name of a series -> Figure
    def figure(name: str) -> Figure:
        times, closes = found.prices[name]
        alarms = found.alarms
        if "group" in alarms.columns:
            alarms = alarms.filter(pl.col("group") == name)
        at = dict(zip(times, closes, strict=True))
        data: list[dict[str, Any]] = [
            {"type": "scatter", "mode": "lines", "name": "close", "x": times, "y": closes,
             "line": {"color": "grey", "width": 1}},
        ]  # fmt: skip
        marks = ((1, "hit", "positive", "circle"), (0, "miss", "negative", "x"))
        for y, label, colour, symbol in marks:
            days = alarms.filter(pl.col("y") == y)["time"].cast(pl.String).to_list()
            data.append({"type": "scatter", "mode": "markers", "name": label, "x": days,
                         "y": [at.get(day) for day in days],
                         "marker": {"color": colour, "symbol": symbol, "size": 8}})  # fmt: skip
        return Figure(
            data, {"yaxis": {"title": {"text": "price"}}}, f"{name}: alarms on the price."
        )

    return figure


def _table(found: Payoff) -> Table:
    rows = found.alarms.tail(SHOWN)
    names = [name for name in ("time", "group") if name in rows.columns]
    columns = [*(Column(name, "code", 9) for name in names), Column("hit", weight=8),
               Column("return, %", "number", 9), Column("score", "number", 4)]  # fmt: skip
    cells = [[*(str(row[name]) for name in names), "yes" if row["y"] else "no",
              row["return_pct"], row["score"]] for row in rows.iter_rows(named=True)]  # fmt: skip
    more = len(found.alarms) - len(rows)
    return Table(columns, cells, note=f"The latest {SHOWN} of {count(len(found.alarms))}." if more
                 else "")  # fmt: skip


# ------------------------------------------------------------------------------------ the question


def payoff(
    store: AnyStore, wanted: str, given: Mapping[str, Any], *, exit: Exit = "horizon",
    cost_bps: float = 0.0, access: tuple[str, str] | None = None,
) -> Payoff:  # fmt: skip
    """Returns of the alarms of a run on bars, at its largest alarm budget.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id, key or the beginning of a key.
    given : mapping
        Bars as ``data`` (and ``vix``, ``features``), None where the record's own are meant.
    exit : {"touch", "horizon"}
        ``touch``: at the level that the target asks for, on the day that reaches it, else at the
        last close of the horizon; of a target that is touched alone. ``horizon``: at the last close
        of the horizon.
    cost_bps : float
        There and back, in basis points.
    access : tuple of str, optional
        Verb and question for the ledger.

    Raises
    ------
    TruenessError
        With code ``not_bars`` for runs on something else, ``exit`` for a target that no level is
        touched of, ``other_data`` for other bars, ``cost``.
    """
    run, _ = find_run(store, wanted)
    check_binary(run, "payoffs are")
    if run.spec.task.kind != "market":
        raise TruenessError(f"{wanted} is no run on bars, so its alarms have no return", "not_bars")
    if not 0 <= cost_bps <= 10_000:
        raise TruenessError(f"a cost of {cost_bps:g} basis points; give 0 to 10,000", "cost")
    if exit == "touch" and not isinstance(run.spec.task.target, Touch):
        raise TruenessError(f"{run.spec.task.question()}: no level is touched; take --exit horizon",
                            "exit")  # fmt: skip
    data = _bars_of(run, given)
    part, group = measured_part(run), run.record["comparison_group"]
    every = [one for one in store.all_runs()[0] if one.record["comparison_group"] == group]
    notes = unrecorded_notes(record_access(store, [run], *access)) if access else ()
    best = best_baseline([one for one in every if one.key != run.key])
    models = len({one.candidate for one in every if not one.spec.is_baseline})
    returns = _returns(run, part, data, exit) - cost_bps / 100
    if np.isnan(returns).any():
        raise TruenessError("the bars lack days that the run was measured on; give those of the "
                            "run, or longer ones", "other_data")  # fmt: skip
    return _judged(store, run, part, returns, best, max(1, models), data, exit, cost_bps, notes)


def _bars_of(run: Run, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - MarketData
    recorded, task = run.record["data"], task_of("market")
    asked = {name: value for name, value in given.items() if value is not None}
    data = task.load({"data": recorded["name"], **asked})
    (before,) = task.earlier([run])
    if data.digest != recorded["digest"] and (why := before.why_not(data)):
        raise TruenessError(f"{data.in_words()} are not the bars of the run: {why}", "other_data")
    return data


def _returns(run: Run, part: Predictions, data: Any, exit: Exit) -> Array:  # noqa: ANN401
    """Return in percent of a position from each unit's close on, (n,); NaN without its bars."""
    found = np.full(len(part), np.nan)
    assert part.time is not None
    for bars in data.panel:
        mine = np.ones(len(part), bool) if part.group is None else part.group == bars.name
        each = series_returns(bars, run.spec.task, exit)
        at = np.searchsorted(bars.dates, part.time[mine].astype(bars.dates.dtype))
        at = at.clip(max=len(bars) - 1)
        there = bars.dates[at] == part.time[mine].astype(bars.dates.dtype)
        found[mine] = np.where(there, each[at], np.nan)
    return found


def series_returns(bars: Bars, task: Any, exit: Exit) -> Array:  # noqa: ANN401
    """Return in percent of a position entered at each close, (T,); NaN for the last bars.

    The position is in the direction of the event: short where it is a fall.
    """
    adjusted, h = bars.adjusted(), task.horizon
    close, n = adjusted.close, len(bars) - task.horizon
    target = task.target
    side = -1.0 if isinstance(target, Touch) and target.size < 0 else 1.0
    found = np.full(len(bars), np.nan)
    found[:n] = close[h:] / close[:n] - 1
    if exit == "touch":
        prices = adjusted.high, adjusted.low, close
        touched = labels_of(target, *prices, h)[:n] == 1
        level = touch_level(target, *prices, h)
        found[:n] = np.where(touched, level / close[:n] - 1, found[:n])
    return 100 * side * found


def _judged(
    store: AnyStore, run: Run, part: Predictions, returns: Array, best: Run | None, models: int,
    data: Any, exit: Exit, cost_bps: float, notes: Sequence[str],  # noqa: ANN401
) -> Payoff:  # fmt: skip
    rule = run.estimands
    blocks, level = part.blocks(rule.block), 1 - (1 - rule.confidence) / models
    raised = part.score > alarm_cut(part.score, rule.budget)
    if not raised.any():
        raise TruenessError(f"{run.key}: its scores are tied, so it raises no alarm", "no_alarms")
    own, of_all = _mean(returns, raised), _mean(returns, np.ones(len(part), bool))

    def estimated(one: tuple[float, Array], minus: tuple[float, Array] | None = None) -> Estimate:
        value, influence = one
        if minus is not None:
            value, influence = value - minus[0], influence - minus[1]
        return linear(value, influence, blocks).estimate(level).chosen_among(models)

    other, called = None, None
    if best is not None:
        score = measured_part(best).score
        mask = score > alarm_cut(score, rule.budget)
        other = _mean(returns, mask) if mask.any() else None
        called = " = ".join(names_of(store, best)) or best.key
    columns = [name for name in ("id", "time", "group", "y", "score") if name in part]
    alarms = part.frame.select(columns).with_columns(return_pct=pl.Series(returns))
    return Payoff(
        " = ".join(names_of(store, run)) or run.key, exit, cost_bps, models,
        alarms.filter(pl.Series(raised)), estimated(own), estimated(of_all),
        estimated(own, of_all), called if other else None, estimated(other) if other else None,
        estimated(own, other) if other else None, _prices(data, part), tuple(notes),
    )  # fmt: skip


def _mean(returns: Array, among: NDArray[np.bool_]) -> tuple[float, Array]:
    """Mean return of some units, and what it owes to each of all, (n,)."""
    mean = float(returns[among].mean())
    return mean, np.where(among, returns - mean, 0.0) / among.sum()


def _prices(data: Any, part: Predictions) -> dict[str, tuple[list[str], list[float]]]:  # noqa: ANN401
    """Closes of each series over the measured times."""
    assert part.time is not None
    first, last, found = part.time.min(), part.time.max(), {}
    for bars in data.panel:
        inside = (bars.dates >= first) & (bars.dates <= last)
        times = [str(time) for time in bars.dates[inside]]
        found[bars.name] = times, bars.adjusted().close[inside].tolist()
    return found
