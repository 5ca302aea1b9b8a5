"""Verbs about labels: audit-labels, label-next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Data, OpenTest, Store_, StrictInt, progress
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError


def audit_labels(
    source: str,
    /,
    *,
    folds: StrictInt = 5,
    seed: StrictInt = 0,
    top: StrictInt = 20,
    accept: Path | None = None,
    out: Path | None = None,
    open_test: OpenTest = False,
    data: Data = None,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Find labels that are wrong: suspects, clusters that contradict themselves, estimated noise.

    Every text is scored by n-grams that were fitted on other clusters; confident learning tells
    which labels are suspect. --csv writes them with an empty column accept; with yes in the rows
    that are to be changed, --accept FILE --out FOLDER writes a corrected copy of the corpus and a
    log.

    Example: trueness audit-labels corpus --csv suspects.csv
    Example: trueness audit-labels corpus --accept suspects.csv --out corrected

    Parameters
    ----------
    source
        Folder of a corpus, or id or key of a run of n-grams, whose settings are then taken.
    folds
        Parts of the clusters that are scored by a model of the others.
    seed
        Of the folds.
    top
        Suspects and clusters that are shown; --csv and --json have all.
    accept
        File of suspects in which some are marked; only they are changed.
    out
        Folder of the corrected copy.
    data
        Folder of the corpus of a run.
    """
    from trueness.labels.accepting import accepted
    from trueness.labels.auditing import audit_labels as audit
    from trueness.labels.auditing import audited
    from trueness.store import Store

    check(output)
    kept, sources = Store(store), {"data": data}
    if (accept is None) != (out is None):
        raise TruenessError("--accept FILE and --out FOLDER belong together", "no_option")
    if accept is not None and out is not None:
        present(accepted(audited(kept, source, sources).corpus, accept, out), output)
        return 0
    with progress() as shown:
        result = audit(kept, source, sources, folds=folds, seed=seed, opened=open_test, top=top,
                      record=True, callback=shown)  # fmt: skip
    present(result, output)
    return 0


def label_next(
    model: str,
    /,
    *,
    texts: Annotated[
        str, Parameter(name="--data", env_var="TRUENESS_DATA", allow_leading_hyphen=True)
    ],
    n: Annotated[StrictInt, Parameter(name=("--n", "-n"))] = 200,
    text_column: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    language_column: str | None = None,
    id_column: str | None = None,
    corpus: str | None = None,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Propose texts to label next: unsure, in rare languages, unlike what is labelled.

    Example: trueness label-next M-0 --data unlabelled.csv --n 200 --csv next.csv

    Parameters
    ----------
    model
        Id or key of a run on titles, or the folder of a bundle.
    texts
        CSV, Parquet, JSONL or text file of texts without labels; - is standard input.
    n
        Texts that are wanted.
    text_column
        Column with the texts; repeatable, joined with spaces.
    language_column
        Column with the languages, which are detected otherwise.
    id_column
        Column that names the rows; their numbers without it.
    corpus
        Folder of the corpus of a run of n-grams, which is fitted again.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.labels.proposing import Texts, propose
    from trueness.store import Store

    check(output)
    read = Texts(texts, text_column, language_column, id_column)
    present(propose(Store(store), model, read, n, sources={"data": corpus}, device=device,
                    access=("label-next", f"{n} of {texts}")), output)  # fmt: skip
    return 0
