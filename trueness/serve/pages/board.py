"""The leaderboard: the verdict in words, then runs that are sorted, filtered, grouped, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request

from trueness.document import (
    Cell,
    Column,
    Document,
    Field,
    Form,
    Kind,
    Link,
    Part,
    Section,
    Sentence,
    Style,
    Table,
)
from trueness.document.numbers import count
from trueness.errors import TruenessError, nearest
from trueness.judge.choice import (
    JUDGED,
    RECORDED,
    Choice,
    check_fields,
    field_of,
    shown_of,
)
from trueness.judge.group import Model
from trueness.judge.leaderboard_document import field_kind
from trueness.judge.settings import short_name
from trueness.serve.answers import Answer
from trueness.serve.query import ROWS, Query
from trueness.serve.rows import JudgedGroup, Rows, Standing, judge_runs, title_of
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench, options_of, shown, ways

VALUES_SHOWN = 100
UNKNOWN = Standing(0, None, None, None, None, [])
UNJUDGED: dict[str, Standing] = {}


def board(bench: Workbench, request: Request) -> Page:
    """Page of a comparison group."""
    view, query = bench.shelf.current_view(), Query.of(request.query_params)
    if not view.groups:
        return Page(
            Document("Leaderboard", [Sentence("No runs yet; `trueness run demo` makes some.")])
        )
    rows = _rows(bench, view, query, list(view.groups))
    lost = bench.record(view, (model.run for model in rows.models), "leaderboard")
    comparison = comparison_of(bench, view, rows, query.campaign)
    done: JudgedGroup | None = comparison.value
    ordered = rows.ordered(query, done.standings if done else UNJUDGED)
    parts: list[Part] = [
        *lost,
        *shown(comparison, lambda result: result.above, "The verdict"),
        Section("Runs", [
            *_forms(view, query, rows),
            *(_by_value(query, rows, ordered) if query.by else _page(query, rows, ordered, done)),
        ]),
        *(done.below if done else []),
    ]  # fmt: skip
    document = Document("Leaderboard", parts, done.title if done else title_of(rows.models[0].run))
    command = _command(bench, query, rows.group, view)
    page = Page(document, command, waits=comparison.pending or comparison.stale)
    return bench.show(view, page)


def _rows(bench: Workbench, view: View, query: Query, groups: Sequence[str]) -> Rows:
    """Runs that the address speaks of, and nothing that they do not have.

    Raises
    ------
    TruenessError
        With the code ``query``, or those of `check_fields`.
    """
    if query.campaign and query.campaign not in view.campaigns:
        known = nearest(query.campaign, list(view.campaigns))
        raise TruenessError(f"no campaign {query.campaign!r} here; {known}", "query")
    if query.group and query.group not in groups:
        raise TruenessError(f"no comparison group {query.group!r} here", "query")
    for group in [query.group] if query.group else groups:
        rows = bench.rows(view, group, query.campaign)
        if rows.models:
            break
    else:
        raise TruenessError(f"no run of {query.campaign!r} is stored for these units", "query")
    check_fields(query.choice, [rows.fields], JUDGED)
    check_fields(Choice(sort=query.by), [rows.fields])
    return rows


def comparison_of(bench: Workbench, view: View, rows: Rows, campaign: str) -> Answer:
    """The judgement of a whole group, by what it is judged by."""
    question = "leaderboard", rows.group, campaign
    return bench.judge(view, question, judge_runs, rows.keys, campaign)


def _command(bench: Workbench, query: Query, group: str, view: View) -> str:
    """The verb that shows the same rows; what groups them on the page is a column of its own."""
    columns = dict.fromkeys(filter(None, [*query.columns, query.by]))
    options = [
        ("--group", group if len(view.groups) > 1 else ""),
        *(("--where", one) for one in query.where), ("--search", query.search),
        ("--kind", query.kind), ("--sort", query.sort), ("--order", query.order),
        *(("--column", name) for name in columns if name not in JUDGED),
    ]  # fmt: skip
    words = [query.campaign] if query.campaign else []
    return bench.command("leaderboard", *words, *options_of(options))


# -------------------------------------------------------------------------------------------- forms


def _forms(view: View, query: Query, rows: Rows) -> list[Part]:
    """What a reader may choose."""
    titles = [(g, f"{title_of(r[0])} ({count(len(r))})") for g, r in view.groups.items()]
    settings = [(path, path) for path in rows.fields.settings]
    columns = [*((name, name) for name in (*rows.fields.estimates, *RECORDED, *JUDGED)), *settings]
    fields = [
        Field("group", "evaluated on", "choice", rows.group, titles),
        Field("campaign", "campaign", "choice", query.campaign,
              [("", "all"), *((name, name) for name in view.campaigns)]),
        Field("kind", "models", "choice", query.kind,
              [("", "all"), ("candidates", "candidates"), ("baselines", "baselines")]),
        Field("by", "group by", "choice", query.by, [("", "nothing"), *settings]),
        Field("search", "search", "text", query.search, hint="id, model or tag"),
        *(Field("where", "condition", "text", one) for one in query.where),
        Field("where", "condition", "text", "", hint="such as auc>0.6"),
        Field("columns", "columns", "several", query.columns, columns),
        *(Field(n, kind="hidden", value=v)
          for n, v in (("sort", query.sort), ("order", query.order)) if v),
    ]  # fmt: skip
    compares = [] if query.by else [Form("Compare ticked runs", "/compare", rows=True)]
    return [Form("Show", "/leaderboard", fields), *compares]


# ------------------------------------------------------------------------------------------- tables


def _page(query: Query, rows: Rows, ordered: list[Model], done: JudgedGroup | None) -> list[Part]:
    """Rows of one page, and ways to the others."""
    pages = max(1, -(-len(ordered) // ROWS))
    at = min(query.page, pages)
    some = ordered[(at - 1) * ROWS : at * ROWS]
    first = (at - 1) * ROWS + 1
    note = shown_of(len(ordered), len(rows.models))
    if not some:
        return [Sentence(f"{note}: no run meets the conditions.")]
    table = _table(query, rows, some, done)
    note += f", rows {count(first)} to {count(first + len(some) - 1)}"
    pages_near = ways(at, pages, lambda page: query.address(page=page))
    return [Sentence(note, "note"), table, *pages_near]


def _table(query: Query, rows: Rows, some: list[Model], done: JudgedGroup | None) -> Table:
    columns = _columns(query, rows, some)
    standings = done.standings if done else {}
    cells = [[_cell(name, m, standings.get(m.key, UNKNOWN)) for name, _ in columns] for m in some]
    leader = done.leader if done else ""
    styles: list[Style] = [
        "baseline" if m.is_baseline else "leader" if m.key == leader else "" for m in some
    ]
    return Table([c for _, c in columns], cells, styles=styles, ticks=[m.key for m in some])


def _columns(query: Query, rows: Rows, some: list[Model]) -> list[tuple[str, Column]]:
    """Name of each column, and how it is shown."""
    classes = some[0].run.estimands.kind == "classes"
    wanted = [rows.fields.headline, *(rows.fields.estimates[:4] if classes else ["auc"])]
    wanted += ["difference", *([] if classes else ["shrunk", "bound", "against"]), "checks"]
    names = dict.fromkeys(["id", "label", *wanted, *([query.sort] if query.sort else []),
                           *query.columns])  # fmt: skip
    return [(name, _column(name, query, rows, some)) for name in names]


TITLES = {
    "difference": Column("minus best\nbaseline", "difference",
                         help="of what is judged, AUC or macro-F1"),
    "shrunk": Column("shrunk", "share_only", help="shrunk towards the pooled precision"),
    "bound": Column("adjusted\nlower bound", "bound",
                    help="of the precision: one-sided, for all candidates at once"),
    "against": Column("vs leader", "text"), "checks": Column("checks", "link"),
    "id": Column("id", "link", 9), "label": Column("model", "text"),
}  # fmt: skip


def _column(name: str, query: Query, rows: Rows, some: list[Model]) -> Column:
    """One column: its head sorts, estimates are drawn on a common axis."""
    result = TITLES.get(name)
    if result is None and name in rows.fields.estimates:
        known = [m.estimates[name] for m in some]
        kind: Kind = "share" if any(e.k is not None for e in known) else "estimate"
        ends = [x for e in known for x in (e.low, e.high) if x is not None]
        result = Column(
            "AUC" if name == "auc" else name, kind, bar=(min(ends), max(ends)) if ends else None
        )
    elif result is None:
        kind = field_kind(name, [field_of(m, name) for m in some])
        result = Column(short_name(name), kind, digits=4, help=name)
    if name in JUDGED:
        return result
    sorted_by = (query.sort or rows.fields.headline) == name
    is_estimate = name in rows.fields.estimates
    rises = query.order == "ascending" if is_estimate else query.order != "descending"
    falls_next = rises if sorted_by else is_estimate
    address = query.address(sort=name, order="descending" if falls_next else "ascending")
    order = ("ascending" if rises else "descending") if sorted_by else ""
    return replace(result, sort=address, order=order)


def _cell(name: str, model: Model, standing: Standing) -> Cell:
    if name == "id":
        return Link(model.name, f"/run/{model.key}")
    if name in JUDGED:
        return getattr(standing, name)
    if name in model.estimates:
        return model.estimates[name]
    return field_of(model, name)


def _by_value(query: Query, rows: Rows, ordered: list[Model]) -> list[Part]:
    """A row per value of a field: how many runs, the best of them."""
    sort = query.sort if query.sort in rows.fields.estimates else rows.fields.headline
    every = rows.by_value(ordered, query.by)
    result = dict(list(every.items())[:VALUES_SHOWN])
    lines = [
        [
            Link(value, query.address(by="", where=(*query.where, f"{query.by}={value}"))),
            len(models), Link(models[0].name, f"/run/{models[0].key}"), models[0].estimates[sort],
        ]
        for value, models in result.items()
    ]  # fmt: skip
    best = [models[0].estimates[sort] for models in result.values()]
    ends = [x for e in best for x in (e.low, e.high) if x is not None]
    kind: Kind = "share" if any(e.k is not None for e in best) else "estimate"
    columns = [
        Column(query.by, "link", 9), Column("runs", "count"), Column("best run", "link"),
        Column(sort, kind, bar=(min(ends), max(ends)) if ends else None),
    ]  # fmt: skip
    note = (
        "The best of many runs is optimistically biased; contrasts with everything else equal: "
        f"`trueness leaderboard --by {query.by}`."
    )
    if len(every) > len(result):
        note = f"The first {len(result)} of {count(len(every))} values. {note}"
    some = Sentence(shown_of(len(ordered), len(rows.models)), "note")
    return [some, Table(columns, lines, note=note)]
