"""Verbs about a run that is used: finalize, predict, monitor, export, payoff, alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Data,
    Features,
    On,
    Store_,
    StrictInt,
    Vix,
    folder_of,
)
from trueness.cli.output import DEFAULT, Output, check, note, present
from trueness.errors import TruenessError

NewFolder = Annotated[Path, Parameter(converter=folder_of)]
Since = Annotated[
    str | None,
    Parameter(name="--since", help="First date or time that is answered, as 2024-01-31."),
]


def finalize(
    run: str,
    /,
    *,
    out: NewFolder,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    seeds: StrictInt = 1,
    precision: float | None = None,
    no_refit: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
    on: On = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Refit a run up to the end of its data and write it, with its promise, as a bundle for use.

    Example: trueness finalize D-01 --out bundle

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment.
    out
        New folder of the bundle.
    seeds
        Models that are fitted and averaged, with the seed of the run, the next, and so on.
    precision
        Take the threshold that `trueness certify` certified for this precision. Of titles: abstain
        where the validation part does not certify it for the language.
    no_refit
        Use the weights that the run of an encoder keeps, as they were judged.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.bundle.finalizing import finalize_named
    from trueness.execute import pool_on
    from trueness.store import Store

    check(output)
    sources = {"data": data, "vix": vix, "features": features}
    try:
        with pool_on(on) as pool:
            made = finalize_named(Store(store), run, sources, out, seeds=seeds, precision=precision,
                                  refit=not no_refit, device=device, report=note,
                                  pool=pool)  # fmt: skip
    except KeyboardInterrupt:
        note("No bundle was written. Run the same command again; encoders go on from their "
             "checkpoint.")  # fmt: skip
        raise
    present(made, output)
    return 0


def predict(
    bundle: Path,
    /,
    *,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    text_column: tuple[str, ...] = (),
    language_column: str | None = None,
    separator: str | None = None,
    id_column: str | None = None,
    since: Since = None,
    top: StrictInt = 1,
    no_log: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
    output: Output = DEFAULT,
) -> int:
    """Say of new bars, rows or texts what a bundle says: score, alarm or label, what is odd.

    Of bars, those are answered that come after the ones that the model was fitted on. The answers
    are written down in the bundle's log, which `trueness monitor` holds against what comes. Texts
    come from a table, or one a line from a text file or standard input (-).

    Example: trueness predict bundle --data longer.csv --csv today.csv

    Parameters
    ----------
    bundle
        Folder that `trueness finalize` wrote.
    text_column
        Column with the texts; repeatable, joined with spaces. By default those that the corpus was
        made of, else text.
    language_column
        Column with the languages; by default that of the corpus, if it is there. Detected
        otherwise.
    separator
        What stands between the cells of a file with texts; recognised by default.
    id_column
        Column that names the rows; of texts by default that of the corpus. Without one, rows of a
        table are called after their numbers, and texts after their content.
    top
        Of texts: classes that are named for each, with their calibrated probabilities.
    no_log
        Write nothing into the log, as with --since.
    device
        Of an encoder: auto, cpu, cuda or mps.
    """
    from trueness.bundle.predicting import load, time_of

    check(output)
    if data is None:
        raise TruenessError("--data FILE says what is predicted", "no_data")
    predictor = load(bundle, device=device)
    read = predictor.load({
        "data": data, "vix": vix, "features": features, "id_column": id_column,
        "text_columns": text_column or None, "language_column": language_column,
        "separator": separator,
    })  # fmt: skip
    result = predictor.predict(read, None if since is None else time_of(since, "--since"), top)
    if not no_log and since is None:
        result = result.logged()
    present(result, output)
    return 0


def monitor(
    bundle: Path,
    /,
    *,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    labels: Path | None = None,
    output: Output = DEFAULT,
) -> int:
    """Hold what a bundle predicted against what came; 1 if its promise is refuted.

    Outcomes follow from longer bars, or are given. They are written into the bundle's log.

    Example: trueness monitor bundle --data longer.csv

    Parameters
    ----------
    bundle
        Folder that `trueness finalize` wrote.
    labels
        File with the columns id and y: 0 or 1, of texts the name of the class.
    """
    from trueness.bundle.monitoring import monitor as watch
    from trueness.bundle.predicting import load
    from trueness.reading import read_table

    check(output)
    predictor = load(bundle)
    sources = {"data": data, "vix": vix, "features": features}
    read = predictor.load_if_given(sources)
    table = None if labels is None else read_table(labels, types=False).frame
    result = watch(predictor, read, table, str(labels))
    present(result, output)
    return 0 if result.refuted is None else 1


def export(
    bundle: Path,
    out: Annotated[Path, Parameter(help="File that ends in .onnx; one that is there is replaced.")],
    /,
    *,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    rows: Path | None = None,
    output: Output = DEFAULT,
) -> int:
    """Write a bundle as an ONNX graph: rows in, logit and calibrated probability out.

    Its models are averaged in the graph. A runtime is asked about all rows of the data, or about
    random ones without any, and the graph is kept if no probability differs by more than 0.0001.
    Names of columns, threshold and promise stand in its metadata.

    Example: trueness export bundle model.onnx --data longer.csv

    Parameters
    ----------
    bundle
        Folder that `trueness finalize` wrote.
    rows
        Also write what was compared into this file (.npz): inputs, ids, and what the bundle says.
    """
    from trueness.bundle.exporting import export as exported
    from trueness.bundle.predicting import load

    check(output)
    sources = {"data": data, "vix": vix, "features": features}
    present(exported(load(bundle), out, sources, rows), output)
    return 0


def payoff(
    run: str,
    /,
    *,
    exit: Literal["touch", "horizon"] = "horizon",
    cost_bps: float = 0.0,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Show what alarms on bars returned: mean with interval, against all days.

    Those of a run out of fold, or those that a bundle raised in use, by its log. No portfolio
    backtest: one equal position per alarm, entered at the close of its day.

    Example: trueness payoff D-01 --exit touch --cost-bps 2 --csv alarms.csv
    Example: trueness payoff bundle --data longer.csv

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment; or the folder of a bundle.
    exit
        touch: at the level that the target asks for, else at the last close of the horizon.
    cost_bps
        Cost of a position, there and back, in basis points.
    """
    from trueness.bundle.payoff import payoff as evaluate_payoff
    from trueness.store import Store

    check(output)
    sources = {"data": data, "vix": vix, "features": features}
    present(evaluate_payoff(Store(store), run, sources, exit=exit, cost_bps=cost_bps,
                   access=("payoff", f"{exit} {cost_bps:g}")), output)  # fmt: skip
    return 0


def alarms(run: str, /, *, store: Store_ = DEFAULT_STORE, output: Output = DEFAULT) -> int:
    """List the alarms of a run out of fold, or those that a bundle raised in use, by its log.

    Each with its time, score, fold and outcome: hit, miss, or unknown.

    Example: trueness alarms D-01 --csv alarms.csv
    Example: trueness alarms bundle

    Parameters
    ----------
    run
        A key, the beginning of one, or the id of an experiment; or the folder of a bundle.
    """
    from trueness.bundle.alarms import alarms as listed
    from trueness.store import Store

    check(output)
    present(listed(Store(store), run, ("alarms", "")), output)
    return 0
