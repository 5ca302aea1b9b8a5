"""One run: everything known of it, its alarms, its thresholds, its sealed part, its files."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from trueness.document import (
    Column,
    Document,
    Field,
    Form,
    Items,
    Link,
    Part,
    Section,
    Sentence,
    Slider,
    Table,
)
from trueness.document.texts import whole
from trueness.errors import TruenessError
from trueness.judge.access import part_in_words
from trueness.judge.alarm_series import alarm_sections
from trueness.judge.calibration import calibration_section
from trueness.judge.comparison import best_baseline, measured_part
from trueness.judge.demands import demands_of
from trueness.judge.group import Model, Recorded
from trueness.judge.run_sections import estimates_table, facts, split_table
from trueness.judge.show import show
from trueness.judge.slices import slice_sections
from trueness.judge.thresholds import RunThresholds, Thresholds, judge_thresholds
from trueness.predictions import Predictions
from trueness.serve.pages.prices import is_on_bars
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench, shown
from trueness.store import Run

FILE = re.compile(r"\w[\w.-]{0,80}")
MOST_POSITIONS = 1500
"""Of a slider; a longer sweep is thinned where alarms are many."""
UNITS_LISTED = 200
"""Alarms that a slider names at most."""
MOST_BODY = 4096
"""Bytes of a form."""


def run_page(bench: Workbench, request: Request) -> Page:
    """Page of a stored run."""
    view = bench.shelf.current_view()
    run = view.run(request.path_params["key"])
    lost = bench.record(view, [run], "show")
    answer = bench.judge(view, ("show", run.key), shown_run, run.key)
    parts = [
        *_ways(view, run), *lost,
        *shown(answer, lambda result: result.parts, "The judgement of this run"),
        *([] if answer.value else _recorded(view, run)),
    ]  # fmt: skip
    document = Document(_title(view, run), parts, answer.value.subtitle if answer.value else "")
    waits = answer.pending or answer.stale
    return bench.show(view, Page(document, bench.command("show", run.key), waits=waits))


def _recorded(view: View, run: Run[Any]) -> list[Part]:
    """What the record of a run says, as long as it is not judged beside the others."""
    model = Model(view.ids.get(run.key, []), run, Recorded(run.record["estimates"], 1))
    return [Items(facts(model)), *split_table(model), estimates_table(model)]


def shown_run(store: Any, key: str) -> Document:  # noqa: ANN401 - any store
    """What `trueness show` says of a run, with its alarms, its calibration and its whole spec."""
    document = show(store, key).document()
    run = store.run(key)
    parts = [*document.parts, *_alarms(run), *_slices(run), *_calibration(run), _spec(run)]
    return Document(document.title, whole(parts), document.subtitle)


def _title(view: View, run: Run[Any]) -> str:
    return f"{view.name(run.key)} · {run.record['label']}"


def _alarms(run: Run[Any]) -> list[Part]:
    if run.estimands.kind != "binary":
        return []
    try:
        return alarm_sections(measured_part(run), run.estimands.measured_on, run.estimands)
    except TruenessError as error:
        return [Sentence(str(error), "warning")]


def _slices(run: Run[Any]) -> list[Part]:
    """Alarms by year and regime; those by group are among what is shown anyway."""
    if run.estimands.kind != "binary":
        return []
    with contextlib.suppress(TruenessError):  # damaged predictions are told above
        name = run.record["label"]
        return [one for one in slice_sections([(name, run)]) if one.title != "By group"]
    return []


def _calibration(run: Run[Any]) -> list[Part]:
    if run.estimands.kind != "binary" or not run.estimands.probabilities:
        return []
    return [*calibration_section(run.record["label"], run)]


def _spec(run: Run[Any]) -> Section:
    from trueness.judge.settings import content_of, flat, words

    leaves = {k: v for k, v in flat(content_of(run.spec)).items() if not isinstance(v, dict)}
    table = Table([Column("setting", "code", 9), Column("value")],
                  [[path, words(value)] for path, value in leaves.items()])  # fmt: skip
    return Section("Spec", [table], folded=True)


def _ways(view: View, run: Run[Any]) -> list[Part]:
    """Where a reader may go on from a run."""
    links = [Link("files", f"/run/{run.key}/files")]
    if run.estimands.kind == "binary":
        best = best_baseline(view.groups[run.record["comparison_group"]])
        both = f"/compare?run={run.key}&run={best.key}" if best else ""
        other = best is not None and best.key != run.key
        links = [
            Link("thresholds", f"/run/{run.key}/thresholds"),
            *([Link("compare with the best baseline", both)] if other else []), *links,
        ]  # fmt: skip
    if is_on_bars(run):
        links.insert(0, Link("alarms on the price", f"/run/{run.key}/prices"))
    if run.spec.task.kind == "titles":
        links.insert(0, Link("texts", f"/run/{run.key}/texts"))
    before = run.record.get("continues")
    if before in view.runs:
        links.append(Link("the run that it continues", f"/run/{before}"))
    return [Table([Column("go to", "link")], [[links]]), *_sealed(run)]


def _sealed(run: Run[Any]) -> list[Part]:
    """What opens each sealed part that the run has; nothing of it is read before."""
    return [
        Form(
            f"Open the sealed {part_in_words(part)} (the ledger records it for ever)",
            f"/run/{run.key}/open", [Field("part", kind="hidden", value=part)], posts=True,
        )
        for part in run.estimands.sealed
        if part in _parts_of(run)
    ]  # fmt: skip


def _parts_of(run: Run[Any]) -> set[str]:
    """Parts that a run has units of, by its record; those that it may be judged on without one."""
    folds = run.record.get("folds")
    if not folds:
        return set(run.estimands.judged_on)
    return {name for fold in folds for name, sizes in fold.items() if sizes[0]}


# -------------------------------------------------------------------------------------- thresholds


def thresholds_page(bench: Workbench, request: Request) -> Page:
    """Thresholds of a run, with a slider over all of them."""
    view = bench.shelf.current_view()
    run = view.run(request.path_params["key"])
    answer = bench.judge(view, ("thresholds", run.key), swept, run.key, view.name(run.key))
    at = request.query_params.get("at", "")
    parts = shown(answer, lambda result: [_placed(one, at) for one in result],
                  "The sweep of thresholds")  # fmt: skip
    document = Document(f"Thresholds of {_title(view, run)}", parts, run.key)
    waits = answer.pending or answer.stale
    return bench.show(view, Page(document, bench.command("thresholds", run.key), waits=waits))


def run_thresholds(
    store: Any,  # noqa: ANN401 - any store
    key: str,
    name: str,
    on: str | None = None,
    opened: bool = False,
) -> Thresholds:
    """What `trueness thresholds` says of a run."""
    demands = demands_of(None, None, None)
    return judge_thresholds(store, {name: store.run(key)}, demands, on=on, opened=opened)


def swept(store: Any, key: str, name: str) -> list[Part]:  # noqa: ANN401 - any store
    """The slider and what `trueness thresholds` says of a run."""
    return threshold_parts(run_thresholds(store, key, name))


def threshold_parts(result: Thresholds) -> list[Part]:
    """The slider, then what the verb shows."""
    return whole([*(slider(one) for one in result.asked), *result.document().parts])


def _placed(part: Part, at: str) -> Part:
    """A slider where an address says, if it can stand there; any other part as it is."""
    if isinstance(part, Slider) and at.isdecimal() and int(at[:9]) < len(part.table.rows):
        return replace(part, at=int(at[:9]))
    return part


def slider(one: RunThresholds) -> Slider:
    """Every threshold of a sweep, with its alarms and their dates; starts at the largest budget."""
    sweep, rows = one.sweep, positions(one.sweep.alarms)
    unit = "probability" if one.probabilities else "score"
    yearly = sweep.years is not None
    columns = [
        Column(f"threshold: {unit}", "number", digits=4), Column("alarms", "count"),
        Column("hits", "count"), Column("precision", "share"), Column("recall", "share"),
        *([Column("alarms a year", "number", digits=1)] if yearly else []),
    ]  # fmt: skip
    cells = []
    for row in (sweep.threshold(i) for i in rows):
        place = row.probability if one.probabilities else row.cut
        yearly_cell = [row.alarms_per_year] if yearly else []
        cells.append([place, row.alarms, row.hits, row.precision, row.recall, *yearly_cell])
    start = int(np.argmin(np.abs(sweep.alarms[rows] - one.run.estimands.budget)))
    return Slider(
        "Threshold, from few alarms to many", Table(columns, cells), start, _units(one.part),
        [min(UNITS_LISTED, int(sweep.alarms[i])) for i in rows],
    )  # fmt: skip


def positions(alarms: Any) -> list[int]:  # noqa: ANN401 - an array
    """Rows of a sweep that a slider can stand at: all, or ever fewer where alarms are many."""
    n = len(alarms)
    if n <= MOST_POSITIONS:
        return list(range(n))
    return np.unique(np.geomspace(1, n, MOST_POSITIONS).astype(int) - 1).tolist()


def _units(part: Predictions) -> list[tuple[str, bool]]:
    """Units with the highest scores, the highest first: when or what, and whether positive."""
    order = np.argsort(-part.score, kind="stable")[:UNITS_LISTED]
    names = part.id if part.time is None else part.time.astype("datetime64[s]").astype(str)
    groups = part.group
    shown = [
        str(names[i]).removesuffix("T00:00:00") + (f" {groups[i]}" if groups is not None else "")
        for i in order
    ]
    return list(zip(shown, (part.y[order] == 1).tolist(), strict=True))


# ---------------------------------------------------------------------------------- the sealed part


async def posted(request: Request) -> dict[str, str]:
    """Fields of a small form.

    Raises
    ------
    HTTPException
        413 if it is not small.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY:
            raise HTTPException(413)
    return {n: v[-1] for n, v in parse_qs(body.decode("latin-1"), max_num_fields=20).items()}


def opened_page(bench: Workbench, key: str, form: dict[str, str]) -> Page:
    """A sealed part of a run, after the ledger heard of it.

    Raises
    ------
    TruenessError
        With the code ``sealed`` unless a form of this server asks.
    """
    view = bench.shelf.current_view()
    run, part = view.run(key), form.get("part", "")
    if not bench.door.posts(form.get("csrf", "")):
        raise TruenessError("open a sealed part from the page of its run", "sealed")
    if part not in run.estimands.sealed:
        raise TruenessError(f"{key} has no sealed part {part[:40]!r}", "no_part")
    title = f"{part_in_words(part).capitalize()} of {_title(view, run)}"
    if run.estimands.kind == "binary":
        result = run_thresholds(view.store, key, view.name(key), part, opened=True)
        predictions = run.predictions().part(part)
        parts = [*threshold_parts(result), *alarm_sections(predictions, part, run.estimands)]
        command = bench.command("thresholds", key, "--on", part, "--open-test")
    else:
        shown_part = show(view.store, key, part=part, opened=True, access=("show", "")).document()
        parts, command = list(shown_part.parts), bench.command("show", key, "--open-test")
    note = f"The sealed {part_in_words(part)} was opened; the ledger shows that for ever."
    page = Page(Document(title, [Sentence(note, "warning"), *parts], key), command)
    return bench.show(view, page)


# ------------------------------------------------------------------------------------------- files


def files_page(bench: Workbench, request: Request) -> Page:
    """Files of a run to download; those with sealed labels are not among them."""
    view = bench.shelf.current_view()
    run = view.run(request.path_params["key"])
    rows = [
        [Link(name, f"/run/{run.key}/files/{name}") if _offered(run, name) else name,
         facts["bytes"], facts["sha256"]]
        for name, facts in run.record["files"].items()
    ]  # fmt: skip
    columns = [Column("file", "link", 9), Column("bytes", "count"), Column("SHA-256", "code", 3)]
    held = [name for name in run.record["files"] if not _offered(run, name)]
    note = "Without a link: predictions hold the labels of the sealed part." if held else ""
    document = Document(f"Files of {_title(view, run)}", [Table(columns, rows, note=note)])
    return Page(document, bench.command("show", run.key, "--json"))


def _offered(run: Run[Any], name: str) -> bool:
    """Whether a file may be downloaded: one that the record names, inside of its folder."""
    sealed = any(part in _parts_of(run) for part in run.estimands.sealed)
    plain = name in run.record["files"] and FILE.fullmatch(name) is not None
    return plain and not (sealed and name == "predictions.parquet")


def file(bench: Workbench, request: Request) -> Response:
    """One file of a run."""
    run = bench.shelf.current_view().run(request.path_params["key"])
    name = request.path_params["name"]
    if not _offered(run, name) or (run.folder / name).is_symlink():
        raise HTTPException(404)
    return FileResponse(
        run.file(name), media_type="application/octet-stream", filename=f"{run.key}-{name}"
    )
