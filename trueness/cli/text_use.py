"""Verbs that use trained runs on titles: evaluate, compare, predict, latency, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Json,
    OpenTest,
    Store_,
    Whole,
    check_output,
    console,
    part_of,
    print_json,
    print_rows,
)
from trueness.cli.text_files import (
    beside,
    check_table_output,
    languages_of,
    read_texts,
    write_table,
)
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.spec.titles import TitlesSpec
    from trueness.store import Run, Store
    from trueness.titles.classifier import Classifier

PORTION = 8192
"""Texts that are read, classified and written at once."""


def evaluate(
    run: str,
    /,
    *,
    corpus: Annotated[str | None, Parameter(name="--corpus")] = None,
    open_test: OpenTest = False,
    report: Path | None = None,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """What a run is worth, per language and class, with intervals.

    Example: trueness text evaluate 0575c82ffff4 --open-test

    Parameters
    ----------
    run
        Id or key of a stored run.
    corpus
        Another corpus of the same classes, which the run classifies now.
    report
        Also write an HTML page to this file.
    device
        auto, cpu, cuda or mps; for another corpus.
    """
    from trueness.evaluation.slices import Slices
    from trueness.report.study_page import show_sections
    from trueness.judge.titles import slices_sections, write_titles_page

    check_output(report)
    found, runs = _find(store, run)
    part = part_of(open_test)
    _look(runs, [found], part, "text evaluate", corpus or "", open_test)
    if corpus is None:
        slices = Slices.from_dict(found.record["slices"][part])
    else:
        slices = _on_corpus(found, corpus, part, device)
    title = f"{_titled(run, found)} · {part} part"
    if report is not None:
        write_titles_page(report, {run: slices}, title=title)
    if as_json:
        print_json({"key": found.key, "part": part, **slices.to_dict()})
    else:
        show_sections(console(), [(title, slices_sections(run, slices))])
    return 0


def runs(*, store: Store_ = DEFAULT_STORE, as_json: Json = False) -> int:
    """Stored runs on titles: ids, key, what each is.

    Example: trueness text runs --store store
    """
    from trueness.store import Store

    opened = Store(store)
    stored, problems = opened.all_runs()
    ids: dict[str, list[str]] = {}
    for name, known in opened.campaigns().items():
        for id_, keys in known.items():
            if keys:
                ids.setdefault(keys[-1], []).append(f"{name}/{id_}")
    rows = [
        {"key": one.key, "ids": " ".join(ids.get(one.key, [])), "run": one.record["label"],
         "corpus": one.spec.task.corpus, "created": one.record["created"]}
        for one in sorted(stored, key=lambda one: one.record["created"])
    ]  # fmt: skip
    if as_json:
        print_json({"runs": rows, "problems": {p.name: p.reason for p in problems}})
        return 0
    if not rows:
        raise TruenessError(f"{store} holds no runs on titles; `trueness text run` makes some")
    print_rows(rows)
    for problem in problems:
        console(err=True).print(f"{problem.name}: {problem.reason}", highlight=False)
    return 0


def compare(
    first: str,
    second: str,
    /,
    *,
    open_test: OpenTest = False,
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """Which languages the first of two runs serves better, worse, or not told apart.

    Example: trueness text compare M-3 M-0

    Parameters
    ----------
    first
        Id or key of a stored run.
    second
        Another one on the same corpus.
    """
    from trueness.report.study_page import show_sections
    from trueness.judge.titles import comparison_sections
    from trueness.judge.languages import compared

    one, runs = _find(store, first)
    other, _ = _find(store, second)
    part = part_of(open_test)
    _look(runs, [one, other], part, "text compare", "", open_test)
    found = compared(one, other, part)
    if as_json:
        print_json({"first": one.key, "second": other.key, "part": part, **found.to_dict()})
    else:
        title = f"{_titled(first, one)} and {_titled(second, other)} · {part} part"
        show_sections(console(), [(title, comparison_sections(first, second, found))])
    return 0


def predict(
    run: str,
    source: Annotated[
        Path,
        Parameter(help="CSV, Parquet, JSONL or text file; - for stdin.", allow_leading_hyphen=True),
    ],
    /,
    *,
    text_column: str = "text",
    language_column: str | None = None,
    precision: float | None = None,
    out: Path | None = None,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
) -> int:
    r"""Label, probability and calibrated probability of each text, as CSV.

    With a precision, predictions of a language abstain below the cut at which the validation part
    certifies that precision; all of them where there is no such cut. Columns of a table are kept;
    one that is called like a column of the answer becomes given_NAME.

    Example: printf 'Rotwein 0,75 l\n' | trueness text predict M-0 - --precision 0.9

    Parameters
    ----------
    run
        Id or key of a stored run; no baseline, which keeps no weights.
    text_column
        Column with the texts; a text file and stdin have one text a line.
    language_column
        Column with the languages, which are detected otherwise.
    precision
        Wanted in every language, in (0, 1).
    out
        CSV, Parquet or JSONL file; standard output, as CSV, by default.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.titles.predicting import Predictor, cuts_of, temperatures_of

    check_table_output(out)
    found, _ = _find(store, run)
    table = read_texts(source, text_column, language_column)
    cuts = None if precision is None else cuts_of(found, precision)
    predictor = Predictor(_classifier(found, device), temperatures_of(found), cuts)
    answers = [
        predictor.predict(piece[text_column], languages_of(piece, language_column))
        for piece in table.iter_slices(PORTION)
    ]
    write_table(beside(table, answers), out)
    if cuts is not None:
        lost = [name for name, one in cuts.items() if one.cut is None]
        told = f"no cut is certified for {', '.join(lost)}; they abstain" if lost else ""
        sys.stderr.write(f"{told}\n" if told else "")
    return 0


def latency(
    run: str,
    /,
    *,
    texts: Annotated[Path | None, Parameter(help="Texts, one a line.")] = None,
    batch_sizes: Annotated[list[int] | None, Parameter(name="--batch", negative=())] = None,
    requests: Whole = 200,
    warmup: Whole = 20,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    as_json: Json = False,
) -> int:
    """How long requests take, tokenisation included: p50, p95, p99.

    Example: trueness text latency M-0 --texts titles.txt --batch 1 --batch 32

    Parameters
    ----------
    run
        Id or key of a stored run.
    batch_sizes
        Texts of a request; repeatable. 1, 8 and 32 by default.
    requests
        Counted requests of each size.
    warmup
        Requests before, not counted.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.titles.latency import measure_latency

    found, _ = _find(store, run)
    lines = read_texts(texts, "text", None)["text"].to_list() if texts else list(EXAMPLES)
    sizes = batch_sizes or [1, 8, 32]
    classifier = _classifier(found, device)
    rows = measure_latency(classifier, lines, sizes, requests=requests, warmup=warmup)
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        shown = [
            {k.replace("_", " "): f"{v:,.2f}" if isinstance(v, float) else v for k, v in r.items()}
            for r in (row.to_dict() for row in rows)
        ]
        print_rows(shown)
    return 0


def export(
    run: str,
    out: Annotated[Path, Parameter(help="A folder, or a file that ends in .onnx.")],
    /,
    *,
    store: Store_ = DEFAULT_STORE,
) -> int:
    """A trained run for use elsewhere: weights, tokenizer, spec and metrics, or an ONNX graph.

    The graph is compared with the network on texts of several shapes before it is kept.

    Example: trueness text export M-0 model.onnx

    Parameters
    ----------
    run
        Id or key of a stored run.
    """
    from trueness.titles.export import export_folder, export_onnx

    found, _ = _find(store, run)
    if out.suffix == ".onnx":
        check_output(out)
        widest = export_onnx(_classifier(found, "cpu"), out)
        console().print(f"{out}: logits equal to {widest:.1g}", highlight=False)
    else:
        export_folder(found, out)
        console().print(f"{out}: weights, tokenizer, spec, metrics", highlight=False)
    return 0


def _titled(name: str, run: Run[TitlesSpec]) -> str:
    return f"{name} ({run.record['label']})"


EXAMPLES = (
    "Slim fit cotton shirt, navy, size M", "Damen Laufschuhe atmungsaktiv Gr. 39",
    "Pendientes de plata con circonita", "Livre de poche, roman policier", "犬用 首輪 レザー S",
    "Set di chiavi a bussola 1/2 pollice, 24 pezzi", "Baby monitor with night vision",
    "Gouden ketting met hanger 45 cm",
)  # fmt: skip
"""Titles that are timed where none are given."""


def _find(store: Path, wanted: str) -> tuple[Run[TitlesSpec], Store]:
    from trueness.cli.stored import find_run
    from trueness.store import Store

    runs = Store(store)
    return find_run(runs, wanted)[0], runs


def _look(
    runs: Store, some: list[Run[TitlesSpec]], part: str, verb: str, question: str,
    opened: bool,
) -> None:  # fmt: skip
    from trueness.store.ledger import Ledger

    Ledger(runs).look(some, part, verb, question, opened)


def _classifier(run: Run[TitlesSpec], device: str) -> Classifier:
    from trueness.fit.device import choose_device
    from trueness.titles.classifier import load_classifier

    return load_classifier(run, choose_device(device))


def _on_corpus(run: Run[TitlesSpec], corpus: str, part: str, device: str) -> Any:  # noqa: ANN401
    """Slices of a run on a part of another corpus."""
    from trueness.cli.text_training import open_corpus
    from trueness.evaluation.slices import measure_slices

    opened = open_corpus(corpus)
    if list(opened.classes) != run.record["classes"]:
        raise TruenessError(f"{corpus} has other classes than run {run.key}")
    titles, rule = opened.part(part), run.spec.evaluation
    logits = _classifier(run, device).logits(titles.texts)
    return measure_slices(
        titles.y, logits, titles.language, titles.cluster, classes=opened.classes,
        min_rows=rule.min_rows, confidence=rule.confidence_pct / 100, draws=rule.draws,
        measured_on=part,
    )  # fmt: skip
