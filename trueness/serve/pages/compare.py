"""Two to six runs beside each other: what differs in them first, then what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from starlette.requests import Request

from trueness.document import Column, Document, HConcat, Part, Section, Sentence, Shaded, Table
from trueness.document.numbers import count, plural
from trueness.document.texts import whole
from trueness.errors import TruenessError
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.compare import Named, compare
from trueness.judge.compare_several import pairwise
from trueness.judge.comparison import measured_part
from trueness.judge.curves import alarm_curve
from trueness.judge.leaderboard import leaderboard
from trueness.judge.leaderboard_document import further_parts, main_table, verdict_parts
from trueness.judge.settings import MISSING, differing, stored_value, words
from trueness.serve.workbench import Page, Workbench, shown
from trueness.store import Run

MOST = 6
Pair = tuple[str, Run[Any]]


def compare_page(bench: Workbench, request: Request) -> Page:
    """Page of the runs that an address names.

    Raises
    ------
    TruenessError
        With the code ``query`` unless there are two to six of them.
    """
    view = bench.shelf.current_view()
    keys = list(dict.fromkeys(request.query_params.getlist("run")))
    if not 2 <= len(keys) <= MOST:
        raise TruenessError(
            f"{plural(len(keys), 'run')} to compare: tick two to {MOST} on the leaderboard", "query"
        )
    runs = [(view.name(key), view.run(key)) for key in keys]
    answer = bench.judge(view, ("compare", *keys), compared, tuple(keys))
    parts = [_settings(runs), *shown(answer, list, "The comparison")]
    document = Document(" and ".join(name for name, _ in runs), parts)
    command = "; ".join(bench.command("compare", *pair) for pair in combinations(keys, 2))
    return bench.show(view, Page(document, command, waits=answer.pending or answer.stale))


def _settings(runs: Sequence[Pair]) -> Section:
    """Settings in which the runs differ."""
    specs = [run.spec for _, run in runs]
    rows = []
    for path in differing(specs):
        values = [stored_value(spec, path) for spec in specs]
        rows.append([path, *("not there" if v is MISSING else words(v) for v in values)])
    if not rows:
        return Section("What differs in them", [Sentence("Nothing but the seed.")])
    columns = [Column("setting", "code", 9), *(Column(name) for name, _ in runs)]
    return Section("What differs in them", [Table(columns, rows)])


def compared(store: Any, keys: Sequence[str]) -> list[Part]:  # noqa: ANN401 - any store
    """What `trueness compare` says of two runs; of more, the judgement of all of them."""
    if len(keys) == 2:
        result = compare(store, *keys, access=("compare", keys[1]))
        return whole(result.document().parts)
    runs = [store.run(key) for key in keys]
    if len({run.record["comparison_group"] for run in runs}) > 1:
        raise TruenessError("these runs were measured on other units; compare two of them",
                            "other_units")  # fmt: skip
    board = leaderboard(store, keys=set(keys), access=("leaderboard", "compared"))
    (group,) = board.groups
    named = [(model.name, model.run) for model in group.models]
    pairs = pairwise(store, [Named(*one) for one in named])
    if group.classes is not None:
        return whole([*verdict_parts(group), pairs, *further_parts(group)])
    parts = [*verdict_parts(group), main_table(group), pairs, *further_parts(group)]
    curves = HConcat([alarm_curve(named, what) for what in ("precision", "recall")])
    return whole([*parts, Section("Precision and recall over the alarm rate", [curves]),
                  agreement(named)])  # fmt: skip


def agreement(runs: Sequence[Pair]) -> Section:
    """How many of the alarms at the largest budget two runs have in common."""
    parts = [measured_part(run) for _, run in runs]
    budget = min(runs[0][1].estimands.budget, len(parts[0]))
    raised = [part.score > alarm_cut(part.score, budget) for part in parts]
    rows = [[name, *(_common(one, other) for other in raised)]
            for (name, _), one in zip(runs, raised, strict=True)]  # fmt: skip
    columns = [Column("alarms of", "text", 9),
               *(Column(name, "text", shade="share") for name, _ in runs)]  # fmt: skip
    note = (
        f"Alarms that both raise, of those that either does; each may raise {count(budget)}. "
        "Runs that agree on nearly all alarms are one candidate, not two."
    )
    return Section("Agreement of alarms", [Table(columns, rows, note=note)])


def _common(one: Any, other: Any) -> Shaded:  # noqa: ANN401 - arrays
    both, either = int(np.sum(one & other)), int(np.sum(one | other))
    return Shaded(f"{count(both)}/{count(either)}", both / either if either else None)
