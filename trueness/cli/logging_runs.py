"""The verb that sends stored runs to an experiment tracker."""

from __future__ import annotations

from typing import Annotated, Literal

from trueness.cli.options import CHOICE, DEFAULT_STORE, Store_
from trueness.cli.output import DEFAULT, Output, check, present


def log(
    *runs: str,
    to: Annotated[Literal["mlflow", "wandb", "tensorboard"], CHOICE],
    campaign: str | None = None,
    uri: str | None = None,
    experiment: str | None = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Send stored runs to MLflow, Weights & Biases or TensorBoard, each once.

    Settings become parameters, estimates and the bounds of their intervals metrics, checks tags;
    learning curves, the page of the run and its spec go with them.

    Example: trueness log --campaign demo --to mlflow --uri sqlite:///mlflow.db

    Example: trueness log D-01 D-02 --to tensorboard

    Parameters
    ----------
    runs
        Keys, beginnings of keys, or ids of experiments.
    to
        mlflow, wandb or tensorboard; their packages come with the extra trackers.
    campaign
        All stored runs of this campaign instead.
    uri
        A tracking URI of MLflow, else a folder; without it, what the tracker takes by default.
    experiment
        Experiment of MLflow, project of Weights & Biases, folder of TensorBoard; the name of the
        campaign by default.
    """
    from trueness.report import to_html
    from trueness.store import Store
    from trueness.trackers import send

    check(output)
    where = {"campaign": campaign, "uri": uri, "experiment": experiment}
    sent = send(Store(store), runs, to, page=to_html, **where)
    present(sent, output)
    return 0
