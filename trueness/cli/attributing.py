"""The verb about what a model rests on: importance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from trueness.cli.options import (
    CHOICE,
    DEFAULT_STORE,
    Data,
    Features,
    OpenTest,
    Store_,
    StrictInt,
    Vix,
    progress,
)
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.attribution.importance import Asked
    from trueness.attribution.words import Asked as Words

VERB = "importance"


def importance(
    run: str,
    /,
    *,
    by: Annotated[Literal["family", "column"] | None, CHOICE] = None,
    groups: Annotated[tuple[str, ...], Parameter(name="--group", negative=())] = (),
    repeats: StrictInt | None = None,
    partial: StrictInt | None = None,
    text: str | None = None,
    texts: StrictInt | None = None,
    seed: StrictInt | None = None,
    open_test: OpenTest = False,
    data: Data = None,
    vix: Vix = None,
    features: Features = None,
    device: str = "auto",
    store: Store_ = DEFAULT_STORE,
    output: Output = DEFAULT,
) -> int:
    """Show which inputs a model rests on: what it loses out of fold when they are permuted.

    Every fold's model scores the units that the fold predicts, with the columns of one group after
    the other permuted in blocks of time. Drops of precision and AUC have intervals, adjusted for
    the number of groups; of trees the mean |TreeSHAP| stands beside. Of an encoder of titles: the
    words that move a class when they are left out, and so of a bundle on titles, whatever its
    model, in texts of --data.

    Example: trueness importance D-01 --partial 3 --report importance.html
    Example: trueness importance bundle --data longer.csv
    Example: trueness importance M-0 --text "Rotwein trocken 0,75 l"

    Parameters
    ----------
    run
        A key, the beginning of one, the id of an experiment, or the folder of a bundle, which is
        asked about rows of --data that came after its training.
    by
        family: groups are those of the catalogue of indicators, the default for bars; column: each
        column by itself, the default for tables.
    groups
        Only this group; repeatable.
    repeats
        Permutations that are averaged; 10 by default.
    partial
        Partial dependence of so many groups, those with the largest drop; none by default.
    text
        Of titles: ask about this text alone.
    texts
        Of titles: texts that are drawn at most; 500 by default.
    seed
        Of the permutations, and of the draw of texts; 0 by default.
    device
        auto, cpu, cuda or mps.
    """
    from trueness.attribution.asking import asked_of, is_about_titles
    from trueness.attribution.words import Asked as Words
    from trueness.store import Store

    check(output)
    kept, sources = Store(store), {"data": data, "vix": vix, "features": features}
    if is_about_titles(kept, run):
        _refuse(run, "columns", {"--by": by, "--group": groups or None, "--repeats": repeats,
                                 "--partial": partial})  # fmt: skip
        return _titles(kept, run, sources, Words.of(text, texts, seed, open_test), device, output)
    _refuse(run, "titles", {"--text": text, "--texts": texts, "--open-test": open_test or None})
    asked = asked_of(by, groups, repeats, partial, seed or 0)
    return _columns(kept, run, sources, asked, device, output)


def _columns(
    store: Any, run: str, sources: dict[str, Any], asked: Asked, device: str, output: Output  # noqa: ANN401
) -> int:  # fmt: skip
    from trueness.attribution.asking import importance as compute_importance

    with progress() as shown:
        result = compute_importance(store, run, sources, asked, device=device, callback=shown,
                         access=(VERB, asked.question))  # fmt: skip
    present(result, output)
    return 0


def _titles(
    store: Any, run: str, sources: dict[str, Any], words: Words, device: str, output: Output  # noqa: ANN401
) -> int:  # fmt: skip
    from trueness.attribution.words_of_bundle import words_of

    with progress() as shown:
        result = words_of(store, run, sources, words, device=device, callback=shown,
                         access=(VERB, words.question))  # fmt: skip
    present(result, output)
    return 0


def _refuse(run: str, about: str, options: dict[str, Any]) -> None:
    """Refuse options that are about other runs than this one."""
    for name, value in options.items():
        if value is not None:
            raise TruenessError(f"{name} is about models of {about}, and {run} is none; leave it "
                                "out", "no_option")  # fmt: skip
