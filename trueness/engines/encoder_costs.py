"""What runs on titles cost, and what a pretrained encoder asks of its folder."""

from __future__ import annotations

import math
from typing import Any

from trueness.engines import Cost
from trueness.errors import SpecError
from trueness.models import (
    encoder_bytes,
    heads_parameter_count,
    titles_flops,
    titles_parameter_count,
)
from trueness.own import check_installed
from trueness.spec.titles import TitlesSpec
from trueness.text.corpus import Corpus
from trueness.text.pretrained import PretrainedFolder, find_folder


def check_folder(spec: TitlesSpec) -> None:
    """Refuse a run whose folder is not here, or does not fit its settings.

    Raises
    ------
    SpecError
        With code ``own_missing`` without the packages, ``max_tokens`` for more tokens than the
        encoder has positions, ``no_target`` for low-rank matrices beside no map.
    StoreError
        As `trueness.text.pretrained.find_folder`.
    """
    model: Any = spec.model
    for package in ("transformers", *model.tune.extras):
        check_installed(package)
    folder, wanted = find_folder(model.begins_with), spec.task.max_tokens
    if folder.most_tokens is not None and wanted > folder.most_tokens:
        raise SpecError(
            f"task.max_tokens {wanted}: {folder.path} knows {folder.most_tokens} positions; give "
            "at most as many", "max_tokens",
        )  # fmt: skip
    model.tune.parameters(folder.maps, folder.parameters)


def cost_of(spec: TitlesSpec, corpus: Corpus) -> Cost:
    """Weights, work and memory at most, where the size of the vocabulary is known beforehand."""
    if spec.model.begins_with is not None:
        return _of_pretrained(spec, corpus, find_folder(spec.model.begins_with))
    model: Any = spec.model
    vocabulary = getattr(spec.task.tokenizer, "vocabulary", None)
    if vocabulary is None:
        return Cost(None, None, None)
    sizes = model, vocabulary, len(corpus.classes)
    rows = len(corpus.part("train")) * spec.recipe.epochs
    gflop = 3 * titles_flops(*sizes, spec.task.max_tokens) * rows / 1e9
    weights = titles_parameter_count(*sizes)
    held = encoder_bytes(weights, weights, layers=model.n_layers, width=model.d_model,
                         inner=model.d_ff, tokens=_batch_tokens(spec))  # fmt: skip
    return Cost(weights, None, gflop, bytes=held)


def _of_pretrained(spec: TitlesSpec, corpus: Corpus, folder: PretrainedFolder) -> Cost:
    model: Any = spec.model
    heads = heads_parameter_count(model, folder.width, len(corpus.classes))
    inside = model.tune.parameters(folder.maps, folder.parameters)
    trained, every = inside + heads, folder.parameters + heads + (0 if model.tune.whole else inside)
    seen = len(corpus.part("train")) * spec.recipe.epochs
    once = sum(len(corpus.part(part)) for part in ("train", "validation", "test"))
    texts = once if model.encodes_once else model.tune.passes * seen
    flop = _forward(folder, spec.task.max_tokens) * texts + 3 * 2 * heads * seen
    held = encoder_bytes(
        every, trained, layers=0 if model.encodes_once else folder.layers, width=folder.width,
        inner=int(folder.config.get("intermediate_size", 4 * folder.width)),
        tokens=_batch_tokens(spec),
    )  # fmt: skip
    return Cost(trained, None, flop / 1e9, every, held)


def _forward(folder: PretrainedFolder, tokens: int) -> float:
    """Floating-point operations of one text; see `trueness.models.titles_flops`."""
    maps = sum(math.prod(shape) for shape in folder.maps.values()) * folder.repeats
    return 2.0 * (tokens * maps + 2 * folder.layers * folder.width * tokens**2)


def _batch_tokens(spec: TitlesSpec) -> int:
    """Positions of a batch at most."""
    return spec.recipe.batch_tokens or spec.recipe.batch_size * spec.task.max_tokens
