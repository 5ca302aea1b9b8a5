"""Encoders that were trained elsewhere, under the heads of titles.

transformers builds them, from a folder or from a config whose weights come later. It is imported
when one is built, never asked for code or for anything beyond the folder, and kept silent. Heads,
and vectors of frozen encoders, are in full precision; logits of a text depend neither on its batch
nor on the length it is padded to.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from trueness.errors import SpecError
from trueness.models.heads import HEADS, Projection, classified, pooled_positions, projected
from trueness.models.layers import full_precision, trained
from trueness.own import check_installed, translate_errors
from trueness.spec import titles
from trueness.spec.tuning import Lora

ADAPTER = "lora_"
"""In the names of low-rank matrices."""
Source: TypeAlias = Path | Mapping[str, Any]
"""A folder, or the content of a config whose weights come later."""


class Encoded(nn.Module):
    """Vectors (B, d) that a frozen encoder made before; the mask (B, 1) says nothing."""

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """The vectors."""
        del mask
        return vectors


class PooledEncoder(nn.Module):
    """A model of transformers, token ids (B, T) to one vector (B, d) per text."""

    def __init__(self, model: nn.Module, pooler: str, frozen: bool) -> None:
        super().__init__()
        self.model, self.pooler, self.frozen = model, pooler, frozen

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Last layer, pooled over the tokens of each text, in float32."""
        if not self.frozen:
            return self._pooled(tokens, mask)
        with full_precision(mask):
            return self._pooled(tokens, mask)

    def _pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        visible = (mask | ~mask.any(1, keepdim=True)).long()
        h = self.model(input_ids=tokens, attention_mask=visible).last_hidden_state
        return pooled_positions(h.float(), mask, self.pooler)

    def train(self, mode: bool = True) -> PooledEncoder:
        """Dropout only where something of it is trained."""
        return super().train(mode and not self.frozen)


class PretrainedClassifier(nn.Module):
    """Token ids (B, T), or vectors (B, d) made before, to logits (B, K)."""

    def __init__(
        self, model: titles.Pretrained, encoder: nn.Module, width: int, n_classes: int,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model = model
        self.encoder = encoder
        self.head = HEADS[model.head.kind](model.head, width, n_classes, generator)
        self.projection = None
        if model.projection is not None:
            self.projection = Projection(width, model.norm_eps, model.projection, generator)

    def pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One vector per text, (B, d) float32; shapes as of `trueness.models.TitleClassifier`."""
        return self.encoder(tokens, mask)

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits (B, K) of pooled vectors (B, d), in full precision."""
        return classified(self.head, pooled)

    def project(self, pooled: Tensor) -> Tensor:
        """Points (B, D) of unit length for the contrastive loss, in full precision."""
        return projected(self.projection, pooled)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K) float32 of padded texts."""
        return self.classify(self.pooled(tokens, mask))

    def rates(self) -> dict[str, float]:
        """Fraction of the learning rate by name, where it is not 1.

        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018):
        layers nearer to the tokens learn more slowly.
        """
        tune: Any = self.model.tune
        if self.model.encodes_once:
            return {}
        depth, last = _depths(self.encoder)
        return {
            f"encoder.{name}": tune.rate * tune.layer_decay ** (last - at)
            for name, at in depth.items()
        }

    def complete(self) -> dict[str, Tensor]:
        """All weights under the names of the untuned network, low-rank products added."""
        result = {
            name.replace(".base_layer.", "."): weight.detach()
            for name, weight in self.named_parameters() if ADAPTER not in name
        }  # fmt: skip
        for name, module in self.named_modules():
            if ADAPTER in "".join(child for child, _ in module.named_children()):
                adapted: Any = module
                product = adapted.get_delta_weight("default").detach()
                result[f"{name}.weight"] = result[f"{name}.weight"] + product
        return result


def build_heads(
    model: titles.Pretrained, width: int, n_classes: int, generator: torch.Generator
) -> PretrainedClassifier:
    """Head and projection on vectors (B, d) that were made before.

    Examples
    --------
    >>> frozen = titles.Pretrained(kind="pretrained", of="0123456789ab", head="plain")
    >>> heads = build_heads(frozen, 8, 3, torch.Generator().manual_seed(0))
    >>> heads(torch.zeros(2, 8), mask=torch.ones(2, 1, dtype=torch.bool)).shape
    torch.Size([2, 3])
    """
    return PretrainedClassifier(model, Encoded(), width, n_classes, generator)


def build_pretrained(
    model: titles.Pretrained, source: Source, n_classes: int, generator: torch.Generator
) -> PretrainedClassifier:
    """Whole network on CPU: weights of the folder, heads and low-rank matrices from `generator`.

    Of a config alone, the network is untuned, and its weights are to be loaded.

    Parameters
    ----------
    model : trueness.spec.titles.Pretrained
    source : Path or mapping
        Folder of the encoder, or its config.
    n_classes : int
        K.
    generator : torch.Generator

    Raises
    ------
    SpecError
        With code ``own_missing`` without transformers (or peft), ``unloadable`` if they cannot
        build it, ``no_target`` if no linear map has the name of a target.
    """
    inner = _loaded(source) if isinstance(source, Path) else _blank(source)
    pooled = PooledEncoder(inner, model.pooler, model.encodes_once)
    width = int(inner.config.hidden_size)
    network = PretrainedClassifier(model, pooled, width, n_classes, generator)
    if isinstance(source, Path) and not model.tune.whole:
        pooled.requires_grad_(False)
        if isinstance(model.tune, Lora):
            _add_low_rank(inner, model.tune, generator)
    return network


# ----------------------------------------------------------------------------------- transformers


def _transformers() -> Any:  # noqa: ANN401 - a module
    """transformers, silent, and without a way to the hub."""
    check_installed("transformers")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers
        from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return transformers


def _loaded(folder: Path) -> Any:  # noqa: ANN401 - a module with a config
    """Encoder with the weights of a folder, in float32."""
    transformers = _transformers()
    with translate_errors(f"{folder} cannot be loaded", "unloadable"), _unwarned():
        model, note = transformers.AutoModel.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, use_safetensors=True,
            dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    lost = sorted(name for name in note["missing_keys"] if not name.startswith("pooler."))
    if lost:
        raise SpecError(f"{folder}: no weights for {lost[0]} (and {len(lost) - 1} more)",
                        "unloadable")  # fmt: skip
    return _without_pooler(model)


def _blank(config: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Encoder whose weights are to be loaded."""
    transformers = _transformers()
    with translate_errors("the config of the encoder cannot be used", "unloadable"), _unwarned():
        from transformers.initialization import no_init_weights

        made = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(dict(config))
        with no_init_weights():
            model = transformers.AutoModel.from_config(made, trust_remote_code=False,
                                                       dtype=torch.float32)  # fmt: skip
    return _without_pooler(model)


def _without_pooler(model: Any) -> Any:  # noqa: ANN401
    """The same without the map that its own pooling has, which is not read."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model.eval()


def _unwarned() -> warnings.catch_warnings[None]:
    return warnings.catch_warnings(action="ignore")


# ------------------------------------------------------------------------------------------ tuning


def _add_low_rank(model: nn.Module, tune: Lora, generator: torch.Generator) -> None:
    """Put low-rank matrices beside linear maps, in place; the products are 0 at the start.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2022).
    """
    check_installed("peft")
    linear = [name for name, one in model.named_modules() if isinstance(one, nn.Linear)]
    chosen = tune.chosen(linear)
    with translate_errors("low-rank matrices cannot be added", "unloadable"), _unwarned():
        from peft import LoraConfig, inject_adapter_in_model

        scale: Any = tune.alpha
        inject_adapter_in_model(LoraConfig(
            r=tune.rank, lora_alpha=scale, lora_dropout=tune.dropout, target_modules=chosen,
        ), model)  # fmt: skip
    for name, weight in trained(model).items():
        if "lora_A" in name:  # the others are 0; torch's global generator differs between processes
            bound = 1 / math.sqrt(weight.shape[1])
            with torch.no_grad():
                weight.uniform_(-bound, bound, generator=generator)


def _depths(encoder: nn.Module) -> tuple[dict[str, int], int]:
    """Layer of each weight, from 1; 0 for embeddings; and the last layer."""
    stack, layers = next(
        (name, len(one)) for name, one in encoder.named_modules() if isinstance(one, nn.ModuleList)
    )
    result = {}
    for name, _ in encoder.named_parameters():
        inside = name.removeprefix(f"{stack}.")
        if inside != name:
            result[name] = 1 + int(inside.partition(".")[0])
        else:
            result[name] = 0 if "embed" in name else layers
    return result, layers
