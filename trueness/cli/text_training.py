"""Verbs that train on titles: text train, text run, text demo."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Json,
    OpenTest,
    Store_,
    Whole,
    console,
    part_of,
    print_json,
    print_rows,
    progress,
)
from trueness.errors import SpecError

if TYPE_CHECKING:
    from trueness.campaign.titles import TitlesCampaign
    from trueness.spec.titles import TitlesSpec
    from trueness.store import Store
    from trueness.text.corpus import Corpus
    from trueness.titles.running import Options, TitlesSummary

EXIT_INTERRUPTED = 130
SYNTHETIC_ROWS = 60_000
Settings = Annotated[
    list[str] | None,
    Parameter(
        name="--set",
        negative=(),
        help="Any field of the spec, as loss.groups.kind=dro; repeatable.",
    ),
]
CorpusFolder = Annotated[str | None, Parameter(name="--corpus", help="Folder, or synthetic.")]


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
        Batches of an update.
    epochs
        Passes over the train part.
    lr
        Highest learning rate.
    lr_schedule
        How the rate falls.
    lr_warmup_steps
        Updates in which it rises.
    lr_min_scale
        Share of the rate at the end.
    weight_decay
        Of matrices.
    dropout
        Of embedding and attention.
    classifier_hidden
        Inner width of the residual head; 0 is that of the encoder.
    classifier_dropout
        Of the head.
    classifier_layernorm_eps
        Of the residual head's norms.
    classifier_no_residual
        Residual head without its skip.
    pooler
        Mean over the tokens, or the first one.
    contrastive_dim
        Width of the projection of v3.
    contrastive_weight
        Of the contrastive loss of v3.
    contrastive_temp
        Temperature of the contrastive loss.
    projection_dropout
        Inside the projection.
    label_smoothing
        Share of the target spread over all classes.
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
    seq_len: Whole | None = None
    vocabulary: Whole | None = None
    tokenizer: Path | None = None
    d_model: Whole | None = None
    n_layers: Whole | None = None
    n_heads: Whole | None = None
    n_kv_heads: Whole | None = None
    d_ff: Whole | None = None
    batch_size: Whole | None = None
    batch_tokens: Whole | None = None
    grad_accum: Whole | None = None
    epochs: Whole | None = None
    lr: float | None = None
    lr_schedule: Literal["none", "constant", "cosine", "exponential"] | None = None
    lr_warmup_steps: Whole | None = None
    lr_min_scale: float | None = None
    weight_decay: float | None = None
    dropout: float | None = None
    classifier_hidden: Whole | None = None
    classifier_dropout: float | None = None
    classifier_layernorm_eps: float | None = None
    classifier_no_residual: Annotated[bool, Parameter(negative=())] = False
    pooler: Literal["mean", "first", "cls"] | None = None
    contrastive_dim: Whole | None = None
    contrastive_weight: float | None = None
    contrastive_temp: float | None = None
    projection_dropout: float | None = None
    label_smoothing: float | None = None
    focal_gamma: float | None = None
    focal_alpha: float | None = None
    sampling_alpha: float | None = None
    select_on: Literal["macro_f1", "mean_language", "worst_language"] | None = None
    min_rows: Whole | None = None
    amp: Literal["auto", "float32", "bf16", "fp16"] | None = None
    ema: float | None = None
    patience: Whole | None = None
    seed: Whole | None = None


def spec_content(flags: Flags, corpus: str, settings: list[str] | None) -> dict[str, Any]:
    """What flags and settings say, as nested dictionaries of a spec."""
    from trueness.yamlfile import merge

    head = {"v1": "plain"}.get(flags.head, "residual")
    content: dict[str, Any] = {
        "task": {"kind": "titles", "corpus": corpus, "tokenizer": {"kind": "bpe"}},
        "model": {"kind": "encoder", "head": {"kind": head}},
        "loss": {"classification": {"kind": "crossentropy"}},
    }
    if flags.head == "v3":
        content["loss"]["contrastive"] = {}
        content["model"]["projection"] = {}
    for name, path in FIELDS.items():
        value = getattr(flags, name)
        if value is not None:
            content = merge(content, _nested(path, WORDS.get(value, value)))
    content = merge(content, _focal(flags))
    if flags.classifier_no_residual:
        content = merge(content, _nested("model.head.residual", False))
    return merge(content, parsed_settings(settings))


def _focal(flags: Flags) -> dict[str, Any]:
    if not flags.focal_gamma:
        if flags.focal_alpha not in (None, 1.0):
            raise SpecError("--focal-alpha without --focal-gamma changes nothing; give both")
        return {}
    alpha = 1.0 if flags.focal_alpha is None else flags.focal_alpha
    focal = {"kind": "focal", "gamma": flags.focal_gamma, "alpha": alpha}
    return _nested("loss.classification", focal)


def parsed_settings(settings: list[str] | None) -> dict[str, Any]:
    """``loss.groups.kind=dro`` and the like as nested dictionaries.

    Raises
    ------
    SpecError
        For one without a name or a value.
    """
    from trueness.yamlfile import merge

    content: dict[str, Any] = {}
    for setting in settings or []:
        path, equals, text = setting.partition("=")
        if not equals or not all(path.split(".")) or not text:
            raise SpecError(f"--set {setting!r}: write a field and a value, as seed=7")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        content = merge(content, _nested(path, value))
    return content


def _nested(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a field holds
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


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


def train(
    corpus: Annotated[str, Parameter(help="Folder of a corpus, or synthetic.")],
    /,
    *,
    flags: Flags | None = None,
    settings: Settings = None,
    out: Path | None = None,
    resume: Path | None = None,
    restart: Annotated[bool, Parameter(negative=())] = False,
    save_every: Whole = 1,
    save_minutes: float = 5.0,
    compiled: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    open_test: OpenTest = False,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Train one encoder on a corpus of titles, baselines first, and print what it is worth.

    A run that was interrupted goes on from its checkpoint, bit for bit on a CPU. Under
    `torchrun --nproc-per-node 8 -m trueness text train ...` several devices share every update.

    Example: trueness text train corpus --head v2 --epochs 5 --label-smoothing 0.05

    Parameters
    ----------
    out
        Also put the trained model into this folder: weights, tokenizer, spec, metrics.
    resume
        File of the checkpoint, in place of the store's own.
    restart
        Begin anew, whatever checkpoint there is.
    save_every
        Epochs between two checkpoints.
    save_minutes
        Minutes between two checkpoints inside an epoch.
    compiled
        Compile the encoder: minutes at the start, faster updates on a GPU.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.campaign.titles import campaign_of
    from trueness.titles.running import Options

    flags = flags or Flags()
    if resume is not None and not resume.is_file():
        raise SpecError(f"{resume}: there is no such checkpoint")
    opened = open_corpus(corpus)
    content = spec_content(flags, opened.digest, settings)
    if flags.tokenizer is not None:
        content["task"]["tokenizer"] = _tokenizer_field(flags.tokenizer)
    spec = make_spec(content)
    options = Options(
        device=device, tokenizer=flags.tokenizer, compiled=compiled, restart=restart,
        every_epochs=save_every, every_minutes=save_minutes, retry=True, checkpoint=resume,
    )  # fmt: skip
    campaign = campaign_of(spec, "train", spec.key)
    summary, runs = _carried_out(campaign, opened, store, options)
    if spec.key in runs and out is not None:
        from trueness.titles.export import export_folder

        export_folder(runs.run(spec.key), out)
    return _tell(campaign, summary, runs, part_of(open_test), as_json)


def run(
    campaign: str = "text",
    /,
    *,
    corpus: CorpusFolder = None,
    ids: Annotated[list[str] | None, Parameter(name="--id", negative=())] = None,
    priorities: Annotated[list[str] | None, Parameter(name="--priority", negative=())] = None,
    seeds: Whole = 1,
    settings: Settings = None,
    tokenizer: Path | None = None,
    device: str = "auto",
    workers: Whole | None = None,
    compiled: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    retry: Annotated[bool, Parameter(negative=())] = False,
    open_test: OpenTest = False,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Carry out a campaign on titles, baselines first, and print which method helps whom.

    Runs that are stored already are not trained again; one that was interrupted goes on.

    Example: trueness text run text --corpus corpus --priority minority --seeds 3

    Parameters
    ----------
    campaign
        A bundled campaign or a YAML file with `corpus:`.
    ids, priorities
        Only these experiments, and those they begin with; repeatable.
    seeds
        Replicates of every experiment.
    tokenizer
        File of the tokenizer, where specs name one.
    device
        auto, cpu, cuda or mps.
    workers
        Processes on a CPU, one thread each; all cores by default.
    compiled
        Compile the encoders.
    retry
        Try runs again that failed before.
    """
    from trueness.campaign.titles import corpus_named_by, load_titles_campaign
    from trueness.titles.running import Options

    opened = open_corpus(corpus or corpus_named_by(campaign))
    chosen = load_titles_campaign(
        campaign, opened.digest, seeds=seeds, settings=parsed_settings(settings)
    ).select(ids or [], priorities or [])
    options = Options(
        device=device, workers=workers, tokenizer=tokenizer, compiled=compiled, retry=retry
    )
    summary, runs = _carried_out(chosen, opened, store, options)
    return _tell(chosen, summary, runs, part_of(open_test), as_json)


def demo(*, store: Store_ = DEFAULT_STORE, rows: Whole = 30_000) -> int:
    """A synthetic catalogue, baselines, a small encoder, and what each is worth per language.

    Its test part is opened: texts that are made cannot be used up.

    Example: trueness text demo

    Parameters
    ----------
    rows
        Offers of the catalogue.
    """
    from trueness.campaign.titles import load_titles_campaign
    from trueness.titles.running import Options

    opened = _catalogue(rows)
    chosen = load_titles_campaign("text-demo", opened.digest)
    summary, runs = _carried_out(chosen, opened, store, Options())
    return _tell(chosen, summary, runs, "test", as_json=False)


def list_(campaign: str = "text", /, *, as_json: Json = False) -> int:
    """Experiments of a campaign on titles.

    Example: trueness text list text
    """
    from trueness.campaign.titles import load_titles_campaign

    found = load_titles_campaign(campaign, "unknown")
    rows = [{"id": e.id, "priority": e.priority, "run": e.spec.label()} for e in found.experiments]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
    return 0


def open_corpus(name: str) -> Corpus:
    """Corpus of a folder, or the synthetic catalogue, which is built once."""
    from trueness.text.corpus import load_corpus

    if name == "synthetic" and not Path(name).is_dir():
        return _catalogue(SYNTHETIC_ROWS)
    return load_corpus(name)


def _catalogue(rows: int) -> Corpus:
    """Synthetic corpus of so many offers, from the cache or built now."""
    from trueness.cache import cache_folder
    from trueness.errors import DataError
    from trueness.text.building import Plan, build
    from trueness.text.corpus import load_corpus
    from trueness.text.synthetic import Catalogue

    folder = cache_folder() / "titles" / f"synthetic-{rows}"
    if folder.exists():
        with contextlib.suppress(DataError):
            return load_corpus(folder)
    with progress() as shown:
        return build(Catalogue(rows=rows), folder, Plan(validation=0.1, test=0.2), shown)


def _tokenizer_field(file: Path) -> dict[str, str]:
    from trueness.text.tokens import load_tokenizer, tokenizer_digest

    return {"kind": "file", "digest": tokenizer_digest(load_tokenizer(file))}


def _carried_out(
    campaign: TitlesCampaign, corpus: Corpus, store: Path, options: Options
) -> tuple[TitlesSummary, Store[TitlesSpec]]:
    from trueness.titles.running import run_titles, titles_store

    runs = titles_store(store)
    with _progress() as shown:
        summary = run_titles(campaign, corpus, runs, options=options, listener=shown)
    return summary, runs


def _progress() -> Any:  # noqa: ANN401 - a context manager that yields a listener
    from trueness.report.titles.progress import TitlesProgress

    return TitlesProgress(console(err=True))


def _tell(
    campaign: TitlesCampaign, summary: TitlesSummary, runs: Store[TitlesSpec], part: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Print what a campaign came to; 0, 1 if a run failed, 130 if it was interrupted."""
    from trueness.report.titles import campaign_report

    report = campaign_report(campaign, runs, part)
    if as_json:
        print_json({"campaign": campaign.name, **vars(summary), **report.to_dict()})
    else:
        report.show(console())
    for key, reason in runs.failures().items():
        if key in summary.failed:
            console(err=True).print(f"failed {key}: {reason}", highlight=False)
    if summary.interrupted:
        console(err=True).print("interrupted; the same command goes on from here")
        return EXIT_INTERRUPTED
    return 1 if summary.failed else 0


WORDS = {"none": "constant", "cls": "first"}
"""Values of the published commands under their names here."""
FIELDS = {
    "seq_len": "task.max_tokens",
    "vocabulary": "task.tokenizer.vocabulary",
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
