"""Which parts of a run may be judged, which may choose for others, and what is counted in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trueness.document import Part, Sentence
from trueness.document.numbers import count
from trueness.errors import StoreError, TruenessError
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.store import AnyStore, Run
from trueness.store.ledger import data_of, ledger_lines

IN_WORDS = {"oof": "out-of-fold"}
"""Part -> what its units are called; its own name for the others."""
EARLIER = "validation"
"""The part that may choose thresholds: before a test part, or inside each fold of the others."""


def check_binary(run: Run, what: str) -> None:
    """Refuse a run of K classes.

    Raises
    ------
    TruenessError
        With code ``not_binary``.
    """
    if run.estimands.kind != "binary":
        more = "; see `trueness finalize --precision`" * (run.spec.task.kind == "titles")
        raise TruenessError(
            f"{run.key}: {what} about binary labels, and this run has "
            f"{len(run.record['classes'])} classes{more}", "not_binary",
        )  # fmt: skip


def check_probabilities(run: Run, what: str) -> None:
    """Refuse a run whose scores only rank.

    Raises
    ------
    TruenessError
        With code ``scores_only_rank``.
    """
    if not run.estimands.probabilities:
        raise TruenessError(
            f"{run.key}: its scores only rank, so {what}; judge probabilities or logits instead",
            "scores_only_rank",
        )


def check_evaluated_on(run: Run, name: str) -> None:
    """Refuse a part that no run of its kind is judged on, such as that of its training.

    Raises
    ------
    TruenessError
        With code ``no_part``.
    """
    known = run.estimands.judged_on
    if name not in known:
        raise TruenessError(
            f"{run.key} is judged on {' or '.join(known)}, not on {name}", "no_part"
        )


def check_part(run: Run, predictions: Predictions, name: str) -> None:
    """Refuse a part that a run does not have, or that is inside its training.

    Raises
    ------
    TruenessError
        With code ``no_part``.
    """
    check_evaluated_on(run, name)
    if not predictions.has(name):
        raise TruenessError(
            f"{run.key} has no {name} part: the data end before it begins", "no_part"
        )


def earlier_part(predictions: Predictions, name: str) -> Predictions | None:
    """Part whose labels may choose a threshold for another one; None if there is none."""
    if name == EARLIER or not predictions.has(EARLIER):
        return None
    return predictions.part(EARLIER)


def earlier_name(name: str) -> str:
    """What that part is called beside another one: inside each fold for units out of fold."""
    return f"inner {EARLIER}" if name == "oof" else EARLIER


def units_in_words(rule: Estimands, name: str, *, n: int = 2) -> str:
    """Units of a part in a sentence, such as ``out-of-fold days``.

    Examples
    --------
    >>> rule = Estimands("binary", "auc", "oof", "", ("oof",), nouns=("day", "series"))
    >>> units_in_words(rule, "oof"), units_in_words(rule, "test", n=1)
    ('out-of-fold days', 'test day')
    """
    return f"{IN_WORDS.get(name, name)} {rule.nouns[0]}{'s' * (n != 1)}"


def counted(rule: Estimands, name: str, part: Predictions) -> str:
    """How many units, and when: ``500 out-of-fold days, 2011-01-03 to 2012-12-04``."""
    shown = f"{count(len(part))} {units_in_words(rule, name, n=len(part))}"
    if "time" in part:
        times = part.frame["time"]
        shown += f", {str(times[0])[:10]} to {str(times[-1])[:10]}"
    return shown


def cautions(rules: Iterable[Estimands]) -> list[Part]:
    """What results may not claim, once each."""
    note = dict.fromkeys(rule.caution for rule in rules if rule.caution)
    return [Sentence(f"Caution: {one}.", "warning") for one in note]


def run_title(name: str, run: Run) -> str:
    """Name and label of a run, which may be the same."""
    label = run.record["label"]
    return name if name.endswith(label) else f"{name} · {label}"


def ledger_sentences(store: AnyStore, runs: Sequence[Run]) -> list[str]:
    """How often the data of some runs were evaluated, or that the ledger cannot be read."""
    digests = dict.fromkeys(data_of(run) for run in runs)
    try:
        return [line for digest in digests for line in ledger_lines(store, digest)]
    except StoreError as error:
        return [f"ledger: {error}"]


def unrecorded_notes(why: str) -> tuple[str, ...]:
    """A note that an access could not be recorded; none without a reason."""
    return (f"this access is not recorded: {why}",) if why else ()
