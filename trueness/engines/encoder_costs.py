"""What runs on titles cost, and what a pretrained encoder asks of its folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.engines import Cost
from trueness.errors import SpecError
from trueness.fit.titles.work import Flops
from trueness.models import (
    heads_parameter_count,
    pretrained_training_bytes,
    titles_flops,
    titles_parameter_count,
    titles_training_bytes,
)
from trueness.own import check_installed
from trueness.spec.titles import TitlesSpec
from trueness.text.corpus import PARTS, Corpus
from trueness.text.foreign import pinned_digest
from trueness.text.pretrained import PretrainedFolder, find_folder

PASSES = 3
"""A training step takes as many forward passes: one forward, two backward."""


def folder_of(spec: TitlesSpec, base_folder: Path = Path()) -> PretrainedFolder | None:
    """Folder of the encoder that a spec begins with; None for one that begins with none.

    Parameters
    ----------
    spec : TitlesSpec
    base_folder : Path
        What its place is seen from.

    Raises
    ------
    DataError
        As `trueness.text.pretrained.find_folder`.
    """
    model: Any = spec.model
    return find_folder(model.of, pinned_digest(model), base_folder) if model.is_pretrained else None


def check_folder(spec: TitlesSpec, base_folder: Path = Path()) -> None:
    """Refuse a run whose folder is not here, or does not fit its settings.

    Raises
    ------
    SpecError
        With code ``own_missing`` without the packages, ``max_tokens`` for more tokens than the
        encoder has positions, ``no_target`` for low-rank matrices beside no map.
    DataError
        As `folder_of`.
    """
    folder, model, wanted = folder_of(spec, base_folder), spec.model, spec.task.max_tokens
    if folder is None:
        return
    tune: Any = getattr(model, "tune", None)
    for package in ("transformers", *tune.extras):
        check_installed(package)
    if folder.most_tokens is not None and wanted > folder.most_tokens:
        raise SpecError(
            f"task.max_tokens {wanted}: {folder.path} knows {folder.most_tokens} positions; give "
            "at most as many", "max_tokens",
        )  # fmt: skip
    tune.parameters(folder.maps, folder.parameters)


def cost_of(spec: TitlesSpec, corpus: Corpus, base_folder: Path = Path()) -> Cost:
    """Weights, work and memory at most, where the size of the vocabulary is known beforehand."""
    folder = folder_of(spec, base_folder)
    vocabulary = getattr(spec.task.tokenizer, "vocabulary", None)
    if folder is None and vocabulary is None:
        return Cost(None, None, None)
    most, k = spec.task.max_tokens, len(corpus.classes)
    rows = len(corpus.part("train"))
    longest = np.array([most])
    (step,) = step_flops(spec, k, vocabulary, folder)(longest)
    gflop = float(step) * rows * spec.recipe.epochs / 1e9
    gflop += encoding_gflop(spec, corpus, folder, longest)
    trained, every = _weights(spec, k, vocabulary, folder)
    held = training_bytes(spec, k, vocabulary, folder, total=rows, longest=most)
    return Cost(trained, None, gflop, None if every == trained else every, held)


def step_flops(
    spec: TitlesSpec, n_classes: int, vocabulary: int | None, folder: PretrainedFolder | None
) -> Flops:
    """Floating-point operations of a training step, by the positions of a text.

    Parameters
    ----------
    spec : TitlesSpec
    n_classes : int
    vocabulary : int or None
        Of an encoder without a folder.
    folder : PretrainedFolder or None
    """
    model: Any = spec.model
    if folder is None:
        return lambda tokens: PASSES * titles_flops(model, vocabulary or 0, n_classes, tokens)
    heads = 2 * PASSES * heads_parameter_count(model, folder.width, n_classes)
    return lambda tokens: model.tune.passes * _forward(folder, tokens) + heads


def encoding_gflop(
    spec: TitlesSpec, corpus: Corpus, folder: PretrainedFolder | None, tokens: NDArray[np.int64]
) -> float:
    """GFLOP of encoding all texts once, where that is done; `tokens` are those of some of them."""
    if folder is None or not spec.model.encodes_once:
        return 0.0
    return sum(len(corpus.part(p)) for p in PARTS) * float(_forward(folder, tokens).mean()) / 1e9


def training_bytes(
    spec: TitlesSpec, n_classes: int, vocabulary: int | None, folder: PretrainedFolder | None,
    *, total: int, longest: int,
) -> int:  # fmt: skip
    """Memory of training with a batch of the longest texts; an estimate.

    Parameters
    ----------
    spec : TitlesSpec
    n_classes : int
    vocabulary : int or None
        Of an encoder without a folder.
    folder : PretrainedFolder or None
    total : int
        Texts of the train part.
    longest : int
        Tokens of the longest.
    """
    model: Any = spec.model
    recipe, rows = spec.recipe, spec.recipe.batch_size
    if recipe.batch_tokens is not None:
        rows = max(1, recipe.batch_tokens // longest)
    rows, averaged = min(rows, total), recipe.ema is not None
    if folder is None:
        return titles_training_bytes(model, vocabulary or 0, n_classes, rows=rows, tokens=longest,
                                     averaged=averaged)  # fmt: skip
    trained, every = _weights(spec, n_classes, vocabulary, folder)
    return pretrained_training_bytes(
        every, trained, layers=0 if model.encodes_once else folder.layers, width=folder.width,
        inner=int(folder.config.get("intermediate_size", 4 * folder.width)),
        positions=rows * longest, averaged=averaged,
    )  # fmt: skip


def _weights(
    spec: TitlesSpec, n_classes: int, vocabulary: int | None, folder: PretrainedFolder | None
) -> tuple[int, int]:
    """Weights that are trained, and all of them."""
    model: Any = spec.model
    if folder is None:
        every = titles_parameter_count(model, vocabulary or 0, n_classes)
        return every, every
    heads = heads_parameter_count(model, folder.width, n_classes)
    inside = model.tune.parameters(folder.maps, folder.parameters)
    return inside + heads, folder.parameters + heads + (0 if model.tune.whole else inside)


def _forward(folder: PretrainedFolder, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Floating-point operations of texts, (n,); see `trueness.models.titles_flops`."""
    maps = sum(math.prod(shape) for shape in folder.maps.values()) * folder.repeats
    return 2.0 * (tokens * maps + 2 * folder.layers * folder.width * tokens**2)
