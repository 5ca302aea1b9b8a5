"""What a bundle says of new bars or rows: score, probability, alarm, and what is odd about them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.format import Bundle, Member, open_bundle
from trueness.bundle.log import PREDICTION, append, differing, read_log
from trueness.bundle.oddities import Odd, check_sources, of_data, of_rows
from trueness.bundle.opened import Opened, own_measures
from trueness.bundle.promise import Promise, probability_of
from trueness.document import Cell, Column, Document, Items, Sentence, Style, Table
from trueness.document.numbers import count, percent, plural, share
from trueness.errors import TruenessError
from trueness.examples import Examples
from trueness.frames import as_series
from trueness.judge.judgement import SCHEMA
from trueness.tasks import task_of

if TYPE_CHECKING:
    from trueness.bundle.classifying import TitlesPredictor

Array = NDArray[np.float64]
ALARM, NO_ALARM, ABSTAINS = "alarm", "no alarm", "abstains"
ROWS_SHOWN = 40


@dataclass(frozen=True)
class Predicted:
    """Answers of a bundle, a row per unit, the oldest first.

    Attributes
    ----------
    bundle : Bundle
    promise : Promise
    frame : polars.DataFrame
        Columns id, time and group where there are some, score, probability, calibrated (null
        without a map), answer (alarm, no alarm, abstains), odd (what is unusual about the row).
    notes : tuple of str
        What is odd about the data as a whole.
    numbered : bool
        Ids are numbers of rows in the data.
    """

    bundle: Bundle
    promise: Promise
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    numbered: bool = False

    @property
    def alarms(self) -> int:
        """Rows with an alarm."""
        return int((self.frame["answer"] == ALARM).sum())

    def written_down(self) -> int:
        """Write answers into the log of the bundle that it does not have; how many.

        Raises
        ------
        StoreError
            See `trueness.bundle.log.append`.
        """
        return append(self.bundle, PREDICTION, self._lines(), numbered=self.numbered)

    def logged(self) -> Predicted:
        """The same, written down, with a note on rows that the log answers otherwise.

        Raises
        ------
        StoreError
            See `trueness.bundle.log.append`.
        """
        self.written_down()
        other = differing(read_log(self.bundle), self._lines())
        note = (f"{plural(len(other), 'row')} answered otherwise before, the first {other[0]}; the "
                "log keeps what was said then") if other else ""  # fmt: skip
        return replace(self, notes=(*self.notes, note)) if note else self

    def _lines(self) -> list[dict[str, Any]]:
        frame = self.frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String))
        return frame.drop("probability").to_dicts()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        frame = self.frame
        frame = frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String))
        return {
            "schema": SCHEMA, "kind": "predictions", "bundle": str(self.bundle.folder),
            "key": self.bundle.description["key"], "name": self.bundle.name,
            "threshold": self.promise.threshold.to_dict(), "notes": list(self.notes),
            "rows": frame.to_dicts(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per unit."""
        return self.frame

    def document(self) -> Document:
        """The latest answer first, then a table of all."""
        one = self.promise.threshold
        facts = [
            f"Precision out of fold: {self.promise.expectation} ({one.certificate}); recall "
            f"{share(one.recall)}; base rate {share(self.promise.base_rate, counts=False)}",
            *self._before_new_bars(),
            *self.notes,
        ]
        return Document(
            f"Predictions of {self.bundle.name}",
            [Sentence(self._headline(), "verdict"), Items(facts), self._table()],
        )

    def _headline(self) -> str:
        if not len(self.frame):
            return "No row to predict."
        last = self.frame.row(-1, named=True)
        when = last.get("time", last["id"])
        at = self.frame.filter(pl.col("time") == when) if "time" in last else self.frame.tail(1)
        if "group" in last and len(at) > 1:
            raised = [str(g) for g in at.filter(pl.col("answer") == ALARM)["group"]]
            answer = f"alarm for {', '.join(raised)}" if raised else "no alarm"
            return f"{when}: {answer}{self._caution}."
        rest = len(self.frame) - 1
        more = f"; {plural(self.alarms, 'alarm')} in {plural(rest + 1, 'row')}" if rest else ""
        return f"{when}: {last['answer']}{_probability(last)}{more}{self._caution}."

    @property
    def _caution(self) -> str:
        """In brackets, what has to be known of the promise before an alarm is believed."""
        caution, promised = self.promise.caution, percent(self.promise.promised)
        return f" (promised precision {promised} %: {caution})" if caution else ""

    def _before_new_bars(self) -> list[str]:
        """Why bars are answered that the data of the fit had already."""
        if self.bundle.task != "market":
            return []
        until, as_of = (self.bundle.description[part][name]
                        for part, name in (("refit", "until"), ("data", "as_of")))  # fmt: skip
        time = self.frame["time"].to_numpy()
        n = int(((time > np.datetime64(until)) & (time <= np.datetime64(as_of))).sum())
        ahead = plural(self.bundle.description["horizon"], "bar")
        rows = plural(n, "row is", "rows are")
        return [f"{rows} of bars that the fit could not use: their labels, {ahead} ahead, were not "
                "known yet"] * bool(n)  # fmt: skip

    def _table(self) -> Table:
        shown = self.frame.tail(ROWS_SHOWN)
        timed = "time" in shown.columns
        names = [n for n in ("time", "group") if n in shown.columns] if timed else ["id"]
        columns = [Column(name, "code", 9) for name in names]
        columns += [Column("answer", weight=9), Column("score", "number", 6),
                    Column("probability", "number", 4),
                    Column("calibrated\nprobability", "number", 8),
                    Column("odd", weight=5)]  # fmt: skip
        cells: list[list[Cell]] = [
            [*(str(row[name]) for name in names), row["answer"], row["score"], row["probability"],
             row["calibrated"], row["odd"] or None]
            for row in shown.iter_rows(named=True)
        ]  # fmt: skip
        styles: list[Style] = [
            "leader" if row == ALARM else "muted" if row == ABSTAINS else ""
            for row in shown["answer"]
        ]
        kept = [i for i in range(len(columns)) if any(row[i] is not None for row in cells)]
        more = len(self.frame) - len(shown)
        note = f"The latest {ROWS_SHOWN} of {count(len(self.frame))} rows." if more else ""
        return Table([columns[i] for i in kept], [[row[i] for i in kept] for row in cells],
                     note=note, styles=styles)  # fmt: skip


def _probability(row: Mapping[str, Any]) -> str:
    p = row["calibrated"]
    return "" if p is None else f", with a probability of the event of {percent(p)} %"


@dataclass(frozen=True)
class Predictor:
    """A bundle whose files were read: it answers again and again.

    Attributes
    ----------
    bundle : Bundle
    base_folder : Path
        Folder of own files.
    """

    bundle: Bundle
    base_folder: Path = field(default_factory=Path)

    @cached_property
    def opened(self) -> list[Opened]:
        """Members with their files."""
        return [Opened.of(self.bundle, member) for member in self.bundle.members]

    @cached_property
    def promise(self) -> Promise:
        """What was learnt out of fold."""
        return Promise.from_dict(self.bundle.description["promise"])

    def load(self, sources: Mapping[str, Any]) -> Any:  # noqa: ANN401 - Data of the task
        """Data of the bundle's task: `data`; `vix` and `features` of bars, `id_column` of tables.

        Raises
        ------
        TruenessError
            With code ``no_source`` for a source that the task does not take.
        """
        task = task_of(self.bundle.task)
        present = {name: value for name, value in sources.items() if value is not None}
        taken = {*task.sources.values(), *(("id_column",) * task.tabular)}
        check_sources(self.bundle.task, present, taken)
        return task.load({**present, "base_folder": self.base_folder, "labels": self._labels()})

    def load_if_given(self, sources: Mapping[str, Any]) -> Any:  # noqa: ANN401 - Data or None
        """The same; None without `data`, which nothing else may be given without.

        Raises
        ------
        TruenessError
            With code ``no_data``.
        """
        if sources.get("data") is not None:
            return self.load(sources)
        if other := [name for name, value in sources.items() if value is not None]:
            raise TruenessError(f"--{other[0]} goes with --data, which is not given", "no_data")
        return None

    def _labels(self) -> set[str]:
        targets = (getattr(m.spec.task, "target", None) for m in self.bundle.members)
        names = {getattr(target, "column", None) for target in targets}
        return {name for name in names if name is not None}

    def predict(
        self, data: Any, since: np.datetime64 | None = None, top: int = 1  # noqa: ANN401
    ) -> Predicted:  # fmt: skip
        """Answers for data of the bundle's task.

        Parameters
        ----------
        data, since
            As `load` gives them; the first time that is answered, by default the first new one.
        top : int
            Of texts alone.

        Raises
        ------
        TruenessError
            With the codes ``other_series``, ``other_spacing``, ``old_data``, ``missing_column``,
            ``other_kind``, ``top``.
        """
        if top != 1:
            raise TruenessError("a binary label has no further classes; leave out top", "top")
        notes = of_data(self.bundle, data)
        prepared = self.examples(data, since)
        logits = [
            one.logits(prepared[rows_key(one.member)], self.base_folder) for one in self.opened
        ]
        asked = prepared[rows_key(self.opened[0].member)]
        frame = self._frame(asked, logits)
        silence = self.promise.silence(frame["score"].to_numpy())
        notes = (*notes, *asked.notes, *([silence] if silence else []))
        numbered = self.bundle.task == "table" and data.id_column is None
        return Predicted(self.bundle, self.promise, frame, notes, numbered)

    def examples(self, data: Any, since: np.datetime64 | None = None) -> dict[str, Examples]:  # noqa: ANN401
        """What the members read of data, by `rows_key`: the same units, in one order.

        Parameters
        ----------
        data, since
            As of `predict`, which raises the same.
        """
        _check_given(self.bundle, data)
        task, result = task_of(self.bundle.task), dict[str, Examples]()
        for one in self.opened:
            key = rows_key(one.member)
            if key in result:
                continue
            with own_measures(self.bundle):
                made = task.unseen(one.member.spec, data, one.member.prepared, one.files)
            result[key] = self._asked(_checked(made, one.member), since)
            first = next(iter(result.values()))
            if not np.array_equal(first.columns()["id"], result[key].columns()["id"]):
                raise TruenessError(
                    "the models of this ensemble read different rows; give a longer history",
                    "different_units",
                )
        return result

    def _asked(self, examples: Examples, since: np.datetime64 | None) -> Examples:
        """Rows that are answered: from a time on, or those that no model was fitted on."""
        if examples.when is None and since is not None:
            raise TruenessError("the rows have no time, so that none is the first to be answered; "
                                "leave out since", "since")  # fmt: skip
        if examples.when is None or (since is None and self.bundle.task != "market"):
            return examples
        until = np.datetime64(self.bundle.description["refit"]["until"])
        wanted = examples.when > until if since is None else examples.when >= since
        if not wanted.any():
            from_ = str(since).removesuffix("T00:00:00.000000")
            after = f"after {until}" if since is None else f"from {from_} on"
            earlier = "; --since DATE answers for earlier times, which the model was fitted on"
            lost = next((note for note in examples.notes[::-1] if "refused" in note), "")
            raise TruenessError(
                f"no row {after}: the last that can be answered is {examples.when.max()}"
                + f" ({lost})" * bool(lost) + earlier * (since is None), "old_data",
            )  # fmt: skip
        return examples.only(np.flatnonzero(wanted))

    def _frame(self, examples: Examples, logits: list[Array]) -> pl.DataFrame:
        score = mean_logit(logits)
        odd = of_rows(self.bundle, examples)
        raised = np.where(score >= self.promise.threshold.score, ALARM, NO_ALARM)
        answer = np.where([one.abstains for one in odd], ABSTAINS, raised)
        calibrated = self.promise.calibrated(score)
        columns = {n: v for n, v in examples.columns().items() if n in ("id", "time", "group")}
        frame = pl.DataFrame([
            *(as_series(name, values) for name, values in columns.items()),
            pl.Series("score", score), pl.Series("probability", probability_of(score)),
            pl.Series("calibrated", [None] * len(score) if calibrated is None else calibrated,
                      dtype=pl.Float64),
            pl.Series("answer", answer.tolist(), dtype=pl.String),
            pl.Series("odd", [one.words for one in odd], dtype=pl.String),
        ])  # fmt: skip
        return frame.sort("time", maintain_order=True) if "time" in columns else frame


def mean_logit(logits: Sequence[NDArray[Any]]) -> Array:
    """Mean of the members' logits (N,), in the 32 bits in which scores of runs are stored.

    A threshold is one of those: a vote that equals it must not lie below it by rounding.
    """
    stored = [np.asarray(one, np.float32).astype(np.float64) for one in logits]
    return np.mean(stored, axis=0).astype(np.float32).astype(np.float64)


def rows_key(member: Member) -> str:
    """Equal for members that read the same rows of the same data."""
    return f"{member.spec.task.model_dump_json()} {member.prepared}"


def _check_given(bundle: Bundle, data: Any) -> None:  # noqa: ANN401 - Data of the task
    """Refuse bars without what else the columns of the model are made from."""
    for field_, part, what, option in (
        ("volatility", "volatility", "a volatility index", "vix"),
        ("features", "own", "own features", "features"),
    ):
        reads = any(getattr(m.spec.task, field_, None) is not None for m in bundle.members)
        if reads and getattr(data, part) is None:
            raise TruenessError(f"the model reads {what}, which --{option} gives", "no_source")


def _checked(examples: Examples, member: Member) -> Examples:
    """Refuse rows with other columns than the model was fitted on."""
    if examples.features != member.features:
        lacking = [name for name in member.features if name not in examples.features]
        more = [name for name in examples.features if name not in member.features]
        what = f"without {lacking[0]}" if lacking else f"with {more[0]} besides"
        raise TruenessError(f"the data give other columns than the model reads: {what}",
                            "missing_column")  # fmt: skip
    return examples


def time_of(value: object, what: str = "since") -> np.datetime64:
    """Time that a date, a datetime or a text such as 2024-01-31 says; with a zone in UTC.

    Raises
    ------
    TruenessError
        With code ``since``.
    """
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return value
    try:
        text = str(value)
        if not re.match(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        time = datetime.fromisoformat(text)
    except ValueError:
        raise TruenessError(f"{what} {value}: give a date as 2024-01-31", "since") from None
    plain = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(plain)


def load(
    path: str | Path, base_folder: str | Path = "", device: str = "auto"
) -> Predictor | TitlesPredictor:
    """Open a bundle for answering.

    Parameters
    ----------
    path, base_folder : str or Path
        Of the bundle, and of own files.
    device : str
        Of encoders.

    Raises
    ------
    StoreError
        See `open_bundle`.
    """
    bundle = open_bundle(path)
    if bundle.task == "titles":
        from trueness.bundle.classifying import TitlesPredictor

        return TitlesPredictor(bundle, device)
    return Predictor(bundle, Path(base_folder))


__all__ = [
    "ABSTAINS", "ALARM", "NO_ALARM", "Odd", "Predicted", "Predictor", "load", "rows_key", "time_of",
]  # fmt: skip
