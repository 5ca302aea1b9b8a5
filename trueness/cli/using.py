"""Verbs about a run that is used: finalize, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Data, Features, Store_, Vix, Whole
from trueness.cli.output import DEFAULT, Output, check, note, present
from trueness.errors import TruenessError

Since = Annotated[
    str | None,
    Parameter(name="--since", help="First date or time that is answered, as 2024-01-31."),
]


def finalize(
    run: str,
    /,
    *,
    out: Path,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    seeds: Whole = 1,
    precision: float | None = None,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Refit a run on all data and write it, with its promise, as a bundle that can be used.

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
        Take the threshold that `trueness certify` certified for this precision.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.bundle.finalizing import finalize as refit
    from trueness.judge.finding import find_run, names_of
    from trueness.store import Store
    from trueness.tasks import task_of

    check(output)
    opened = Store(store)
    found, _ = find_run(opened, run)
    task = task_of(found.spec.task.kind)
    name = " = ".join(names_of(opened, found)) or found.key
    given = {"data": data, "vix": vix, "features": features}
    sources = _sources(found.record["data"], task.sources, given)
    target = getattr(found.spec.task, "target", None)
    labels = {target.column} if hasattr(target, "column") else set()
    read = task.load({**sources, "beside": Path(), "labels": labels})
    present(refit(opened, found, name, read, out, seeds=seeds, precision=precision, device=device,
                  told=note), output)  # fmt: skip
    return 0


def _sources(
    recorded: dict[str, Any], taken: dict[str, str], given: dict[str, str | None]
) -> dict[str, Any]:
    """Data that were given, or those that the record names."""
    names = {"data": recorded.get("name"), "vix": recorded.get("volatility"),
             "features": recorded.get("features")}  # fmt: skip
    if other := [name for name, value in given.items()
                 if value is not None and name not in taken.values()]:  # fmt: skip
        raise TruenessError(f"this run takes no --{other[0]}", "no_source")
    return {name: given[name] if given[name] is not None else names[name]
            for name in taken.values()
            if given[name] is not None or names[name] is not None}  # fmt: skip


def predict(
    bundle: Path,
    /,
    *,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    since: Since = None,
    output: Output = DEFAULT,
) -> int:
    """Say of new bars or rows what a bundle says: score, probability, alarm, what is odd.

    Of bars, those are answered that come after the ones that the model was fitted on.

    Example: trueness predict bundle --data longer.csv --csv today.csv

    Parameters
    ----------
    bundle
        Folder that `trueness finalize` wrote.
    """
    from trueness.bundle.predicting import load

    check(output)
    if data is None:
        raise TruenessError("--data FILE says what is predicted", "no_data")
    predictor = load(bundle)
    read = predictor.load({"data": data, "vix": vix, "features": features})
    present(predictor.predict(read, _time(since)), output)
    return 0


def _time(text: str | None) -> Any:  # noqa: ANN401 - datetime64 or None
    import numpy as np

    if text is None:
        return None
    try:
        return np.datetime64(text)
    except ValueError:
        raise TruenessError(f"--since {text}: give a date as 2024-01-31", "since") from None
