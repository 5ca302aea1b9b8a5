"""Where a campaign stands: one Markdown page that is the same for the same store."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trueness.judge.axes import AXES
from trueness.judge.comparison import without_seed
from trueness.judge.contrasts import contrasts, natural
from trueness.judge.leaderboard import Arena, Leaderboard, leaderboard
from trueness.judge.words import difference_text, number_text, share_text, verdict
from trueness.spec import Spec
from trueness.store import Store

BEST_SHOWN = 10
STATES = ("declared", "done", "failed", "missing")


class Declared(Protocol):
    """An experiment of a campaign."""

    @property
    def id(self) -> str:
        """Name in the campaign."""
        ...

    @property
    def priority(self) -> str:
        """Which experiments come first."""
        ...

    @property
    def spec(self) -> Spec:
        """Its description."""
        ...


@dataclass(frozen=True)
class Tracker:
    """Counts by family and priority, the best runs, findings and commands that are left."""

    name: str
    title: str
    data: str
    families: dict[str, dict[str, int]]
    priorities: dict[str, dict[str, int]]
    baselines: dict[str, int]
    board: Leaderboard
    findings: list[str]
    pending: list[str]
    failures: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        best = [
            {"comparison_group": arena.title, "verdict": verdict(arena),
             "rows": [row.to_dict() for row in arena.networks[:BEST_SHOWN]]}
            for arena in self.board.arenas if arena.networks
        ]  # fmt: skip
        return {**vars(self), "board": None, "best": best}


def tracker(
    name: str, title: str, data: str, experiments: Sequence[Declared],
    baselines: Sequence[Declared], store: Store, command: str,
    look: tuple[str, str] | None = None,
) -> Tracker:  # fmt: skip
    """Compare what a campaign declares with what a store holds.

    Parameters
    ----------
    name, title, data : str
        Of the campaign, and its bars in words.
    experiments, baselines : sequence of Declared
    store : Store
    command : str
        What trains the campaign; ``--priority P`` is put behind it.
    look : tuple of str, optional
        As for `leaderboard`.
    """
    runs, _ = store.all_runs()
    failures = store.failures()
    states = run_states((*experiments, *baselines), {run.key for run in runs}, failures)
    specs = {without_seed(e.spec) for e in (*experiments, *baselines)}
    keys = {run.key for run in runs if without_seed(run.spec) in specs}
    known = name if name in store.campaigns() else None
    board = Leaderboard([], [], {})
    if keys and known:
        board = leaderboard(store, known, keys=keys, look=look)
    priorities = counts_by(experiments, states, lambda e: e.priority)
    return Tracker(
        name, title, data,
        counts_by(experiments, states, lambda e: e.id.partition("-")[0]), priorities,
        _total([states[e.id] for e in baselines]), board,
        _findings(store, name, keys) if board.arenas else [],
        [line for p, counts in priorities.items() for line in _commands(command, p, counts)],
        {e.id: failures[e.spec.key] for e in experiments if states[e.id] == "failed"},
    )  # fmt: skip


def _commands(command: str, priority: str, counts: dict[str, int]) -> list[str]:
    """What trains the rest of a priority; failed runs only run again if they are asked for."""
    if not counts["failed"] + counts["missing"]:
        return []
    return [
        f"{command} --priority {shlex.quote(priority)}" + (" --retry" if counts["failed"] else "")
    ]


def run_states(
    entries: Sequence[Declared], done: set[str], failures: dict[str, str]
) -> dict[str, str]:
    """Id -> done, failed or missing, by the keys that are stored and that failed."""
    keys = {e.id: e.spec.key for e in entries}
    return {
        id_: "done" if key in done else "failed" if key in failures else "missing"
        for id_, key in keys.items()
    }


def _total(states: Sequence[str]) -> dict[str, int]:
    return {"declared": len(states), **{state: states.count(state) for state in STATES[1:]}}


def counts_by(
    experiments: Sequence[Declared], states: dict[str, str], group: Callable[[Declared], str]
) -> dict[str, dict[str, int]]:
    """Group -> how many are in each state, groups in natural order."""
    by: dict[str, list[str]] = {}
    for entry in experiments:
        by.setdefault(group(entry), []).append(states[entry.id])
    return {name: _total(by[name]) for name in sorted(by, key=natural)}


def _findings(store: Store, campaign: str, keys: set[str]) -> list[str]:
    """Differences along any axis that remain after correction for the variants of their table."""
    found = []
    for by in AXES:
        for table in contrasts(store, campaign, by, keys=keys).tables:
            for row in table.found:
                m = len(table.compared)
                difference = difference_text(row.contrast.simultaneous if row.contrast else None)
                found.append(
                    f"{by}: {row.variant} is {row.verdict} than {table.reference}, AUC "
                    f"{difference}, the larger one in {row.ahead} of {row.pairs} pairs "
                    f"({', '.join(row.experiments)}); corrected for {m} "
                    f"{'variant' if m == 1 else 'variants'}" + (f"; {row.note}" if row.note else "")
                )
    return found


# --------------------------------------------------------------------------------------------- page


def tracker_page(found: Tracker) -> str:
    """Markdown page of a tracker."""
    networks = _total_row(found.families)
    lines = [
        f"# {found.title}", "",
        f"Campaign `{found.name}` on {found.data}: {networks['declared']} experiments, "
        f"{networks['done']} done, {networks['failed']} failed, {networks['missing']} missing; "
        f"{found.baselines['done']} of {found.baselines['declared']} baselines done.", "",
        "## Families", "", *_state_table("family", found.families), "",
        "## Priorities", "", *_state_table("priority", found.priorities), "",
        "## Best results", "", *_best(found), "",
        "## Findings that hold after correction", "", *_finding_lines(found), "",
        "## Pending", "", *_pending(found),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _total_row(groups: dict[str, dict[str, int]]) -> dict[str, int]:
    return {state: sum(counts[state] for counts in groups.values()) for state in STATES}


def _state_table(what: str, groups: dict[str, dict[str, int]]) -> list[str]:
    rows = [[name, *map(str, counts.values())] for name, counts in groups.items()]
    return _table([what, *STATES], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]


def _best(found: Tracker) -> list[str]:
    arenas = [arena for arena in found.board.arenas if arena.networks]
    if not arenas:
        return ["No runs yet."]
    lines: list[str] = []
    for arena in arenas:
        rows = [_row(i, arena) for i in range(len(arena.networks[:BEST_SHOWN]))]
        budget = max(arena.networks[0].run.spec.evaluation.alarms)
        header = (
            "", "id", "model", "hits", "alarms", f"precision, top {budget}",
            f"recall, top {budget}",
            "precision at 0.5", "recall at 0.5", "AUC",
        )  # fmt: skip
        lines += [
            *([""] if lines else []), f"**{arena.title}.** {_plural(arena.candidates)}, by the "
            "lower end of the precision; hits/alarms, percent and "
            f"{arena.networks[0].run.spec.evaluation.confidence_pct:g} % interval, not corrected "
            f"for the choice. Base rate {arena.base_rate}.", "", *_table(header, rows), "",
            verdict(arena),
        ]  # fmt: skip
    return lines


def _plural(candidates: int) -> str:
    return f"{candidates} candidate{'s' * (candidates != 1)}"


def _row(i: int, arena: Arena) -> list[str]:
    row = arena.networks[i]
    budget = max(row.run.spec.evaluation.alarms)
    top = row.estimates[f"precision@{budget}"]
    shares = (f"precision@{budget}", f"recall@{budget}", "precision@0.5", "recall@0.5")
    texts = [share_text(row.estimates[name]) for name in shares]
    auc = number_text(row.estimates["auc"])
    return [str(i + 1), row.name, row.label, str(top.k), str(top.n), *texts, auc]


def _finding_lines(found: Tracker) -> list[str]:
    """What remains of the leaders and along the axes, or that nothing does."""
    arenas = [arena for arena in found.board.arenas if arena.networks]
    if not arenas:
        return ["None: nothing has run."]
    remains = [line for arena in arenas for line in _leads(arena)]
    remains += [f"* {line}." for line in found.findings]
    if not remains:
        return [
            "None: no leader beats all of its siblings or the best baseline, and along "
            f"{', '.join(AXES)} no difference to a reference remains after correction."
        ]
    return [
        *remains, "",
        "Corrected within each comparison, not over all of them; intervals resample days, not "
        "seeds.",
    ]  # fmt: skip


def _leads(arena: Arena) -> list[str]:
    leader, nulls = arena.networks[0], arena.nulls
    found = []
    if nulls is not None and nulls.beats_siblings:
        found.append(f"* {leader.name} is better in AUC than all {nulls.siblings} siblings.")
    if nulls is not None and nulls.baseline is not None and nulls.baseline.verdict == "better":
        difference = difference_text(nulls.baseline.simultaneous)
        found.append(f"* {leader.name} is better than the best baseline, AUC {difference}.")
    return found


def _pending(found: Tracker) -> list[str]:
    failed = [f"* {id_} failed: {reason}" for id_, reason in found.failures.items()]
    if not found.pending:
        return ["Nothing: every experiment is done."]
    return [*failed, *([""] if failed else []), "```", *found.pending, "```"]
