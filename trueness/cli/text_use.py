"""Verbs that use trained runs on titles: evaluate, latency."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Data, OpenTest, Store_, StrictInt
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError
from trueness.places import StoreLocation

if TYPE_CHECKING:
    from trueness.spec.titles import TitlesSpec
    from trueness.store import Run, Store
    from trueness.titles.classifier import Classifier


def evaluate(
    run: str,
    /,
    *,
    corpus: Annotated[str, Parameter(help="Folder of a corpus with the same classes.")],
    whole: Annotated[bool, Parameter(negative=())] = False,
    keep_leaks: Annotated[bool, Parameter(negative=())] = False,
    data: Data = None,
    open_test: OpenTest = False,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Classify another corpus now, and print the scores per language and class.

    Texts that the run was trained on are left out: the same words, near-duplicates, the same ids,
    and other texts of their clusters. `trueness show RUN` has the scores on its own corpus.

    Example: trueness text evaluate M-0 --corpus other

    Parameters
    ----------
    run
        Id or key of a stored run. n-grams, which keep no weights, are fitted again on their corpus.
    whole
        All texts of the corpus; only those of its validation part without it, or of its test part
        with --open-test.
    keep_leaks
        Keep texts that the run was trained on, and say how many they are.
    data
        Folder of the corpus of the run, where it has to be fitted again.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.labels.other_corpus import evaluated_corpus
    from trueness.text.corpus import WHOLE

    check(output)
    result, runs = _find(store, run)
    if whole and open_test:
        raise TruenessError("--whole takes the test part too; leave --open-test out", "part")
    part = WHOLE if whole else "test" if open_test else "validation"
    scored = evaluated_corpus(run, result, corpus, part, {"data": data}, device=device)
    evaluation = scored.evaluate(keep_leaks=keep_leaks)
    question = f"{corpus}{', all parts' * whole}{' with leaks' * keep_leaks}"
    opened = whole or open_test
    _record(runs, result, "test" if opened else part, question, opened)
    present(evaluation, output)
    return 0


def latency(
    run: str,
    /,
    *,
    texts: Annotated[Path | None, Parameter(help="Texts, one a line.")] = None,
    batch_sizes: Annotated[list[int] | None, Parameter(name="--batch", negative=())] = None,
    requests: StrictInt = 200,
    warmup: StrictInt = 20,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
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
    from trueness.judge.listing import Listing
    from trueness.text.inputs import EXAMPLES, input_texts
    from trueness.titles.latency import measure_latency

    check(output)
    result, _ = _find(store, run)
    lines = [one for one in input_texts(texts or list(EXAMPLES)).texts if one]
    sizes = batch_sizes or [1, 8, 32]
    classifier = _classifier(result, device)
    rows = measure_latency(classifier, lines, sizes, requests=requests, warmup=warmup)
    where = classifier.device.name
    present(Listing(f"Latency of {run} on {where}", [row.to_dict() for row in rows]), output)
    return 0


def _find(store: StoreLocation, wanted: str) -> tuple[Run[TitlesSpec], Store]:
    """Run on titles by id or key, and its store."""
    from trueness.judge.finding import find_run
    from trueness.store import Store

    runs = Store(store)
    result = find_run(runs, wanted)[0]
    if result.spec.task.kind != "titles":
        raise TruenessError(
            f"{wanted} is a run on {result.spec.task.kind}; `trueness show {wanted}` shows it",
            "other_task",
        )
    return result, runs


def _record(runs: Store, run: Run[TitlesSpec], part: str, corpus: str, opened: bool) -> None:
    from trueness.judge.access import record_access

    record_access(runs, [run], "text evaluate", corpus, part=part, opened=opened)


def _classifier(run: Run[TitlesSpec], device: str) -> Classifier:
    from trueness.fit.device import choose_device
    from trueness.titles.classifier import load_classifier

    return load_classifier(run, choose_device(device))
