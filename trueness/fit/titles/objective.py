"""The loss of an update, as a sum over its batches, whatever switches a spec turns.

An update's loss is the weighted mean over all its texts. Each batch gives its part of the sum,
divided by totals of the whole update that are known beforehand, so that several small batches have
the gradient of one large one, and a short last update is not scaled wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trueness.fit.titles.batches import Rows
from trueness.losses.contrastive import CrossBatchMemory, supcon
from trueness.losses.groups import GroupDro, class_weights, language_weights
from trueness.losses.multiclass import classification_loss, kl_to_teacher
from trueness.models.titles_networks import TitleNetwork
from trueness.spec import titles_loss


@dataclass(frozen=True)
class Batch:
    """Tokens (B, T), mask (B, T), classes (B,), languages (B,), and rows (B,) of the train part.

    In place of tokens there may be vectors (B, D).
    """

    tokens: Tensor
    mask: Tensor
    y: Tensor
    language: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Totals:
    """Of an update: weights, texts, and texts that the teacher speaks of."""

    weight: float
    texts: int
    n_with_teacher: int


@dataclass(frozen=True)
class TeacherTargets:
    """Logits of the teacher for some rows: (M, K), and the place of each row, -1 for none, (N,)."""

    logits: Tensor
    place: Tensor


class Objective:
    """Loss of a batch of an update.

    Parameters
    ----------
    loss : TitlesLoss
    y, language : (N,)
        Of the train part.
    counts : (G, K)
        Texts of each language and class in the train part.
    width : int or None
        Of the projection.
    teacher : TeacherTargets, optional
    device : str
    """

    def __init__(
        self, loss: titles_loss.TitlesLoss, y: NDArray[np.int64], language: NDArray[np.int64],
        counts: NDArray[np.int64], width: int | None, teacher: TeacherTargets | None, device: str,
    ) -> None:  # fmt: skip
        self.loss, self.teacher = loss, teacher
        self.classify = classification_loss(
            loss.classification, torch.tensor(counts, dtype=torch.float32, device=device)
        )
        self.n_classes = counts.shape[1]
        weights = _weights(loss, counts)[language, y]
        self.weight = torch.tensor(weights, dtype=torch.float32, device=device)
        self.weight_of = weights
        self.place_of = None if teacher is None else teacher.place.cpu().numpy()
        self.robust = _robust(loss.groups, counts, device)
        contrast = loss.contrastive
        self.memory = None
        if contrast is not None and contrast.memory:
            self.memory = CrossBatchMemory(contrast.memory, width or 1).to(device)

    def totals(self, update: Sequence[Rows]) -> Totals:
        """Totals of an update's batches."""
        rows = np.concatenate(update)
        n_with_teacher = 0 if self.place_of is None else int((self.place_of[rows] >= 0).sum())
        return Totals(float(self.weight_of[rows].sum()), len(rows), n_with_teacher)

    def __call__(self, model: TitleNetwork, pooled: Tensor, batch: Batch, totals: Totals) -> Tensor:
        """Part of a batch in the loss of its update, (); `pooled` (B, d) is what the model made."""
        logits = model.classify(pooled).float()
        each = self.classify(logits, batch.y, batch.language)
        weight = self.weight[batch.rows]
        if self.robust is None:
            value = (each * weight).sum() / totals.weight
        else:
            group = self._group(batch)
            value = self.robust.weigh(each * weight, group) * (len(each) / totals.texts)
        if self.loss.contrastive is not None:
            contrast = self._contrast(model.project(pooled).float(), batch)
            value = value + contrast * (len(each) / totals.texts)
        if self.loss.teacher is not None and totals.n_with_teacher:
            value = value + self._teach(logits, batch) / totals.n_with_teacher
        return value

    def _group(self, batch: Batch) -> Tensor:
        over = getattr(self.loss.groups, "over", "language")
        by_class = over == "language_label"
        return batch.language * self.n_classes + batch.y if by_class else batch.language

    def _contrast(self, z: Tensor, batch: Batch) -> Tensor:
        """Mean over the anchors that have a positive, times the weight of the loss."""
        contrast = self.loss.contrastive
        assert contrast is not None
        crossing = contrast.positives == "cross_language"
        each, has = supcon(
            z, batch.y,
            temperature=contrast.temperature,
            language=batch.language if crossing else None,
            cross_weight=contrast.cross_weight if crossing else 1.0,
            memory=None if self.memory is None else self.memory.points(),
            row=batch.rows,
        )  # fmt: skip
        if self.memory is not None:
            self.memory.push(z.detach(), batch.y, batch.language, batch.rows)
        return contrast.weight * (each * has).sum() / has.sum().clamp(min=1)

    def _teach(self, logits: Tensor, batch: Batch) -> Tensor:
        teacher = self.loss.teacher
        assert teacher is not None
        assert self.teacher is not None
        place = self.teacher.place[batch.rows]
        known = place >= 0
        targets = self.teacher.logits[place.clamp(min=0)].float()
        each = kl_to_teacher(logits, targets, temperature=teacher.temperature)
        return teacher.weight * (each * known).sum()

    def state(self) -> dict[str, Any]:
        """What the losses remember, as tensors."""
        return {
            name: part.state_dict()
            for name, part in (("memory", self.memory), ("robust", self.robust))
            if part is not None
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take `state` back."""
        for name, content in state.items():
            getattr(self, name).load_state_dict(content)


def _weights(loss: titles_loss.TitlesLoss, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of a text by language and class, (G, K)."""
    weights, texts = np.ones(counts.shape), torch.from_numpy(counts)
    if loss.class_weights is not None:
        kind, beta = loss.class_weights.kind, loss.class_weights.beta
        weights = weights * class_weights(kind, texts.sum(0), beta=beta).numpy()
    if isinstance(loss.groups, titles_loss.LanguageWeights):
        chosen = loss.groups.model_dump(exclude={"kind"})
        weights = weights * language_weights(texts.sum(1), **chosen).numpy()[:, None]
    return weights


def _robust(
    groups: titles_loss.Groups | None, counts: NDArray[np.int64], device: str
) -> GroupDro | None:
    if not isinstance(groups, titles_loss.GroupDro):
        return None
    texts = torch.from_numpy(counts)
    sizes = texts.sum(1) if groups.over == "language" else texts.flatten()
    return GroupDro(groups.eta, groups.adjustment, sizes).to(device)
