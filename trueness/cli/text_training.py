"""Training one encoder on titles with the flags of the published commands: text train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from trueness.cli.campaigns import Settings
from trueness.cli.options import DEFAULT_STORE, OpenTest, Store_, StrictInt, progress
from trueness.cli.output import DEFAULT, Output, check
from trueness.cli.runs import carried_out
from trueness.cli.text_flags import Flags, make_spec, spec_content
from trueness.errors import SpecError


def train(
    corpus: Annotated[str, Parameter(help="Folder of a corpus, or synthetic.")],
    /,
    *,
    flags: Flags | None = None,
    settings: Settings = None,
    out: Path | None = None,
    resume: Path | None = None,
    restart: Annotated[bool, Parameter(negative=())] = False,
    save_every: StrictInt = 1,
    save_minutes: float = 5.0,
    compiled: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    open_test: OpenTest = False,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Train one encoder on a corpus of titles, baselines first, and print its scores.

    A run that was interrupted resumes from its checkpoint, bit for bit on a CPU. Under torchrun
    (`torchrun --nproc-per-node 8 -m trueness text train ... --grad-accum 8`) several devices share
    the batches of every update.

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
        Compile the encoder: slow to begin, faster updates on a GPU.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.campaign import campaign_of
    from trueness.engines import EncoderOptions
    from trueness.store import Store
    from trueness.tasks import task_of
    from trueness.titles.export import check_export_folder, export_folder

    flags = flags or Flags()
    if resume is not None and not resume.is_file():
        raise SpecError(f"{resume}: there is no such checkpoint")
    if resume is not None and restart:
        raise SpecError("--resume continues and --restart begins anew; give one of them")
    check(output)
    if out is not None:
        check_export_folder(out)
    with progress() as note:
        data = task_of("titles").load({"data": corpus}, True, note)
    content = spec_content(flags, data.digest, settings)
    if flags.tokenizer is not None:
        content["task"]["tokenizer"] = _tokenizer_field(flags.tokenizer, content["task"])
    spec = make_spec(content)
    encoders = EncoderOptions(compiled, flags.tokenizer, restart, save_every, save_minutes, resume)
    runs = Store(store)
    return carried_out(
        campaign_of(spec, data, "train", spec.key), runs, output, open_test,
        then=None if out is None else lambda: export_folder(runs.run(spec.key), out),
        device=device, retry=True, encoders=encoders,
    )  # fmt: skip


def _tokenizer_field(file: Path, task: dict[str, Any]) -> dict[str, str]:
    from trueness.text.tokens import load_tokenizer, tokenizer_digest

    if task.get("tokenizer") != {"kind": "bpe"}:
        raise SpecError("--tokenizer brings its own vocabulary; leave out --vocabulary and --set "
                        "task.tokenizer")  # fmt: skip
    return {"kind": "file", "digest": tokenizer_digest(load_tokenizer(file))}
