"""Published studies, read from their folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueness.errors import DataError, first_line
from trueness.files import foreign_json
from trueness.judge.studies.trials import PUBLISHED, Levels, Study, from_rows, level_of, order
from trueness.reading import read_table

PUBLISHED_POSITIVES, PUBLISHED_EXAMPLES = 76, 422
"""Positives of the published validation part, and all of its windows."""
FILES = ("all_trials.json", "study.json", "trial_metrics.csv")


def study_folders(folder: Path) -> list[Path]:
    """Subfolders that hold a published study, by name."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a folder with {FILES[0]}", "no_folder")
    return sorted(one for one in folder.iterdir() if (one / FILES[0]).is_file())


def read_study(folder: str | Path) -> Study:
    """Read a published study: ``all_trials.json``, and beside it any of the files of `FILES`.

    Forced trials have empty parameters; theirs stand in ``user_attrs.forced_*`` and are put in
    their place. Without ``study.json`` the space is what was tried; without
    ``trial_metrics.csv`` true sizes and score ranges are unknown.

    Raises
    ------
    DataError
        If the folder is no study, or its files cannot be read.
    """
    folder = Path(folder)
    if not (folder / FILES[0]).is_file():
        inside = len(study_folders(folder))
        hint = f"; it holds {inside} studies, --all reads them" if inside else ""
        raise DataError(f"{folder}: not a study, {FILES[0]} is missing{hint}", "no_study")
    rows = _json(folder / FILES[0])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{folder / FILES[0]}: a list of trials is expected", "no_list")
    about = _json(folder / FILES[1]) if (folder / FILES[1]).is_file() else {}
    if not isinstance(about, dict):
        raise DataError(
            f"{folder / FILES[1]}: an object with tier, budget_label, ... is expected", "no_object"
        )
    _check_direction(folder / FILES[1], about)
    measured = _measured(folder / FILES[2])
    budget, tier = _named(folder.name, about)
    positives = about.get("n_positives", PUBLISHED_POSITIVES)
    examples = about.get("n_examples", PUBLISHED_EXAMPLES)
    notes = [
        f"intervals of single values suppose {examples} validation windows with {positives} "
        "positives" + ("" if "n_positives" in about else ", as published")
    ]
    if about.get("published_best_params") == {}:
        notes.append("the source names no best parameters, as a forced trial won; resolved here")
    return from_rows(
        folder.name, [_published_row(row, measured) for row in rows], _space(folder, about),
        budget=budget, tier=tier, kind=str(about.get("kind", "?")), positives=positives,
        examples=examples, notes=notes,
    )  # fmt: skip


def _check_direction(path: Path, about: Mapping[str, Any]) -> None:
    """Refuse a study whose lowest value is the best one.

    Raises
    ------
    DataError
    """
    note = about.get("direction", about.get("directions"))
    several = note if isinstance(note, list) else [note]
    if any(str(one).rpartition(".")[2].upper() in ("MINIMIZE", "1") for one in several):
        raise DataError(
            f"{path}: the study minimises its value; here the highest is the best, so give one "
            "that maximises", "minimised",
        )  # fmt: skip


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return foreign_json(path, nan=True)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a JSON file that can be read ({first_line(error)})", "unreadable"
        ) from None


def _named(name: str, about: Mapping[str, Any]) -> tuple[str, str]:
    """Budget and tier by the description, else by the folder's name, such as a50_2m_forced."""
    budget = re.search(r"(?:^|_)(\d+(?:\.\d+)?[kmb])(?:_|$)", name, re.IGNORECASE)
    tier = re.search(r"(?:^|_)(a\d+)(?:_|$)", name)
    return (
        str(about.get("budget_label", budget[1].upper() if budget else "?")),
        str(about.get("tier", tier[1] if tier else "?")),
    )


def _space(folder: Path, about: Mapping[str, Any]) -> Levels | None:
    space = about.get("search_space")
    if space is None:
        return None
    if not isinstance(space, dict) or not all(isinstance(v, list) and v for v in space.values()):
        raise DataError(
            f"{folder / FILES[1]}: search_space must be names with lists of levels", "space"
        )
    where = str(folder / FILES[1])
    return {k: tuple(sorted((level_of(where, k, v) for v in space[k]), key=order)) for k in space}


def _measured(path: Path) -> dict[str, dict[str, str | None]]:
    """Trial number -> its line in the table of measures, empty if there is none."""
    if not path.is_file():
        return {}
    frame = read_table(path).frame
    return {row.get("trial") or "": row for row in frame.iter_rows(named=True)}


def _published_row(
    row: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A published trial with its forced parameters resolved."""
    attributes, params, forced = row.get("user_attrs") or {}, row.get("params") or {}, None
    for what, result in (("user_attrs", attributes), ("params", params)):
        if not isinstance(result, dict):
            raise DataError(
                f"trial {row.get('number')}: {what} {result!r} are not names and values", "params"
            )
    if attributes.get("forced_extreme"):
        forced = str(attributes.get("extreme_type", "forced"))
        params = {k: attributes[f"forced_{k}"] for k in PUBLISHED if f"forced_{k}" in attributes}
    line = measured.get(str(row.get("number")), {})
    low, high = (_cell(line, attributes, f"{side}") for side in ("pred_min", "pred_max"))
    return {
        **{name: row.get(name) for name in ("number", "value", "values", "state")},
        "params": params, "forced": forced, "parameters": _cell(line, {}, "param_count"),
        "scores": None if low is None or high is None else (low, high),
        "recall": _cell(line, attributes, "recall"),
        "seconds": _cell(line, attributes, "duration_sec"),
    }  # fmt: skip


def _cell(line: Mapping[str, Any], attributes: Mapping[str, Any], name: str) -> float | None:
    """A measure by the table, else by the trial's attributes; None if neither has it."""
    for result in (line.get(name), attributes.get(name), attributes.get(f"val_{name}")):
        if result not in (None, ""):
            try:
                return float(result)
            except (TypeError, ValueError):
                raise DataError(f"{name} {result!r} is not a number", "number") from None
    return None
