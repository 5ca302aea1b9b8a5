"""Importance of the inputs of a stored run, or of a bundle on rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.attribution.groups import By, Group, chosen_groups, groups_of
from trueness.attribution.importance import (
    Asked,
    Importance,
    Units,
    importance_of,
)
from trueness.attribution.models import FoldModel, Member, Models, of_columns, of_windows
from trueness.attribution.runs import members_of, models_of_run
from trueness.baselines.fitted import Explained, logits_of
from trueness.baselines.inputs import columns_of
from trueness.bundle.finalizing import check_has_model, data_of_run, has_same_inputs
from trueness.bundle.format import DESCRIPTION, NETWORK, open_bundle
from trueness.bundle.oddities import of_data, unread
from trueness.bundle.opened import Opened
from trueness.bundle.predicting import Predictor, load, rows_key
from trueness.callback import Callback
from trueness.errors import TruenessError
from trueness.examples import Examples
from trueness.fit.device import choose_device
from trueness.frames import as_frame
from trueness.judge.access import record_access
from trueness.judge.comparison import measured_part
from trueness.judge.finding import find_run, names_of
from trueness.judge.parts import check_binary, counted, unrecorded_notes
from trueness.market.labels import UNDEFINED
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.table.roles import labels_of
from trueness.tasks import task_of

NEW = "after training"
"""Part of the rows that a bundle is asked about."""


def asked_of(
    by: By | None, groups: Sequence[str], repeats: int | None, partial: int | None, seed: int
) -> Asked:
    """What is asked, with defaults for what is left open.

    Raises
    ------
    TruenessError
        With code ``number``.
    """
    known = {"repeats": repeats, "partial": partial}
    return Asked(by, tuple(groups), seed=seed,
                 **{name: value for name, value in known.items() if value is not None})  # fmt: skip


def is_about_titles(store: AnyStore, wanted: str) -> bool:
    """Whether a name stands for a run or a bundle on titles, whose inputs are words.

    Raises
    ------
    TruenessError
        If there is no such run, or several.
    """
    if is_bundle(wanted):
        return open_bundle(wanted).task == "titles"
    return find_run(store, wanted)[0].spec.task.kind == "titles"


def is_bundle(wanted: str) -> bool:
    """Whether a name is the folder of a bundle."""
    return (Path(wanted) / DESCRIPTION).is_file()


def importance(
    store: AnyStore, wanted: str, sources: Mapping[str, Any], asked: Asked | None = None, *,
    device: str = "auto", access: tuple[str, str] | None = None,
    callback: Callback | None = None,
) -> Importance:  # fmt: skip
    """What a run loses when its inputs are permuted, on units that no model was fitted on.

    Every fold's model scores the units that the fold predicts. Networks are opened from their
    weights; what is fitted to columns is fitted again, and has to give the stored scores.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id or key of a run, or the folder of a bundle, which is asked about rows after its training.
    sources : mapping
        Sources of the task by option (``data``, ``vix``, ``features``), None where the record's own
        are meant.
    asked : Asked, optional
    device : str
        On which networks are asked.
    access : tuple of str, optional
        Verb and question for the ledger; bundles have none.
    callback : Callback, optional

    Raises
    ------
    TruenessError
        With code ``not_binary``, ``no_model`` for scores that were made elsewhere, ``other_data``
        for data that are not those of the run, ``not_reproduced``, ``unknown_group``, ``by``;
        of a bundle ``no_data``, ``training_rows``, ``old_data``, ``one_class``.
    """
    asked, callback = asked or Asked(), callback or Callback()
    if is_bundle(wanted):
        predictor = load(wanted)
        assert isinstance(predictor, Predictor)  # others are asked about words
        return _of_bundle(predictor, sources, asked, callback)
    run, _ = find_run(store, wanted)
    name = " = ".join(names_of(store, run)) or run.key
    check_binary(run, "importances of inputs are")
    check_has_model(run, name)
    data = data_of_run(run, name, sources)
    members = members_of(store, run)
    for one in members:
        _check_same(one, name, data)
    part = measured_part(run)
    callback.on_stage_start("folds", sum(len(one.record["folds"]) for one in members))
    models, notes = models_of_run(store, run, name, data, part, choose_device(device),
                                  partial(callback.on_progress, 1))  # fmt: skip
    by, groups = _groups(models, asked, data, run.spec.task.kind)
    unrecorded = unrecorded_notes(record_access(store, [run], *access)) if access else ()
    rule = run.estimands
    scored = part.frame.with_columns(score=models.scores(FoldModel.logits))
    units = Units(replace(part, frame=scored), rule.block, rule.budget, rule.confidence,
                  within=not task_of(run.spec.task.kind).tabular)  # fmt: skip
    return importance_of(
        models, units, groups, asked, callback, name=name, key=run.key, label=run.record["label"],
        part=counted(rule, rule.measured_on, part), by=by, noun=rule.nouns[0],
        notes=[*notes, *unread([run.spec.task], sources), *_chosen(run), *unrecorded],
    )  # fmt: skip


def _check_same(run: Run, name: str, data: Any) -> None:  # noqa: ANN401 - Data of the task
    """Refuse other data than those of the run: its folds would be others."""
    recorded = run.record["data"]
    if recorded["digest"] != data.digest or not has_same_inputs(run, data):
        raise TruenessError(
            f"{data.in_words()} are not the data of {name} ({recorded['name']}): the folds are "
            "fitted and asked again, which takes the very rows, index and features of the run",
            "other_data",
        )  # fmt: skip


def _chosen(run: Run) -> list[str]:
    """What is optimistic about the units."""
    rule = run.estimands
    if rule.chosen_on != rule.measured_on:
        return []
    return [
        f"the {rule.chosen_on} units also chose epoch, trees or penalty: drops may be optimistic"
    ]


def _groups(models: Models, asked: Asked, data: Any, kind: str) -> tuple[By, list[Group]]:  # noqa: ANN401
    """What is permuted together."""
    tabular = task_of(kind).tabular
    if tabular and asked.by == "family":
        raise TruenessError("columns of a table have no families; leave out --by", "by")
    by: By = asked.by or ("column" if tabular else "family")
    inputs = data.table.frame.columns if tabular else ()
    return by, chosen_groups(groups_of(models.features, by, inputs), asked.groups)


# --------------------------------------------------------------------------------------- bundles


def _of_bundle(
    predictor: Predictor, sources: Mapping[str, Any], asked: Asked, callback: Callback
) -> Importance:
    bundle, first = predictor.bundle, predictor.bundle.members[0]
    if sources.get("data") is None:
        raise TruenessError(
            f"{bundle.folder} was fitted on all of its data; give rows that came after as --data "
            "FILE, with their labels", "no_data",
        )  # fmt: skip
    data = predictor.load(sources)
    if data.digest == bundle.description["data"].get("digest"):
        raise TruenessError(
            f"{data.in_words()} are the data that the bundle was fitted on, which say nothing "
            "about its errors elsewhere; give rows that came after", "training_rows",
        )  # fmt: skip
    notes = [*of_data(bundle, data), *_of_time(predictor)]
    read = predictor.examples(data)
    each = [(one, _labelled(predictor, one, read[rows_key(one.member)], data))
            for one in predictor.opened]  # fmt: skip
    examples, rule = each[0][1], first.spec.estimands
    members = tuple(Member((_of_member(*one, predictor.base_folder),)) for one in each)
    models = Models(members, len(examples.y))
    by, groups = _groups(models, asked, data, bundle.task)
    columns = {"split": np.full(len(examples.y), NEW), "fold": np.zeros(len(examples.y), np.int16),
               **examples.columns(), "score": models.scores(FoldModel.logits)}  # fmt: skip
    part = Predictions(as_frame(columns))
    raised = int((part.score >= predictor.promise.threshold.score).sum())
    units = Units(part, bundle.description["block"], raised, rule.confidence,
                  within=not task_of(bundle.task).tabular)  # fmt: skip
    if not raised:
        notes.append("the bundle raises no alarm on these rows, so there is no precision")
    return importance_of(
        models, units, groups, asked, callback, name=bundle.name,
        key=bundle.description["key"], label=bundle.description["label"], by=by,
        part=counted(replace(rule, measured_on=NEW), NEW, part), noun=rule.nouns[0], notes=notes,
    )  # fmt: skip


def _of_time(predictor: Predictor) -> list[str]:
    """Tables without times cannot say which rows are new."""
    if predictor.bundle.description["refit"]["until"] is not None:
        return []
    return ["the rows have no time: whether some of them were fitted on cannot be told; those that "
            "were make drops too large"]  # fmt: skip


def _labelled(predictor: Predictor, one: Opened, examples: Examples, data: Any) -> Examples:  # noqa: ANN401
    """Examples after the training whose labels are known, by time."""
    bundle, y = predictor.bundle, examples.y
    if task_of(bundle.task).tabular:
        numbers = examples.columns()["id"].astype(np.int64) - 1
        y = labels_of(one.member.spec.task, data.table)[numbers]
    known: NDArray[np.bool_] = y != UNDEFINED
    until = bundle.description["refit"]["until"]
    if until is not None and examples.when is not None:
        known = known & (examples.when > np.datetime64(until))
    if not known.any():
        raise TruenessError(f"no row after {until} has a label yet; give longer data", "old_data")
    rows = np.flatnonzero(known)
    if examples.when is not None:
        rows = rows[np.argsort(examples.when[rows], kind="stable")]
    return replace(examples, y=y).only(rows)


def _of_member(one: Opened, examples: Examples, base_folder: Path) -> FoldModel:
    """A model of a bundle as that of a single fold."""
    spec, rows = one.member.spec, np.arange(len(examples.y))
    if one.member.form == NETWORK:
        from trueness.fit.scoring import windows_reader

        read = windows_reader(spec, one.fitted, len(examples.features), examples.context,
                              choose_device("cpu"), one.member.settings["precision"],
                              base_folder)  # fmt: skip
        return of_windows(0, rows, examples, rows, read)
    x, _ = columns_of(examples, spec.model.inputs, examples.starts(0))
    kind, fitted = spec.model.kind, one.fitted
    explain = fitted.contributions if isinstance(fitted, Explained) else None
    return of_columns(0, examples.features, rows, x, lambda x: logits_of(fitted, x, kind), explain)
