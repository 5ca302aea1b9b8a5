"""How many hypotheses were ever tested on a part: candidates, epochs, questions, certifications."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.document.numbers import count, plural
from trueness.errors import TruenessError
from trueness.evaluation.guarantee import Method
from trueness.judge.access import versions
from trueness.store import AnyStore, Run
from trueness.store.ledger import Ledger, data_of

VERB = "certify"
"""Under which certifications stand in the ledger."""


def _question(run: Run) -> tuple[object, ...]:
    """What makes runs siblings: the same event on the same data under the same protocol."""
    event = getattr(run.spec.task, "event", None)
    if event is None:
        return (run.record["comparison_group"],)
    return (*event, run.spec.evaluation.protocol)


def _siblings(run: Run, other: Run) -> bool:
    """Whether they answer the same question, or are judged on the same units."""
    same = run.record["comparison_group"] == other.record["comparison_group"]
    return same or _question(run) == _question(other)


def check_together(runs: Sequence[Run]) -> None:
    """Refuse runs that answer different questions.

    Raises
    ------
    TruenessError
        With code ``which_runs`` or ``other_question``.
    """
    if not runs:
        raise TruenessError("no runs to certify; give a key or --campaign", "which_runs")
    for run in runs[1:]:
        if not _siblings(runs[0], run):
            raise TruenessError(
                f"{runs[0].key} and {run.key} differ in data, event or protocol; certify those "
                "that answer the same question", "other_question",
            )  # fmt: skip


def tested_before(
    store: AnyStore, ledger: Ledger, runs: Sequence[Run], part: str, method: Method, sealed: bool
) -> tuple[int, str]:
    """Candidates that were ever tested on a part, those given among them, and what they are."""
    pairs = _asked(ledger, runs, part)
    if sealed:
        n = pairs + _lost(ledger)
        return n, f"{plural(n, 'sequence')}: runs and questions ever evaluated on the {part} part"
    n, counted = _versions_of_siblings(store, ledger, runs, part)
    if method == "holm":
        return n, f"thresholds at fixed alarm rates × {counted}"
    n = max(n, pairs + _lost(ledger))
    return n, f"{plural(n, 'sequence')}: runs and questions ever evaluated on the {part} part"


def _asked(ledger: Ledger, runs: Sequence[Run], part: str) -> int:
    """Runs and questions that anybody has ever evaluated on a part of the data of some runs."""
    return sum(len(ledger.asked(digest, part)) for digest in _keys_by_data(runs))


def _keys_by_data(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Digest of data -> keys of the runs on them, in order."""
    keys: dict[str, list[str]] = {}
    for run in runs:
        keys.setdefault(data_of(run), []).append(run.key)
    return {digest: tuple(sorted(some)) for digest, some in keys.items()}


def _lost(ledger: Ledger) -> int:
    """Runs behind ledger lines that cannot be read: each may have held as many as any other."""
    return ledger.damaged() * max([len(one.keys) for one in ledger.accesses()] or [1])


def certification(ledger: Ledger, runs: Sequence[Run], part: str, question: str) -> int:
    """Which certification on this part of these data it is; asked again it keeps its place.

    Lines of the ledger that cannot be read count as certifications.
    """
    places = [1]
    for digest, keys in _keys_by_data(runs).items():
        asked = [(one.keys, one.question) for one in ledger.accesses(digest, part)
                 if one.verb == VERB]  # fmt: skip
        distinct = list(dict.fromkeys(asked))
        places += [distinct.index((keys, question)) + 1] if (keys, question) in distinct else []
    return max(places) + ledger.damaged()


def _versions_of_siblings(
    store: AnyStore, ledger: Ledger, runs: Sequence[Run], part: str
) -> tuple[int, str]:
    """Every stored run of the same question, once for each epoch it was chosen among there."""
    every = store.all_runs()[0]
    siblings = [other for other in every if any(_siblings(run, other) for run in runs)]
    asked = {key for digest in _keys_by_data(runs) for key, _ in ledger.asked(digest, part)}
    gone = len(asked - {run.key for run in every})
    versions = [versions(run, part) for run in siblings]
    n, total = sum(versions) + gone * max(versions), len(siblings) + gone
    epochs = f" ({count(n)} with the epochs chosen among)" if n > total else ""
    return n, f"{plural(total, 'run')} of the same question, seeds and baselines included{epochs}"
