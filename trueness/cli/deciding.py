"""Verbs about decisions: thresholds, certify, plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Json,
    OpenTest,
    Store_,
    Whole,
    check_output,
    console,
    print_json,
    print_rows,
)
from trueness.cli.stored import campaign_name_of, find_run
from trueness.errors import StoreError, TruenessError, nearest

if TYPE_CHECKING:
    from trueness.judge.thresholds import RunThresholds
    from trueness.store import Run, Store

CampaignName = Annotated[
    str | None, Parameter(name="--campaign", help="All stored runs of a campaign.")
]
On = Annotated[
    Literal["validation", "oof", "test"] | None,
    Parameter(name="--on", help="Part of the data; the one a run is measured on by default."),
]


def thresholds(
    *runs: str,
    campaign: CampaignName = None,
    precision: float | None = None,
    recall: float | None = None,
    alarms: Whole | None = None,
    on: On = None,
    open_test: OpenTest = False,
    grid: Literal["scores", "rates", "probabilities"] = "scores",
    csv: Path | None = None,
    report: Path | None = None,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Sweep thresholds of stored runs; best recall at a precision, best precision at a recall.

    Without a demand all three are shown, with their usual values.

    Example: trueness thresholds D-01 --precision 0.6 --alarms 30

    Parameters
    ----------
    runs
        Keys, beginnings of keys, or ids of experiments.
    precision
        Best recall among thresholds with at least this precision, 0 to 1.
    recall
        Best precision among thresholds with at least this recall, 0 to 1.
    alarms
        Best precision among thresholds with at most so many alarms.
    grid
        All distinct scores, alarm rates of 1 to 50 %, or probabilities of 0.05 to 0.95.
    csv
        Also write every threshold to this file.
    report
        Also write an HTML page to this file.
    """
    from trueness.judge.parts import measured_on
    from trueness.report.threshold_page import write_threshold_page
    from trueness.report.threshold_tables import show_lines, show_thresholds
    from trueness.judge.thresholds import demands_of, thresholds_of, write_csv

    _check_outputs(csv, report)
    demands, (opened, chosen) = (
        demands_of(precision, recall, alarms),
        _chosen(store, runs, campaign),
    )
    asked = len(chosen)
    if on != "test":
        chosen |= _baselines(opened, list(chosen.values()))
    parts = {run.key: on or measured_on(run) for run in chosen.values()}
    _look(opened, list(chosen.values()), parts, open_test)
    every = [thresholds_of(run, parts[run.key], demands, grid, n) for n, run in chosen.items()]
    found = _not_tied(every, asked)
    ledger = _told_looks(opened, list(chosen.values()))
    if as_json:
        print_json({"runs": [one.to_dict() for one in found], "ledger": ledger})
    else:
        if asked > 1:
            show_lines(console(), found)
        else:
            show_thresholds(console(), found[0], found[1:])
        for line in ledger:
            console().print(line, highlight=False)
    if csv is not None:
        write_csv(found, csv)
    if report is not None:
        write_threshold_page(found, ledger, report)
        console(err=True).print(f"report: {report}", highlight=False)
    return 0


def certify(
    *runs: str,
    precision: float,
    confidence: float = 0.95,
    campaign: CampaignName = None,
    on: On = None,
    open_test: OpenTest = False,
    method: Literal["fixed_sequence", "holm"] | None = None,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Guarantee a precision: a threshold, and everything that was looked at counted.

    Exits with status 1 if nothing is certified.

    Example: trueness certify D-01 --precision 0.6 --confidence 0.95

    Parameters
    ----------
    runs
        Keys, beginnings of keys, or ids of experiments.
    precision
        That the certified threshold exceeds, 0 to 1.
    confidence
        That it does, 0.5 to 1.
    method
        fixed_sequence on the test part (order fixed on validation), holm elsewhere.
    """
    from trueness.judge.certificates import certificate_lines, certify_runs

    opened, chosen = _chosen(store, runs, campaign)
    found = certify_runs(
        opened, list(chosen.values()), precision, confidence, on=on, method=method,
        opened=open_test,
    )  # fmt: skip
    if as_json:
        print_json(found.to_dict())
    else:
        for line in certificate_lines(found, {run.key: name for name, run in chosen.items()}):
            console().print(line, highlight=False, soft_wrap=True)
    return 0 if found.certified else 1


def plan(
    *,
    positives: Whole,
    samples: Whole,
    candidates: Whole = 1,
    alarms: Whole = 30,
    precision: float = 0.6,
    auc: float = 0.7,
    correlation: float = 0.5,
    confidence: float = 0.95,
    power: float = 0.8,
    as_json: Json = False,
) -> int:
    """Tell before a run what so many days can resolve, and what luck alone would show.

    Example: trueness plan --positives 76 --samples 422 --candidates 183

    Parameters
    ----------
    positives
        Days of the part that will judge on which the event happens.
    samples
        All its days.
    candidates
        Models that will be compared there.
    alarms
        Budget at which precisions are compared.
    precision
        To be certified, 0 to 1.
    auc
        Where the models are expected to lie.
    correlation
        Of the AUCs of two models on the same days.
    power
        Probability of seeing what is there.
    """
    from trueness.judge.power import Question, plan_power, power_lines, power_rows

    found = plan_power(
        Question(
            positives, samples, candidates, alarms, precision, auc, correlation, confidence, power
        )
    )
    if as_json:
        print_json(found)
    else:
        for line in power_lines(found):
            console().print(line, highlight=False, soft_wrap=True)
        print_rows(power_rows(found))
    return 0


def _chosen(
    folder: Path, wanted: tuple[str, ...], campaign: str | None
) -> tuple[Store, dict[str, Run]]:
    """The store, and name -> run, each run once."""
    from trueness.store import Store

    if bool(wanted) == (campaign is not None):
        raise TruenessError("give keys or ids of runs, or --campaign NAME")
    store, found = Store(folder), {}
    if campaign is None:
        for one in wanted:
            run, ids = find_run(store, one)
            found[run.key] = (" = ".join(ids) or run.key, run)
    else:
        for name, run in _of_campaign(store, campaign):
            known = found.get(run.key)
            found[run.key] = (f"{known[0]} = {name}" if known else name, run)
    return store, dict(found.values())


def _of_campaign(store: Store, campaign: str) -> list[tuple[str, Run]]:
    """Ids of a campaign and the runs they stand for now; those not stored are left out."""
    name = campaign_name_of(campaign) if campaign.endswith((".yaml", ".yml")) else campaign
    known = store.campaigns()
    if name not in known:
        hint = nearest(name, list(known)) if known else "the store holds none yet"
        raise StoreError(f"{store.root}: no runs of a campaign {name!r}; {hint}")
    stored = {run.key: run for run in store.all_runs()[0]}
    ids = {id_: keys[-1] for id_, keys in known[name].items() if keys}
    found = [(id_, stored[key]) for id_, key in ids.items() if key in stored]
    if not found:
        raise StoreError(f"{store.root}: no run of {name!r} is stored; `trueness run` makes them")
    return found


def _baselines(store: Store, runs: list[Run]) -> dict[str, Run]:
    """Best baseline measured on the same days as each of some runs, unless it is one of them."""
    from trueness.judge.comparison import best_baseline

    arenas = {run.record["comparison_group"] for run in runs if not run.spec.is_baseline}
    every = store.all_runs()[0]
    best = [best_baseline([r for r in every if r.record["comparison_group"] == arena]) for arena in arenas]
    keys = {run.key for run in runs}
    found = sorted((r for r in best if r is not None and r.key not in keys), key=lambda r: r.key)
    return {f"best baseline {run.key}": run for run in found}


def _check_outputs(csv: Path | None, report: Path | None) -> None:
    """Refuse files that cannot be written, and one for both."""
    check_output(csv)
    check_output(report)
    if csv is not None and report is not None and csv.resolve() == report.resolve():
        raise TruenessError(f"--csv and --report both name {csv}; give two files")


def _not_tied(found: list[RunThresholds], asked: int) -> list[RunThresholds]:
    """Those with any threshold; a rate of alarms has none where all scores are tied."""
    tied = [one.name for one in found[:asked] if not len(one.sweep)]
    words = "all scores are tied, so no alarm rate has a threshold"
    if len(tied) == asked:
        raise TruenessError(f"{', '.join(tied[:3])}: {words}; take --grid scores or probabilities")
    for name in tied:
        console(err=True).print(f"note: {name}: {words}", style="yellow", highlight=False)
    return [one for one in found if len(one.sweep)]


def _told_looks(store: Store, runs: list[Run]) -> list[str]:
    """What the ledger says about the data of some runs, or that it cannot be read."""
    from trueness.store.ledger import data_of, ledger_lines

    digests = dict.fromkeys(data_of(run) for run in runs)
    try:
        return [line for digest in digests for line in ledger_lines(store, digest)]
    except StoreError as error:
        return [f"ledger: {error}"]


def _look(store: Store, runs: list[Run], parts: dict[str, str], opened: bool) -> None:
    """Write the look down before anything is read; a store that is read only shows open parts."""
    from trueness.store.ledger import SEALED, Ledger
    from trueness.judge.parts import check_part

    for run in runs:
        check_part(run, parts[run.key])
    for part in dict.fromkeys(parts.values()):
        some = [run for run in runs if parts[run.key] == part]
        try:
            Ledger(store).look(some, part, "thresholds", "sweep", opened and part == SEALED)
        except StoreError as error:
            if part == SEALED:
                raise
            console(err=True).print(f"note: {error}", style="yellow", highlight=False)
