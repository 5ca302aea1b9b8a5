"""The verb about what a run has wrong: errors."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import CHOICE, DEFAULT_STORE, Data, OpenTest, Store_, StrictInt, progress
from trueness.cli.output import DEFAULT, Output, check, present

VERB = "errors"


def errors(
    run: str,
    /,
    *,
    language: str = "",
    either: Annotated[str, Parameter(name="--class")] = "",
    given: str = "",
    predicted: str = "",
    search: str = "",
    show: Annotated[Literal["wrong", "right", "all", "unsure", "near"], CHOICE] = "wrong",
    top: StrictInt = 20,
    refit: Annotated[bool, Parameter(negative=())] = False,
    open_test: OpenTest = False,
    data: Data = None,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """List what a run has wrong, the surest first: texts, also right ones; false alarms, misses.

    Of a run on titles: given and predicted label, probability, the most similar training text, the
    words that decided where the run keeps weights, and which classes are mixed. Of a binary label:
    false alarms and missed positives at its largest alarm budget.

    Example: trueness errors M-0 --language de --class Shoes --csv errors.csv

    Parameters
    ----------
    run
        Id or key of a stored run.
    language
        Only texts in this language.
    either
        Only errors in which this class is given or predicted.
    given
        Only texts that are labelled so.
    predicted
        Only texts that are predicted as this class.
    search
        Only texts that hold this, in upper or lower case.
    show
        Of texts: wrong, right or all, the surest first; unsure, the least sure first; near, those
        that resemble a training text, the most similar first.
    top
        Texts that are shown, and whose words are shown; --csv, --parquet and --json have all.
    refit
        Fit n-grams again to show words: their runs keep no weights.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.judge.errors import Asked
    from trueness.labels.errors import How
    from trueness.labels.errors import errors as errors_of
    from trueness.store import Store

    check(output)
    asked = Asked(language, either, given, predicted, search, show)
    how = How(asked, top, open_test, refit, device)
    with progress() as shown:
        result = errors_of(Store(store), run, {"data": data}, how, access=(VERB, str(asked)),
                          callback=shown)  # fmt: skip
    present(result, output)
    return 0
