"""The verb about scores that were made elsewhere: judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Separator, Store_, StrictInt
from trueness.cli.output import DEFAULT, Output, check, note, present

Names = Annotated[list[str] | None, Parameter(negative=())]
Flag = Annotated[bool, Parameter(negative=())]


def judge(
    file: Path,
    /,
    *,
    label: Annotated[str, Parameter(name=("--y", "--label"))],
    score: Names = None,
    scores_prefix: Names = None,
    model: str | None = None,
    identifier: Annotated[str | None, Parameter(name="--id")] = None,
    time: str | None = None,
    group: str | None = None,
    cluster: str | None = None,
    fold: str | None = None,
    split: str | None = None,
    on: str | None = None,
    drop: Names = None,
    scale: Literal["probability", "logit", "rank"] = "probability",
    missing: Literal["refuse", "drop"] = "refuse",
    pair_common: Flag = False,
    separator: Separator = None,
    baseline: Names = None,
    alarms: Annotated[list[StrictInt] | None, Parameter(negative=())] = None,
    alarm_rate: float | None = None,
    confidence: float | None = None,
    block: StrictInt | None = None,
    horizon: StrictInt | None = None,
    min_rows: StrictInt | None = None,
    rank_by: str | None = None,
    name: str | None = None,
    store: Store_ = DEFAULT_STORE,
    no_store: Flag = False,
    output: Output = DEFAULT,
) -> int:
    """Judge scores that were made elsewhere: the leaderboard with power, verdict and checks.

    The models become runs of the store, so that every other verb works on them. Nothing is written
    if anything is wrong with the table.

    Example: trueness judge scores.parquet --y label --time date --baseline vix

    Example: trueness judge long.csv --y label --id row --model model --score p --scale logit

    Example: trueness judge classes.parquet --y class --scores-prefix svm_ --scores-prefix net_

    Parameters
    ----------
    file
        Table: .parquet, .csv, .tsv, .arrow, .feather or .jsonl, or a folder of save_to_disk.
    label
        Column of labels 0 and 1, or of classes.
    score
        Column of the scores of a model; repeatable. All columns that have no role without it.
    scores_prefix
        K classes: beginning of the columns of a model, one per class; repeatable.
    model
        Column of the names of models, where the table has a row per model and unit.
    identifier
        Column that names the units; by default their time and group, or their number.
    time
        Column of dates, datetimes or ISO text: units near in time are resampled together.
    group
        Column of series of a panel, languages or segments.
    cluster
        Column of what is not independent, such as a customer with several rows.
    fold
        Column of the refit that a score comes from.
    split
        Column of the parts of the data, such as train, validation and test.
    on
        The part that is judged, where the split has several.
    drop
        Column to leave out; repeatable.
    scale
        What scores are: probabilities, log-odds, or numbers that only rank.
    missing
        Drop units without a score of some model, for all models, instead of refusing them.
    pair_common
        Judge the units that every model has, where a long table has different ones per model.
    baseline
        Model that the others have to beat; repeatable.
    alarms
        Alarm budget, 7, 15 and 30 by default; repeatable.
    alarm_rate
        Proportion of units that may raise an alarm, percent; 5 by default.
    confidence
        Of every interval, 0.95 by default.
    block
        Consecutive times that are resampled together, 20 by default.
    horizon
        Times that a label looks ahead; a block is never shorter.
    min_rows
        Units that a group needs to be judged by itself, 100 by default.
    rank_by
        Estimate whose lower bound ranks, such as precision@15 or auc.
    name
        Campaign of the models in the store; the name of the file by default.
    no_store
        Judge in memory; write nothing.
    """
    from trueness.judge.external import judge_table, named_after, rule_of
    from trueness.judge.tables import Columns, Reading, score_table
    from trueness.store import Store

    check(output)
    columns = Columns(
        label, tuple(score or ()), tuple(scores_prefix or ()), model, identifier, time, group,
        cluster, fold, split, tuple(drop or ()),
    )  # fmt: skip
    table = score_table(file, columns, Reading(scale, missing, pair_common, on), separator)
    rule = rule_of(
        alarms=alarms, alarm_rate=alarm_rate, confidence=confidence, block=block, horizon=horizon,
        min_rows=min_rows,
    )  # fmt: skip
    board = judge_table(
        table, baselines=baseline or (), rule=rule,
        name=named_after(file.stem) if name is None else name,
        source=file.name, store=None if no_store else Store(store), rank_by=rank_by,
    )  # fmt: skip
    for text in table.notes:
        note(text)
    present(board, output)
    return 0
