"""The function about scores that were made anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trueness.api.answer import Answer, Where, opened, several
from trueness.errors import DataError
from trueness.store import MemoryStore

if TYPE_CHECKING:
    from trueness.judge.leaderboard import Leaderboard


def judge(
    y: object,
    scores: object = None,
    *,
    data: object = None,
    id: object = None,
    time: object = None,
    group: object = None,
    cluster: object = None,
    fold: object = None,
    split: object = None,
    on: str | None = None,
    classes: Sequence[str] | None = None,
    scores_prefix: str | Sequence[str] = (),
    model: str | None = None,
    drop: str | Sequence[str] = (),
    baseline: str | Sequence[str] = (),
    scale: Literal["probability", "logit", "rank"] = "probability",
    missing: Literal["refuse", "drop"] = "refuse",
    pair_common: bool = False,
    alarms: int | Sequence[int] | None = None,
    alarm_rate: float | None = None,
    confidence: float | None = None,
    block: int | None = None,
    horizon: int | None = None,
    min_rows: int | None = None,
    rank_by: str | None = None,
    name: str | None = None,
    store: Where | None = None,
    separator: str | None = None,
) -> Answer[Leaderboard]:
    """Judge scores of any number of models on the same units, made anywhere.

    Without `data`, everything is given as columns: lists, NumPy arrays, series of pandas or polars,
    tensors. With `data`, a file or a frame, `y` and all others are names of its columns.

    Parameters
    ----------
    y : (n,) or str
        Labels 0 and 1; classes by name or number where there are `classes` or `scores_prefix`.
    scores : mapping, frame, array or str
        Model -> scores (n,), as a mapping, a frame or a 2-D array with a column per model; one
        column alone is one model. For K classes: model -> (n, K), with `classes`. With `data`:
        columns, all that have no other role by default.
    data : path or frame, optional
        ``.parquet, .csv, .tsv, .arrow, .feather, .jsonl``, the folder of a dataset that
        ``save_to_disk`` of Hugging Face wrote, or a frame of polars, pandas, Arrow or `datasets`.
    id : (n,) or str, optional
        Names of the units; by default their time and group, or their number.
    time : (n,) or str, optional
        Dates, datetimes or ISO text: units near in time are resampled together.
    group, cluster, fold, split : (n,) or str, optional
        Series of a panel, language or segment; what is not independent; refit; part of the data.
    on : str, optional
        The part that is judged, where `split` has several.
    classes : sequence of str, optional
        Names of K classes, in the order of their scores.
    scores_prefix : str or sequence of str
        With `data`, for K classes: beginning of the columns of each model, one column per class.
    model : str, optional
        With `data`: column of the names of models, where there is a row per model and unit.
    drop : str or sequence of str
        With `data`: columns to leave out.
    baseline : str or sequence of str
        Models that the others have to beat.
    scale : {"probability", "logit", "rank"}
        What scores are: probabilities, log-odds, or numbers that only rank.
    missing : {"refuse", "drop"}
        Drop units without a score of some model, for all models, instead of refusing them.
    pair_common : bool
        Judge the units that every model has, where a long table has different ones per model.
    alarms : int or sequence of int, optional
        Alarm budgets; 7, 15 and 30 by default.
    alarm_rate : float, optional
        Share of units that may raise an alarm, percent; 5 by default.
    confidence : float, optional
        Of every interval; 0.95 by default.
    block : int, optional
        Consecutive times that are resampled together; 20 by default.
    horizon : int, optional
        Times that a label looks ahead; a block is never shorter.
    min_rows : int, optional
        Units that a group needs to be judged by itself; 100 by default.
    rank_by : str, optional
        Estimate whose lower bound ranks, such as ``precision@15`` or ``auc``.
    name : str, optional
        Of the campaign in the store, and of the page.
    store : Store, str or Path, optional
        Where the models become runs; in memory without.
    separator : str, optional
        Between the cells of a file `data`; recognised by default.

    Raises
    ------
    TruenessError
        If anything is wrong with the scores; then nothing is written.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random(400) < 0.2).astype(int)
    >>> answer = judge(y, {"good": 0.5 + 0.2 * y + 0.2 * rng.random(400), "coin": rng.random(400)})
    >>> [model["name"] for model in answer.to_dict()["groups"][0]["models"]]
    ['good', 'coin']
    """
    from trueness.judge.external import DEFAULT_NAME, judge_table, named_after, rule_of
    from trueness.judge.tables import Columns, Reading, score_arrays, score_table

    reading = Reading(scale, missing, pair_common, on)
    roles = {"id": id, "time": time, "group": group, "cluster": cluster, "fold": fold,
             "split": split}  # fmt: skip
    of_data: dict[str, object] = {"scores_prefix": scores_prefix, "model": model, "drop": drop,
                                  "separator": separator}  # fmt: skip
    path = Path(data) if isinstance(data, str | Path) else None
    if data is None:
        _check_columns(scores, of_data)
        table = score_arrays(y, scores, roles, classes=classes, reading=reading)
    else:
        if classes is not None:
            raise DataError("classes: with data=, scores_prefix names them", "no_data")
        names = _names({"y": y, **roles, "model": model})
        columns = Columns(
            names.pop("y"), several(scores), several(scores_prefix), drop=several(drop), **names
        )
        table = score_table(path or data, columns, reading, separator)
    rule = rule_of(
        alarms=alarms, alarm_rate=alarm_rate, confidence=confidence,
        block=block, horizon=horizon, min_rows=min_rows,
    )  # fmt: skip
    kept = MemoryStore() if store is None else opened(store)
    board = judge_table(
        table, baselines=several(baseline), rule=rule, source=path.name if path else "",
        name=name if name is not None else named_after(path.stem) if path else DEFAULT_NAME,
        store=kept, rank_by=rank_by,
    )  # fmt: skip
    return Answer(board, kept)


def _check_columns(scores: object, of_data: Mapping[str, object]) -> None:
    """Refuse what only a table with names can have."""
    named = [name for name, value in of_data.items() if value]
    if named or scores is None or isinstance(scores, str):
        what = f"{named[0]} names columns" if named else "scores are missing"
        raise DataError(f"{what}; give the table with data=, or the scores as columns", "no_data")


def _names(roles: Mapping[str, object]) -> dict[str, Any]:
    """Names of columns by role; anything but a name is refused."""
    for role, value in roles.items():
        if value is not None and not isinstance(value, str):
            raise DataError(f"{role}: with data=, give the name of a column", "no_name")
    return dict(roles)
