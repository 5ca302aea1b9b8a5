"""Labels for texts: probability, calibrated probability, and when to abstain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import softmax

from trueness.errors import StoreError
from trueness.evaluation.group_calibration import (
    AbstentionThreshold,
    GroupTemperatures,
    abstention_thresholds,
    accepted,
    guaranteed,
)
from trueness.spec.titles import TitlesSpec
from trueness.store import Run
from trueness.text.languages import detect
from trueness.text.sources import clean_text
from trueness.titles.classifier import Classifier

VALIDATION = "validation"


def temperatures_of(run: Run[TitlesSpec]) -> GroupTemperatures:
    """Temperatures that the run fitted on its validation part.

    Raises
    ------
    StoreError
        If the record does not have them.
    """
    try:
        return GroupTemperatures.from_dict(run.record["temperatures"])
    except (KeyError, TypeError):
        raise StoreError(f"{run.key}: the record has no temperatures; run it again") from None


def abstention_thresholds_of(
    run: Run[TitlesSpec], precision: float, confidence: float | None = 0.95
) -> dict[str, AbstentionThreshold]:
    """Thresholds per language at which the run's predictions keep a precision.

    They are chosen on the validation part, from calibrated probabilities; its epoch was chosen
    there as well, which the promise does not know of.

    Parameters
    ----------
    run : Run
    precision : float
        In (0, 1).
    confidence : float or None
        Of the promise; None takes what was observed.
    """
    part = run.predictions().part(VALIDATION)
    probabilities = temperatures_of(run).probabilities(part.scores, part.group)
    return abstention_thresholds(
        part.y, probabilities, part.group, part.blocks(), precision=precision,
        confidence=confidence, min_rows=run.spec.estimands.min_rows,
    )  # fmt: skip


@dataclass(frozen=True)
class Predictor:
    """A classifier with its temperatures and, if a precision is asked for, its thresholds."""

    classifier: Classifier
    temperatures: GroupTemperatures
    thresholds: dict[str, AbstentionThreshold] | None = None

    def predict(
        self, texts: Sequence[str] | pl.Series, languages: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Label of each text, with its probability raw and calibrated.

        Parameters
        ----------
        texts : sequence of n str
            Cleaned here as those of a corpus are.
        languages : sequence of n str, optional
            Codes; detected where they are not given. They choose temperature and threshold,
            never the label.

        Returns
        -------
        polars.DataFrame
            Columns language, label, probability, calibrated; with thresholds abstain, and
            guaranteed: whether the language has a threshold of its own that is certified. n rows.
        """
        series = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)}).select(
            clean_text("text")
        )["text"]
        logits = self.classifier.logits(series).astype(np.float64)
        codes = np.asarray(
            detect(series.to_list())[0] if languages is None else languages, dtype=np.str_
        )
        raw, scaled = softmax(logits, axis=1), self.temperatures.probabilities(logits, codes)
        best = logits.argmax(1)
        columns: dict[str, Any] = {
            "language": codes,
            "label": np.array(self.classifier.classes)[best],
            "probability": raw[np.arange(len(best)), best],
            "calibrated": scaled[np.arange(len(best)), best],
        }
        if self.thresholds is not None:
            columns["abstain"] = ~accepted(scaled, codes, self.thresholds)
            columns["guaranteed"] = guaranteed(codes, self.thresholds)
        return pl.DataFrame(columns)
