"""Anybody's scores become runs: measured, checked, stored whole or not at all, and ranked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from trueness.checks import checked, limits_in
from trueness.document.numbers import listed
from trueness.errors import DataError, nearest
from trueness.evaluation.resampling import Resampled
from trueness.evaluation.threads import in_threads
from trueness.judge.comparison import remember
from trueness.judge.leaderboard import Leaderboard, leaderboard
from trueness.judge.measured import measured_many
from trueness.judge.tables import ScoreTable, constant_models
from trueness.predictions import Predictions
from trueness.spec.external import ExternalEvaluation, ExternalSpec, ExternalTask, Scores
from trueness.store import AnyStore, MemoryRun, MemoryStore, Store

HISTORY = {"fold": pl.Int64, "epoch": pl.Int64}
"""Scores that were made elsewhere tell nothing of their training."""
NO_TRAINING = "train"
"""Part that may not be judged: models know its labels."""
DEFAULT_NAME, LONGEST_NAME = "scores", 100


@dataclass(frozen=True)
class JudgedRun:
    """A run before it is stored: its spec, its record, its predictions.

    `auc` is resampled, for comparisons; None for K classes.
    """

    spec: ExternalSpec
    record: dict[str, Any]
    predictions: Predictions
    auc: Resampled | None

    def kept(self) -> MemoryRun[ExternalSpec]:
        """The same as a run that no folder holds."""
        files = {"predictions.parquet": {"sha256": self.spec.model.digest, "bytes": 0}}
        record = {**self.record, "key": self.spec.key, "files": files}
        return MemoryRun(self.spec.key, self.spec, record, Path(), self.predictions.frame)


def judge_table(
    table: ScoreTable, *, baselines: Sequence[str] = (), rule: Mapping[str, Any] | None = None,
    name: str = DEFAULT_NAME, source: str = "", store: AnyStore | None = None,
    rank_by: str | None = None,
) -> Leaderboard:  # fmt: skip
    """Judge models on the same units: the corrected leaderboard of exactly these.

    Parameters
    ----------
    table : ScoreTable
    baselines : sequence of str
        Models that the others have to beat.
    rule : mapping, optional
        Fields of `ExternalEvaluation` that are not at their default.
    name : str
        Campaign under which the models can be found in the store.
    source : str
        Name of the file, for the title.
    store : Store or MemoryStore, optional
        Where the runs are kept; the ledger of a folder counts the access.
    rank_by : str, optional
        Estimate that ranks.

    Returns
    -------
    Leaderboard
        ``title`` is `name`.

    Raises
    ------
    TruenessError
        If the table cannot be judged; then nothing is written.
    """
    check_name(name)
    _check_models(table, baselines)
    kept = MemoryStore() if store is None else store
    limits_in(kept)  # refuses a wrong checks.yaml before anything is written
    evaluation = _evaluation(table, rule or {})
    _check_sizes(table, rule or {})
    specs = specs_of(table, baselines, evaluation)
    keys = {model: spec.key for model, spec in specs.items()}
    distinct = {keys[m]: m for m in reversed(specs)}
    new = {m: specs[m] for m in specs if distinct[keys[m]] == m and keys[m] not in kept}
    fresh = evaluated_runs(table, new, source)
    first = fresh[0] if fresh else kept.run(next(iter(keys.values())))
    _check_estimate(rank_by, first.record)
    keep(kept, fresh, name, keys)
    _forget_other_roles(kept, specs.values())
    campaign = None if isinstance(kept, MemoryStore) else name
    return leaderboard(
        kept, campaign, rank_by=rank_by, keys=set(keys.values()), access=("judge", ""), title=name
    )


def specs_of(
    table: ScoreTable, baselines: Sequence[str], rule: ExternalEvaluation
) -> dict[str, ExternalSpec]:
    """Spec of every model."""
    classes = table.first.classes
    task = ExternalTask(kind="external", units=units_digest(table.first), classes=classes)
    return {
        name: _spec_of(name, one, task, rule, name in baselines)
        for name, one in table.models.items()
    }


def evaluated_runs(
    table: ScoreTable, specs: Mapping[str, ExternalSpec], source: str = ""
) -> list[JudgedRun]:
    """Runs of some models of a table, measured and checked; nothing is written."""
    if not specs:
        return []
    units = next(iter(specs.values())).task.units
    common = {
        "notes": list(table.notes), "seconds": 0.0, "device": "", "precision": "", "parameters": 0,
        "data": {"name": source, "digest": units, "as_of": _last_time(table.first)},
    }  # fmt: skip
    some, every = list(specs.values()), [table.models[name] for name in specs]
    aucs: list[Resampled] = []
    records = measured_many(some, every, aucs)

    def evaluate(place: int) -> JudgedRun:
        spec, predictions = some[place], every[place]
        record = common | records[place]
        checks = checked(spec, record, predictions)
        return JudgedRun(spec, record | checks, predictions, aucs[place] if aucs else None)

    return in_threads(evaluate, range(len(some)))


def _spec_of(
    name: str, predictions: Predictions, task: ExternalTask, rule: ExternalEvaluation,
    baseline: bool,
) -> ExternalSpec:  # fmt: skip
    """Spec of one model by the content of its scores; ``svm@2`` is the second seed of ``svm``."""
    values = predictions.scores if predictions.classes else predictions.score
    digest = hashlib.sha256(np.ascontiguousarray(values, "<f8").tobytes()).hexdigest()[:24]
    seed = name.rpartition("@")[2] if "@" in name else ""
    model = Scores(
        kind="scores", name=name, digest=digest, scale=predictions.scale, baseline=baseline
    )
    return ExternalSpec(
        task=task, model=model, evaluation=rule, seed=int(seed) if seed.isdecimal() else 0
    )


# ----------------------------------------------------------------------------------------- refusing


def check_name(name: str) -> None:
    """Refuse a name of a campaign that could be no name of a file.

    Raises
    ------
    DataError
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w .@+-]{0,99}", name):
        raise DataError(f"{str(name)[:60]!r} is no name; give letters, digits, spaces and . _ - "
                        "only", "name")  # fmt: skip


def named_after(stem: str) -> str:
    """Name of a campaign from that of a file.

    Examples
    --------
    >>> named_after("scores (new)")
    'scores -new-'
    """
    return re.sub(r"[^\w .@+-]", "-", stem).lstrip(" .@+-")[:100] or DEFAULT_NAME


def rule_of(
    *, alarms: int | Sequence[int] | None = None, alarm_rate: float | None = None,
    confidence: float | None = None, block: int | None = None, horizon: int | None = None,
    min_rows: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Fields of `ExternalEvaluation` from what was asked for; the rest keeps its default."""
    fields = {
        "alarms": None if alarms is None else tuple(np.atleast_1d(alarms).tolist()),
        "alarm_rate_pct": alarm_rate,
        "confidence_pct": round(100 * confidence, 6)
        if isinstance(confidence, int | float)
        else confidence,
        "block": block,
        "horizon": horizon,
        "min_rows": min_rows,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _check_models(table: ScoreTable, baselines: Sequence[str]) -> None:
    models = list(table.models)
    unnamed = [name for name in models if not 0 < len(name) <= LONGEST_NAME]
    if unnamed:
        raise DataError(f"a model needs a name of 1 to {LONGEST_NAME} letters, not "
                        f"{unnamed[0][:60]!r}", "name")  # fmt: skip
    for name in baselines:
        if name not in models:
            raise DataError(f"no model {name!r} to be a baseline; {nearest(name, models)}",
                            "unknown_baseline")  # fmt: skip
    constant = [name for name in constant_models(table) if name not in baselines]
    if constant:
        raise DataError(
            f"{listed(constant)}: the same score for every unit, which ranks nothing; drop "
            f"{'it' if len(constant) == 1 else 'them'}, or call it a baseline", "constant_scores",
        )  # fmt: skip


def _check_sizes(table: ScoreTable, rule: Mapping[str, Any]) -> None:
    """Refuse more alarms than there are units, and blocks longer than all times."""
    part = table.first.part(table.part)
    most = max(rule.get("alarms", (0,)))
    if most > len(part):
        raise DataError(f"alarms: {most:,} of {len(part):,} units; give fewer", "evaluation")
    times = part.blocks().items
    if rule.get("block", 0) > times:
        raise DataError(f"block: {rule['block']:,} of {times:,} times; give less", "evaluation")


def _check_estimate(name: str | None, record: Mapping[str, Any]) -> None:
    known = list(record["estimates"])
    if name is not None and name not in known:
        raise DataError(f"no estimate {name!r} to rank by; {nearest(name, known)}", "no_estimate")


def _evaluation(table: ScoreTable, rule: Mapping[str, Any]) -> ExternalEvaluation:
    parts = [name for name in table.first.splits if name not in (table.part, NO_TRAINING)]
    content = {**rule, "measured_on": table.part, "parts": tuple(sorted(parts))}
    try:
        return ExternalEvaluation.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0])
        if where == "confidence_pct":
            raise DataError(
                "confidence: a number between 0.5 and 1 is needed", "evaluation"
            ) from None
        raise DataError(f"{where}: {first['msg'].lower()}", "evaluation") from None


# ------------------------------------------------------------------------------------------ writing


def keep(store: AnyStore, runs: Sequence[JudgedRun], name: str, keys: Mapping[str, str]) -> None:
    """Store runs, and the names of all that were judged, as a campaign."""
    if isinstance(store, MemoryStore):
        store.add([run.kept() for run in runs], keys)
    else:
        _write(store, runs)
        store.write_campaign(name, dict(keys))
    aucs = [run.auc for run in runs if run.auc is not None]
    if aucs:
        stored = [store.run(run.spec.key) for run in runs]
        remember(store, stored, [run.predictions for run in runs], aucs)


def _forget_other_roles(store: AnyStore, specs: Iterable[ExternalSpec]) -> None:
    """Remove the same scores under the other role, baseline or not, unless a name means them."""
    named = {keys[-1] for ids in store.campaigns().values() for keys in ids.values() if keys}
    for spec in specs:
        role = spec.model.model_copy(update={"baseline": not spec.is_baseline})
        key = spec.model_copy(update={"model": role}).key
        if key not in named:
            store.remove(key)


def _write(store: Store, runs: Sequence[JudgedRun]) -> None:
    store.prepare()
    history = pl.DataFrame(schema=HISTORY)
    in_threads(lambda run: store.write(run.spec, run.record, run.predictions.frame, history), runs)


def units_digest(predictions: Predictions) -> str:
    """Digest of everything that is known of the units, 12 hexadecimal digits."""
    sha = hashlib.sha256()
    for column in predictions.frame.drop("score", "scores", strict=False).iter_columns():
        texts = column.cast(pl.String)
        sha.update(f"{column.name} {len(column)}\n".encode())
        sha.update(texts.str.len_bytes().to_numpy().astype("<i8").tobytes())
        sha.update("".join(texts.to_list()).encode())
    return sha.hexdigest()[:12]


def _last_time(predictions: Predictions) -> str:
    return str(predictions.frame["time"].max()) if "time" in predictions else ""
