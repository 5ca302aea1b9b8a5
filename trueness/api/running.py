"""Running a campaign from a script or a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueness.api.answer import Answer
from trueness.api.stored import DEFAULT_STORE
from trueness.store import Store

if TYPE_CHECKING:
    from trueness.campaign import Campaign
    from trueness.judge.leaderboard import Leaderboard


def run(
    campaign: str | Path | Campaign, *, data: Any = None, vix: str | Path | None = None,  # noqa: ANN401
    features: Any = None,  # noqa: ANN401
    ids: Sequence[str] = (), priorities: Sequence[str] = (), protocol: str | None = None,
    recipe: str | None = None, seeds: int | None = None,
    settings: Mapping[str, Any] | None = None, store: Store | str | Path = DEFAULT_STORE,
    device: str = "auto", workers: int | None = None, retry: bool = False,
    on: str | None = None, max_hours: float | None = None, update: bool = False,
    progress: bool = True,
) -> Answer[Leaderboard]:  # fmt: skip
    """Train what is missing of a campaign, baselines first; the leaderboard of its runs.

    A script that calls it does so under ``if __name__ == "__main__":``, since worker processes
    import the script, or with ``workers=0``.

    Parameters
    ----------
    campaign : str, Path or Campaign
        A bundled campaign, a YAML file, or what `load_campaign` gave; the next nine parameters
        belong to the former two.
    data, vix, features : optional
        Data, and volatility index and own features of bars, in place of the campaign's own.
    ids, priorities : sequence of str
        Only these experiments, and those that they begin with.
    protocol, recipe : str, optional
        In place of the campaign's own.
    seeds : int, optional
        Replicates of every experiment.
    settings : mapping, optional
        Laid over every experiment, such as ``{"recipe": {"epochs": 5}}``.
    store : Store, str or Path
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    workers : int, optional
        Processes on a CPU, one thread each; all cores by default, 0 stays in this process.
    retry : bool
        Try runs again that failed before.
    on : str, optional
        ``ray``: the Ray cluster of ``RAY_ADDRESS``, else one on this machine; ``ray://HOST:PORT``:
        that of the client server there. `workers` are jobs at once then.
    max_hours : float, optional
        Begin nothing new after so many hours.
    update : bool
        Continue stored runs whose data ended earlier: new days are scored with their weights, and
        only folds that have no counterpart are trained. Dates that the campaign leaves open stay
        (a `Campaign` says so itself: ``load_campaign(..., store=store, update=True)``).
    progress : bool
        Whether progress is shown, on standard error or in the notebook.

    Raises
    ------
    TruenessError
        Before anything trains.
    KeyboardInterrupt
        After Ctrl-C; what was finished is stored.
    """
    from trueness.campaign import load_campaign
    from trueness.execute import pool_on
    from trueness.judge.leaderboard import leaderboard
    from trueness.runner import run as carry_out

    kept = Store(store) if isinstance(store, str | Path) else store
    with _progress() if progress else nullcontext() as shown:
        if isinstance(campaign, str | Path):
            campaign = load_campaign(
                campaign, data=data, vix=vix, features=features, protocol=protocol, recipe=recipe,
                seeds=seeds, settings=settings, callback=shown, store=kept, update=update,
            ).select(ids, priorities)  # fmt: skip
        with pool_on(on, workers) as pool:
            summary = carry_out(
                campaign, kept, device=device, workers=workers, retry=retry, max_hours=max_hours,
                callback=shown, update=update, pool=pool,
            )  # fmt: skip
    if summary.interrupted:
        raise KeyboardInterrupt
    board = leaderboard(
        kept, campaign.name, keys={e.spec.key for e in campaign.entries},
        access=("run", "") if summary.speaks else None,
    )  # fmt: skip
    return Answer(board, kept)


def _progress() -> Any:  # noqa: ANN401 - a context manager that yields a callback
    from trueness.report.progress import ProgressCallback
    from trueness.report.terminal import Screened

    return ProgressCallback(Screened(stderr=True, markup=False, emoji=False))
