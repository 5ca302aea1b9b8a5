"""Runs in MLflow, through its client: a server, or a database of its own."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trueness.trackers.entry import Entry

AT_ONCE_METRICS, AT_ONCE_OTHERS = 1000, 100
"""Metrics, and parameters or tags, that a server takes in one request."""
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""In place of minutes of silence when a server does not answer; the user's own settings win."""
KEY = "trueness.key"


def opened(uri: str | None, experiment: str) -> MlflowRuns:
    """An experiment, made if it is not there.

    Parameters
    ----------
    uri : str, optional
        ``http://HOST:PORT``, ``sqlite:///FILE`` or another tracking URI; without it that of
        ``MLFLOW_TRACKING_URI``, else what MLflow takes by default.
    experiment : str
    """
    with _calm():
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        known = client.get_experiment_by_name(experiment)
        number = client.create_experiment(experiment) if known is None else known.experiment_id
    return MlflowRuns(client, number)


@dataclass(frozen=True)
class MlflowRuns:
    """Runs of an experiment; those that were logged whole are FINISHED and bear their key."""

    client: Any
    experiment: str

    def find(self, key: str) -> str | None:
        """Number of the run with this key."""
        with _calm():
            result = self.client.search_runs(
                [self.experiment],
                f"tags.`{KEY}` = '{key}' and attributes.status = 'FINISHED'", max_results=1,
            )  # fmt: skip
        return result[0].info.run_id if result else None

    def log(self, entry: Entry) -> str:
        """Send a run; one that does not arrive whole is FAILED, and is sent anew the next time."""
        with _calm():
            made = self.client.create_run(self.experiment, run_name=entry.name)
            number = made.info.run_id
            status = "FAILED"
            try:
                self._fill(number, entry)
                status = "FINISHED"
            finally:
                self.client.set_terminated(number, status)
        return number

    def _fill(self, number: str, entry: Entry) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in entry.metrics.items()]
        for epoch, values in entry.curves:
            metrics += [Metric(name, value, now, epoch) for name, value in values.items()]
        parameters = [Param(name, str(value)) for name, value in entry.parameters.items()]
        tags = [RunTag(name, text) for name, text in entry.tags.items()]
        for some in _parts(metrics, AT_ONCE_METRICS):
            self.client.log_batch(number, metrics=some)
        for some in _parts(parameters, AT_ONCE_OTHERS):
            self.client.log_batch(number, params=some)
        for some in _parts(tags, AT_ONCE_OTHERS):
            self.client.log_batch(number, tags=some)
        for name, text in entry.files.items():
            self.client.log_text(number, text, name)


def _parts(some: list[Any], size: int) -> list[list[Any]]:
    return [some[i : i + size] for i in range(0, len(some), size)]


@contextmanager
def _calm() -> Generator[None]:
    """Keep its notices off the terminal, and its retries short."""
    ours = {name: value for name, value in PATIENCE.items() if name not in os.environ}
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [one.level for one in loggers]
    os.environ.update(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow  # noqa: F401 - its import sets the level of its logger

            for one in loggers:
                one.setLevel(logging.ERROR)
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
        for name in ours:
            del os.environ[name]
