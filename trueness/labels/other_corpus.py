"""A stored run on another corpus, whose texts it may have been trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import StoreError, TruenessError
from trueness.judge.access import part_in_words
from trueness.judge.languages import slices_of
from trueness.judge.languages_tables import ClassRun
from trueness.judge.languages_words import words_of
from trueness.labels.scoring import scorer_of
from trueness.predictions import Predictions
from trueness.spec.titles import TitlesSpec
from trueness.store import Run
from trueness.tasks import task_of
from trueness.tasks.titles import rows_of
from trueness.text.corpus import Corpus
from trueness.text.leaks import Leaks, leaks_of
from trueness.text.signatures import FILE, TextSignatures


@dataclass(frozen=True)
class OtherCorpus:
    """What a run says of a part of another corpus.

    Attributes
    ----------
    name : str
        What the run is called.
    run : Run
    corpus : str
        What the corpus is called.
    rows : Predictions
        In the order of the corpus.
    leaks : Leaks
    """

    name: str
    run: Run[TitlesSpec]
    corpus: str
    rows: Predictions
    leaks: Leaks

    def evaluate(self, *, keep_leaks: bool = False) -> ClassRun:
        """Scores per language and class, without the texts that the run was trained on.

        Raises
        ------
        TruenessError
            With code ``all_leaked`` if no other texts are left.
        """
        part, rule = self.leaks.part, replace(self.run.spec.estimands, chosen_on="")
        where = part_in_words(part)
        rows = self.rows if keep_leaks else self.rows.only(~self.leaks.leaked)
        if not len(rows):
            raise TruenessError(
                f"{self.corpus}: {self.name} was trained on every text of its {where}, or on one "
                "of its cluster; give a corpus of other texts", "all_leaked",
            )  # fmt: skip
        result = slices_of(rows.part(part), rule, part)
        return ClassRun(
            self.name, self.run.key, self.run.record["label"], part, result,
            words_of(rule, result.majority, result.judged), f"corpus {self.corpus}",
            {**self.leaks.to_dict(), "kept": keep_leaks},
        )  # fmt: skip


def evaluated_corpus(
    name: str, run: Run[TitlesSpec], corpus: str, part: str, sources: Mapping[str, Any], *,
    device: str = "auto",
) -> OtherCorpus:  # fmt: skip
    """Classify a part of a corpus, and look for texts that the run knows.

    Parameters
    ----------
    name : str
        What the run is called.
    run : Run
        On titles.
    corpus : str
        Folder with the same classes.
    part : str
        Or ``whole`` for the texts of all parts.
    sources : mapping
        Corpus of the run as ``data``, where it keeps no weights and is asked about another one.
    device : str

    Raises
    ------
    TruenessError
        With code ``other_classes``, ``other_fields`` for a corpus with other fields than the run,
        ``no_signatures`` for a run of an earlier version that does not know its training texts, or
        those of `trueness.labels.scoring.scorer_of`.
    """
    opened: Corpus = task_of("titles").load({"data": corpus}).corpus
    if list(opened.classes) != run.record["classes"]:
        raise TruenessError(f"{corpus} has other classes than run {run.key}", "other_classes")
    read = run.record["data"].get("columns", {})
    if any((read.get(n) or None) != (opened.columns.get(n) or None) for n in ("fields", "numbers")):
        raise TruenessError(
            f"{corpus} was not built with the fields that run {run.key} reads; build it with "
            "--fields-of the corpus of the run", "other_fields",
        )  # fmt: skip
    leaks = leaks_of(signatures_of(run).trained_on, opened, part)
    titles = opened.texts(part)
    own = {"data": corpus} if opened.digest == run.record["data"]["digest"] else sources
    logits: NDArray[np.float32] = scorer_of(run, name, own, device)(titles.texts)
    rows = Predictions(rows_of(titles, part, logits), classes=opened.classes)
    return OtherCorpus(name, run, corpus, rows, leaks)


def signatures_of(run: Run) -> TextSignatures:
    """Signatures of the texts of a run on titles.

    Raises
    ------
    StoreError
        With code ``no_signatures`` if it keeps none.
    """
    if FILE not in run.record["files"]:
        raise StoreError(f"{run.key} does not know the texts it was trained on; run it again",
                         "no_signatures")  # fmt: skip
    return TextSignatures.from_bytes(run.file(FILE).read_bytes())
