"""Folds that keep the weights of an earlier run: new examples are scored, nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from trueness.examples import Examples
from trueness.fit.device import Device
from trueness.fit.member import FoldFit, Member
from trueness.fit.stack import Stack

CHECKED = 256
"""Known scores of a fold, its latest, that its weights have to give again."""
TOLERANCE = 0.05
"""Of a logit, relative above 1: what half precision and other devices may change."""


def completed(
    fold: FoldFit, member: Member, examples: Examples, device: Device, base_folder: Path = Path()
) -> FoldFit | None:
    """A fold with scores (N,) of the examples that were unknown to it; known ones stay as they are.

    Returns
    -------
    FoldFit or None
        None if its weights do not give its known scores on these examples: their columns changed.
    """
    rows = np.flatnonzero(examples.parts[member.fold])
    known = ~np.isnan(fold.logit[rows])
    again, new = rows[known][-CHECKED:], rows[~known]
    stack = Stack(examples, [member], device, base_folder=base_folder)
    scores = stack.scored(fold.parameters, np.concatenate([again, new]))
    before = fold.logit[again]
    away = np.abs(scores[: len(again)] - before)
    if not (away <= TOLERANCE * np.maximum(1, np.abs(before))).all():
        return None
    best, last = fold.logit.copy(), fold.logit_last.copy()
    best[new] = last[new] = scores[len(again) :]
    return replace(fold, logit=best, logit_last=last)
