"""What the published commands called their options, as fields of a spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from trueness.cli.campaigns import parsed_settings
from trueness.cli.options import CHOICE, Number, StrictInt
from trueness.errors import SpecError

if TYPE_CHECKING:
    from trueness.spec.titles import TitlesSpec


@Parameter(name="*")
@dataclass
class Flags:
    """Settings of one run; what is not given stays as the spec has it.

    Attributes
    ----------
    head
        v1 plain, v2 residual, v3 residual with projection and contrastive loss.
    seq_len
        Tokens after which a text is cut.
    vocabulary
        Entries of the tokenizer that is trained.
    tokenizer
        A tokenizer.json in place of a trained one.
    pretrained
        Folder of a pretrained encoder, as transformers saves it, in place of one from nothing; it
        brings its own tokenizer.
    tune
        Which weights of the pretrained encoder are trained.
    d_model
        Width of the encoder.
    n_layers
        Blocks of the encoder.
    n_heads
        Query heads.
    n_kv_heads
        Key and value heads, which query heads share.
    d_ff
        Inner width of the feed-forward.
    batch_size
        Texts of a batch.
    batch_tokens
        Padded tokens of a batch, in place of batch_size.
    grad_accum
        Batches of an update; its gradient is the mean over all their texts.
    epochs
        Passes over the train part, resumed ones included.
    lr
        Highest learning rate.
    lr_schedule
        How the rate falls.
    lr_warmup_steps
        Updates in which it rises.
    lr_min_scale
        Rate at the end, as a fraction of the highest.
    weight_decay
        Of matrices: not of norms, biases, LayerScale and embeddings.
    dropout
        Of embedding and attention.
    classifier_hidden
        Inner width of the residual head (v2, v3); 0 is that of the encoder.
    classifier_dropout
        Of the head.
    classifier_layernorm_eps
        Of the residual head's norms.
    classifier_no_residual
        Residual head without its skip.
    pooler
        Mean over the tokens, or the first one.
    contrastive_dim
        Width of the projection; with --head v3, like the next three.
    contrastive_weight
        Of the contrastive loss.
    contrastive_temp
        Temperature of the contrastive loss.
    projection_dropout
        Inside the projection.
    label_smoothing
        Fraction of the target that is spread over all classes.
    focal_gamma
        Exponent of the focal factor; 0 is plain cross-entropy.
    focal_alpha
        Factor of the focal loss, with --focal-gamma.
    sampling_alpha
        Languages are drawn in proportion to n ** alpha.
    select_on
        Score on the validation part that picks the epoch.
    min_rows
        Texts that a language needs to be a slice.
    amp
        Precision: fp16 and bf16 halve, float32 does not, auto is bf16 where the device has it.
    ema
        Decay of averaged weights.
    patience
        Epochs without a better score after which training ends.
    seed
        Of initial weights, order and dropout.
    """

    head: Literal["v1", "v2", "v3"] = "v2"
    seq_len: StrictInt | None = None
    vocabulary: StrictInt | None = None
    tokenizer: Path | None = None
    pretrained: Path | None = None
    tune: Annotated[Literal["frozen", "full", "lora"] | None, CHOICE] = None
    d_model: StrictInt | None = None
    n_layers: StrictInt | None = None
    n_heads: StrictInt | None = None
    n_kv_heads: StrictInt | None = None
    d_ff: StrictInt | None = None
    batch_size: StrictInt | None = None
    batch_tokens: StrictInt | None = None
    grad_accum: StrictInt | None = None
    epochs: StrictInt | None = None
    lr: Number | None = None
    lr_schedule: Annotated[Literal["none", "constant", "cosine", "exponential"] | None, CHOICE] = (
        None
    )
    lr_warmup_steps: StrictInt | None = None
    lr_min_scale: Number | None = None
    weight_decay: Number | None = None
    dropout: Number | None = None
    classifier_hidden: StrictInt | None = None
    classifier_dropout: Number | None = None
    classifier_layernorm_eps: Number | None = None
    classifier_no_residual: Annotated[bool, Parameter(negative=())] = False
    pooler: Annotated[Literal["mean", "first", "cls"] | None, CHOICE] = None
    contrastive_dim: StrictInt | None = None
    contrastive_weight: Number | None = None
    contrastive_temp: Number | None = None
    projection_dropout: Number | None = None
    label_smoothing: Number | None = None
    focal_gamma: Number | None = None
    focal_alpha: Number | None = None
    sampling_alpha: Number | None = None
    select_on: Annotated[Literal["macro_f1", "mean_group", "worst_group"] | None, CHOICE] = None
    min_rows: StrictInt | None = None
    amp: Annotated[Literal["auto", "float32", "bf16", "fp16"] | None, CHOICE] = None
    ema: Number | None = None
    patience: StrictInt | None = None
    seed: StrictInt | None = None


def spec_content(flags: Flags, corpus: str, settings: list[str] | None) -> dict[str, Any]:
    """What flags and settings say, as nested dictionaries of a spec."""
    from trueness.yamlfile import merge, nested

    if flags.batch_size is not None and flags.batch_tokens is not None:
        raise SpecError("--batch-tokens stands in place of --batch-size; give one of them")
    head = {"v1": "plain"}.get(flags.head, "residual")
    content: dict[str, Any] = {
        "task": {"kind": "titles", "corpus": corpus, "tokenizer": {"kind": "bpe"}},
        "model": {**_model(flags), "head": {"kind": head}},
        "loss": {"classification": {"kind": "crossentropy"}},
    }
    if flags.head == "v3":
        content["loss"]["contrastive"] = {}
        content["model"]["projection"] = {}
    for name in CONTRASTIVE if flags.head != "v3" else ():
        if getattr(flags, name) is not None:
            raise SpecError(f"--{name.replace('_', '-')} belongs to --head v3, not {flags.head}")
    for name, path in FIELDS.items():
        value = getattr(flags, name)
        if value is not None:
            content = merge(content, nested(path, WORDS.get(value, value)))
    content = merge(content, _focal(flags))
    if flags.classifier_no_residual:
        content = merge(content, nested("model.head.residual", False))
    return merge(content, parsed_settings(settings))


def _model(flags: Flags) -> dict[str, str]:
    """What the model begins with."""
    from trueness.text.pretrained import inspect_folder

    if flags.pretrained is None:
        if flags.tune is not None:
            raise SpecError("--tune belongs to --pretrained; give both")
        return {"kind": "encoder"}
    for name in ("vocabulary", "tokenizer"):
        if getattr(flags, name) is not None:
            raise SpecError(
                f"--{name}: a pretrained encoder brings its own tokenizer; leave it out"
            )
    of = str(flags.pretrained)
    return {"kind": "pretrained", "of": of, "digest": inspect_folder(of, Path()).digest}


def _focal(flags: Flags) -> dict[str, Any]:
    if not flags.focal_gamma:
        if flags.focal_alpha not in (None, 1.0):
            raise SpecError("--focal-alpha without --focal-gamma changes nothing; give both")
        return {}
    alpha = 1.0 if flags.focal_alpha is None else flags.focal_alpha
    focal = {"kind": "focal", "gamma": flags.focal_gamma, "alpha": alpha}
    return {"loss": {"classification": focal}}


def make_spec(content: dict[str, Any]) -> TitlesSpec:
    """Validated spec.

    Raises
    ------
    SpecError
        With the field of the first mistake.
    """
    from pydantic import ValidationError

    from trueness.spec import explain_error
    from trueness.spec.titles import TitlesSpec

    try:
        return TitlesSpec.model_validate(content)
    except ValidationError as error:
        path, message = explain_error(content, dict(error.errors()[0]), TitlesSpec)
        raise SpecError(f"{'.'.join(path) or 'spec'}: {message}") from None


CONTRASTIVE = ("contrastive_dim", "contrastive_weight", "contrastive_temp", "projection_dropout")
"""Flags of the projection and its loss, which only v3 has."""
WORDS = {"none": "constant", "cls": "first"}
"""Values of the published commands under their names here."""
FIELDS = {
    "seq_len": "task.max_tokens",
    "vocabulary": "task.tokenizer.vocabulary",
    "tune": "model.tune",
    "d_model": "model.d_model",
    "n_layers": "model.n_layers",
    "n_heads": "model.n_heads",
    "n_kv_heads": "model.n_kv_heads",
    "d_ff": "model.d_ff",
    "batch_size": "recipe.batch_size",
    "batch_tokens": "recipe.batch_tokens",
    "grad_accum": "recipe.grad_accum",
    "epochs": "recipe.epochs",
    "lr": "recipe.learning_rate",
    "lr_schedule": "recipe.schedule",
    "lr_warmup_steps": "recipe.warmup_steps",
    "lr_min_scale": "recipe.min_scale",
    "weight_decay": "recipe.weight_decay",
    "dropout": "model.dropout",
    "classifier_hidden": "model.head.hidden",
    "classifier_dropout": "model.head.dropout",
    "classifier_layernorm_eps": "model.head.norm_eps",
    "pooler": "model.pooler",
    "contrastive_dim": "model.projection.width",
    "contrastive_weight": "loss.contrastive.weight",
    "contrastive_temp": "loss.contrastive.temperature",
    "projection_dropout": "model.projection.dropout",
    "label_smoothing": "loss.classification.smoothing",
    "sampling_alpha": "recipe.sampling_alpha",
    "select_on": "evaluation.select_on",
    "min_rows": "evaluation.min_rows",
    "amp": "recipe.precision",
    "ema": "recipe.ema",
    "patience": "recipe.patience",
    "seed": "seed",
}
"""Where each flag goes."""
