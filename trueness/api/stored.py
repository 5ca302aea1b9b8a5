"""The functions about stored runs, named as the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trueness.api.answer import Answer, Where, opened, several
from trueness.errors import TruenessError
from trueness.store import AnyStore, Run

if TYPE_CHECKING:
    from trueness.judge.by_series import BySeries
    from trueness.judge.calibration import CalibrationComparison
    from trueness.judge.certificates import Certificates
    from trueness.judge.compare import ClassComparison, Comparison
    from trueness.judge.compare_several import SeveralCompared
    from trueness.judge.contrasts import Contrasts
    from trueness.judge.leaderboard import Leaderboard
    from trueness.judge.multiplicity import Spending
    from trueness.judge.show import Shown
    from trueness.judge.thresholds import Thresholds
    from trueness.trackers import Logged

DEFAULT_STORE = "store"


def _runs(store: AnyStore, runs: Sequence[str], campaign: str | None) -> dict[str, Run]:
    from trueness.judge.finding import find_runs

    return find_runs(store, runs, campaign)


def leaderboard(
    campaign: str | None = None, *, by: str | None = None, reference: str | None = None,
    each: bool = False, rank_by: str | None = None, group: str | None = None,
    where: Sequence[str] = (), search: str = "", kind: str = "", sort: str = "", order: str = "",
    columns: Sequence[str] = (), open_test: bool = False, store: Where = DEFAULT_STORE,
) -> Answer[Leaderboard | Contrasts | BySeries]:  # fmt: skip
    """Stored runs, comparable ones together; with `by`, the variants of a setting compared.

    Parameters
    ----------
    campaign : str, optional
        Only its runs.
    by : str, optional
        Setting whose variants are compared, such as ``loss`` or ``model.embedding``; ``data`` shows
        each series of a panel by itself.
    reference : str, optional
        With `by`, the value that the others are compared with; for K classes, the run, by default
        the one that the campaign declares.
    each : bool
        With `by`: a row per experiment instead of the mean over those of a variant.
    rank_by : str, optional
        Estimate whose lower bound ranks, such as ``precision@15`` or ``auc``.
    group : str, optional
        Only this comparison group, by its name or the beginning of one.
    where, search, kind, sort, order, columns
        Which of the judged runs are shown, in which order, with which fields; see
        `trueness.judge.choice.Choice`.
    open_test : bool
        For K classes: show the sealed test part; the ledger of the store remembers it.
    store : Store, str or Path

    Raises
    ------
    TruenessError
    """
    from trueness.judge.by_series import by_series
    from trueness.judge.choice import Choice
    from trueness.judge.contrasts import contrasts
    from trueness.judge.leaderboard import leaderboard as ranked

    kept = opened(store)
    choice = Choice(several(where), search, kind, sort, order, several(columns))
    choice = None if choice == Choice() else choice
    if by is not None and (choice or rank_by or group):
        raise TruenessError("by compares variants, and has no rows to rank, sort or filter",
                            "by_and_rows")  # fmt: skip
    if by == "data":
        return Answer(by_series(kept, campaign, access=("leaderboard", "by data")), kept)
    if by is not None:
        result = contrasts(kept, campaign, by, reference=reference, each=each,
                          access=("leaderboard", f"by {by}"))  # fmt: skip
        return Answer(result, kept)
    part = "test" if open_test else None
    board = ranked(kept, campaign, rank_by=rank_by, reference=reference, part=part,
                   opened=open_test, access=("leaderboard", ""), choice=choice,
                   group=group)  # fmt: skip
    return Answer(board, kept)


def show(run: str, *, open_test: bool = False, store: Where = DEFAULT_STORE) -> Answer[Shown]:
    """One stored run: data, parts, every estimate with its interval, checks.

    Parameters
    ----------
    run : str
        Id, key or the beginning of a key.
    open_test : bool
        Show the sealed test part; the ledger of the store remembers it.
    store : Store, str or Path

    Raises
    ------
    TruenessError
    """
    from trueness.judge.show import show as shown

    kept, part = opened(store), "test" if open_test else None
    return Answer(shown(kept, run, part=part, opened=open_test, access=("show", "")), kept)


def compare(
    first: str, second: str, *others: str, on: str | None = None, open_test: bool = False,
    store: Where = DEFAULT_STORE,
) -> Answer[Comparison | ClassComparison | SeveralCompared]:  # fmt: skip
    """Two to six stored runs on the same units, first minus second; of more than two every pair.

    Parameters
    ----------
    first, second, *others : str
        Ids, keys or beginnings of keys.
    on : str, optional
        Part of the data; the measured one by default.
    open_test : bool
        Show the sealed test part; the ledger of the store remembers it.
    store : Store, str or Path

    Raises
    ------
    TruenessError
    """
    from trueness.judge.compare_several import compare_runs

    kept, part = opened(store), "test" if open_test and on is None else on
    result = compare_runs(kept, (first, second, *others), part=part, opened=open_test,
                          access=("compare", ""))  # fmt: skip
    return Answer(result, kept)


def thresholds(
    *runs: str, campaign: str | None = None, precision: float | None = None,
    recall: float | None = None, alarms: int | None = None, on: str | None = None,
    open_test: bool = False, grid: Literal["scores", "rates", "probabilities"] = "scores",
    store: Where = DEFAULT_STORE,
) -> Answer[Thresholds]:  # fmt: skip
    """Thresholds of stored runs; best recall at a precision, best precision at a recall.

    Parameters
    ----------
    *runs : str
        Ids, keys or beginnings of keys.
    campaign : str, optional
        All its runs instead.
    precision, recall : float, optional
        Demands, 0 to 1.
    alarms : int, optional
        Demand: at most so many.
    on : str, optional
        Part of the data; the measured one by default.
    open_test : bool
        Open the sealed test part; the ledger of the store remembers it.
    grid : {"scores", "rates", "probabilities"}
        All distinct scores, alarm rates of 1 to 50 %, or probabilities of 0.05 to 0.95.
    store : Store, str or Path

    Raises
    ------
    TruenessError
    """
    from trueness.judge.demands import demands_of
    from trueness.judge.thresholds import judge_thresholds

    kept = opened(store)
    result = judge_thresholds(
        kept, _runs(kept, runs, campaign), demands_of(precision, recall, alarms), grid=grid, on=on,
        opened=open_test, campaign=campaign or "",
    )  # fmt: skip
    return Answer(result, kept)


def certify(
    *runs: str, precision: float, confidence: float = 0.95, campaign: str | None = None,
    on: str | None = None, open_test: bool = False, preview: bool = False,
    store: Where = DEFAULT_STORE,
) -> Answer[Certificates | Spending]:  # fmt: skip
    """Guarantee a precision by a threshold, adjusted for every run that was evaluated.

    Runs that are certified for the first time spend a fraction of the error, which the ledger of
    the store remembers. Asking about them again is free, at any precision.

    Parameters
    ----------
    *runs : str
        Ids, keys or beginnings of keys.
    precision : float
        That the certified threshold exceeds, 0 to 1.
    confidence : float
        That it does, 0.5 to 1.
    campaign : str, optional
        All its runs instead.
    on : str, optional
        Part of the data; the measured one by default.
    open_test : bool
        Open the sealed test part; the ledger of the store remembers it.
    preview : bool
        Only tell what it would spend: batch, fraction of the error, and the runs that are new.
        Records nothing.
    store : Store, str or Path

    Raises
    ------
    TruenessError
    """
    from trueness.judge.certificates import certification

    kept = opened(store)
    asked = certification(
        kept, _runs(kept, runs, campaign), precision, confidence, on=on, opened=open_test,
        campaign=campaign or "",
    )  # fmt: skip
    return Answer(asked.spending if preview else asked.issue(), kept)


def calibrate(
    run: str, *, methods: str | Sequence[str] | None = None, store: Where = DEFAULT_STORE
) -> Answer[CalibrationComparison]:
    """Compare calibrations of one stored run on units that fitted none of them.

    Parameters
    ----------
    run : str
        Id, key or the beginning of a key.
    methods : str or sequence of str, optional
        Of ``platt, isotonic, temperature, beta, venn_abers``; all without it.
    store : Store, str or Path

    Raises
    ------
    TruenessError
    """
    from trueness.judge.calibration import judge_calibration

    kept = opened(store)
    ((name, result),) = _runs(kept, [run], None).items()
    return Answer(judge_calibration(kept, name, result, several(methods) or None), kept)


def log(
    *runs: str, to: Literal["mlflow", "wandb", "tensorboard"], campaign: str | None = None,
    uri: str | None = None, experiment: str | None = None, store: Where = DEFAULT_STORE,
) -> Answer[Logged]:  # fmt: skip
    """Send stored runs to an experiment tracker, each once; its package is of the extra `trackers`.

    Parameters
    ----------
    *runs : str
        Ids, keys or beginnings of keys.
    to : {"mlflow", "wandb", "tensorboard"}
    campaign : str, optional
        All its runs instead.
    uri : str, optional
        A tracking URI of MLflow, else a folder; by default what the tracker takes.
    experiment : str, optional
        Experiment of MLflow, project of Weights & Biases, folder of TensorBoard; the name of the
        campaign of each run by default.
    store : Store, str or Path

    Raises
    ------
    TruenessError
        If a package is missing, the tracker does not answer or there is no such run.
    """
    from trueness.report import to_html
    from trueness.trackers import send

    kept = opened(store)
    where = {"campaign": campaign, "uri": uri, "experiment": experiment}
    sent = send(kept, runs, to, page=to_html, **where)
    return Answer(sent, kept)
