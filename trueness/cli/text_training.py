"""Verbs that train on titles: text train, text run, text demo."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Ids,
    OpenTest,
    Priorities,
    Store_,
    Whole,
    progress,
)
from trueness.cli.output import DEFAULT, Output, check, console, note, present, print_json
from trueness.cli.text_flags import Flags, make_spec, parsed_settings, spec_content
from trueness.errors import SpecError

if TYPE_CHECKING:
    from trueness.campaign.titles import TitlesCampaign
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
CorpusFolder = Annotated[
    str | None,
    Parameter(name="--corpus", help="Folder, or synthetic; the campaign's own by default."),
]


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
    from trueness.campaign.titles import campaign_of
    from trueness.titles.export import check_export_folder, export_folder
    from trueness.titles.running import Options

    flags = flags or Flags()
    if resume is not None and not resume.is_file():
        raise SpecError(f"{resume}: there is no such checkpoint")
    if resume is not None and restart:
        raise SpecError("--resume continues and --restart begins anew; give one of them")
    check(output)
    if out is not None:
        check_export_folder(out)
    opened = open_corpus(corpus)
    content = spec_content(flags, opened.digest, settings)
    if flags.tokenizer is not None:
        content["task"]["tokenizer"] = _tokenizer_field(flags.tokenizer, content["task"])
    spec = make_spec(content)
    options = Options(
        device=device, tokenizer=flags.tokenizer, compiled=compiled, restart=restart,
        every_epochs=save_every, every_minutes=save_minutes, retry=True, checkpoint=resume,
    )  # fmt: skip
    campaign = campaign_of(spec, "train", spec.key)
    summary, runs = _carried_out(campaign, opened, store, options)
    if summary.speaks and spec.key in runs and out is not None:
        export_folder(runs.run(spec.key), out)
    return _present(campaign, summary, runs, open_test, output)


def run(
    campaign: str = "text",
    /,
    *,
    corpus: CorpusFolder = None,
    ids: Ids = None,
    priorities: Priorities = None,
    seeds: Whole = 1,
    settings: Settings = None,
    tokenizer: Path | None = None,
    device: str = "auto",
    workers: Whole | None = None,
    compiled: Annotated[bool, Parameter(name="--compile", negative=())] = False,
    retry: Annotated[bool, Parameter(negative=())] = False,
    restart: Annotated[bool, Parameter(negative=())] = False,
    open_test: OpenTest = False,
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Carry out a campaign on titles, baselines first, and compare its methods per language.

    Runs that are stored already are not trained again; one that was interrupted resumes. With --id
    and --priority come the experiments that the chosen ones begin with.

    Example: trueness text run text --corpus corpus --priority minority --seeds 3

    Parameters
    ----------
    campaign
        A bundled campaign or a YAML file with `corpus:`.
    seeds
        Replicates of every experiment: its seed, the next, and so on.
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
    restart
        Begin unfinished runs anew, whatever checkpoints there are.
    """
    from trueness.campaign.titles import corpus_named_by, load_titles_campaign
    from trueness.titles.running import Options

    check(output)
    opened = open_corpus(corpus or corpus_named_by(campaign))
    chosen = load_titles_campaign(
        campaign, opened.digest, seeds=seeds, settings=parsed_settings(settings)
    ).select(ids or [], priorities or [])
    options = Options(
        device=device,
        workers=workers,
        tokenizer=tokenizer,
        compiled=compiled,
        retry=retry,
        restart=restart,
    )
    summary, runs = _carried_out(chosen, opened, store, options)
    return _present(chosen, summary, runs, open_test, output)


def demo(*, rows: Whole = 30_000, store: Store_ = DEFAULT_STORE, output: Output = DEFAULT) -> int:
    """A synthetic catalogue, baselines, two small encoders, and their scores per language.

    Its test part is opened: texts that are made cannot be used up.

    Example: trueness text demo

    Parameters
    ----------
    rows
        Offers of the catalogue.
    """
    from trueness.campaign.titles import load_titles_campaign
    from trueness.titles.running import Options

    check(output)
    opened = _catalogue(rows)
    chosen = load_titles_campaign("text-demo", opened.digest)
    summary, runs = _carried_out(chosen, opened, store, Options())
    return _present(chosen, summary, runs, True, output)


def list_(campaign: str = "text", /, *, output: Output = DEFAULT) -> int:
    """List the experiments of a campaign on titles: id, priority, what is not at its default.

    Example: trueness text list text

    Parameters
    ----------
    campaign
        A bundled campaign or a YAML file with `corpus:`.
    """
    from trueness.campaign.titles import load_titles_campaign
    from trueness.judge.listing import Listing

    check(output)
    found = load_titles_campaign(campaign, "unknown")
    rows = [{"id": e.id, "priority": e.priority, "run": e.spec.label()} for e in found.experiments]
    present(Listing(found.title, rows), output)
    return 0


def open_corpus(name: str) -> Corpus:
    """Corpus of a folder, or the synthetic catalogue, which is built once."""
    from trueness.text.corpus import load_corpus

    if name == "synthetic" and not Path(name).is_dir():
        return _catalogue(SYNTHETIC_ROWS)
    return load_corpus(name)


def _catalogue(rows: int) -> Corpus:
    """Synthetic corpus of so many offers, from the cache or built now."""
    from trueness.errors import DataError
    from trueness.files import cache_folder
    from trueness.text.building import Plan, build
    from trueness.text.corpus import load_corpus
    from trueness.text.synthetic import Catalogue

    folder = cache_folder() / "titles" / f"synthetic-{rows}"
    if folder.exists():
        with contextlib.suppress(DataError):
            return load_corpus(folder)
    with progress() as shown:
        return build(Catalogue(rows=rows), folder, Plan(validation=0.1, test=0.2), shown)


def _tokenizer_field(file: Path, task: dict[str, Any]) -> dict[str, str]:
    from trueness.text.tokens import load_tokenizer, tokenizer_digest

    if task.get("tokenizer") != {"kind": "bpe"}:
        raise SpecError("--tokenizer brings its own vocabulary; leave out --vocabulary and --set "
                        "task.tokenizer")  # fmt: skip
    return {"kind": "file", "digest": tokenizer_digest(load_tokenizer(file))}


def _carried_out(
    campaign: TitlesCampaign, corpus: Corpus, store: Path, options: Options
) -> tuple[TitlesSummary, Store]:
    from trueness.store import Store
    from trueness.titles.running import run_titles

    runs = Store(store)
    with _progress() as shown:
        summary = run_titles(campaign, corpus, runs, options=options, listener=shown)
    return summary, runs


def _progress() -> Any:  # noqa: ANN401 - a context manager that yields a listener
    from trueness.report.titles_progress import TitlesProgress

    return TitlesProgress(console(err=True))


def _present(
    campaign: TitlesCampaign, summary: TitlesSummary, runs: Store, opened: bool, output: Output
) -> int:
    """Print what a campaign came to; 0, 1 if a run failed, 130 if it was interrupted."""
    from trueness.judge.leaderboard import leaderboard

    if not summary.speaks:
        return EXIT_INTERRUPTED if summary.interrupted else 0
    pending = f", {len(summary.missing)} pending" if summary.missing else ""
    console(err=True).print(
        f"{len(summary.trained)} trained, {len(summary.reused)} reused, {len(summary.failed)} "
        f"failed{pending}\n", highlight=False,
    )  # fmt: skip
    keys = {entry.spec.key for entry in campaign.entries}
    board = leaderboard(
        runs, campaign.name, keys=keys, access=("text run", ""), part="test" if opened else None,
        opened=opened, reference=campaign.reference, title=campaign.title,
    )  # fmt: skip
    if output.as_json:
        print_json({"campaign": campaign.name, **vars(summary), **board.to_dict()})
    else:
        present(board, output)
    if summary.interrupted:
        note("Interrupted. Run the same command to resume.")
        return EXIT_INTERRUPTED
    return 1 if summary.failed else 0
