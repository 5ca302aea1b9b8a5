"""Losses: pure functions of logits, one value per example, in one table per task.

`binary` holds those of one logit (``LOSSES``), `multiclass` those of K logits
(``CLASSIFICATION``), `contrastive` those of points on a sphere, and `groups` what weighs texts by
language and class.
"""

from trueness.losses.binary import (
    LOSSES,
    asymmetricfocal,
    bce,
    calibratedfocal,
    entropyreg,
    focal,
    labelsmoothing,
    ldam,
    logitadjusted,
    partialauc,
    poly,
    softauc,
    toppush,
    variancereg,
    weightedbce,
    weightedsum,
)
from trueness.losses.contrastive import CrossBatchMemory, Points, supcon, supcon_floor
from trueness.losses.groups import (
    GroupDro,
    class_weights,
    language_weights,
    sampling_probabilities,
)
from trueness.losses.multiclass import CLASSIFICATION, classification_loss, kl_to_teacher

__all__ = [
    "CLASSIFICATION",
    "LOSSES",
    "CrossBatchMemory",
    "GroupDro",
    "Points",
    "asymmetricfocal",
    "bce",
    "calibratedfocal",
    "class_weights",
    "classification_loss",
    "entropyreg",
    "focal",
    "kl_to_teacher",
    "labelsmoothing",
    "language_weights",
    "ldam",
    "logitadjusted",
    "partialauc",
    "poly",
    "sampling_probabilities",
    "softauc",
    "supcon",
    "supcon_floor",
    "toppush",
    "variancereg",
    "weightedbce",
    "weightedsum",
]
