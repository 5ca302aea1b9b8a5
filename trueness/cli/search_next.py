"""Verbs about what follows a search: search propose, search promote, search transfer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import CHOICE, DEFAULT_STORE, Store_, StrictInt
from trueness.cli.output import DEFAULT, Output, check, check_path, present
from trueness.cli.searching import Names, Storage
from trueness.cli.suggestions import command
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.search.follow_up import Candidate
    from trueness.search.stored import StoredStudy

CampaignFile = Annotated[
    Path | None,
    Parameter(name=("--output", "-o"), help="Campaign file to write; named after its content."),
]  # fmt: skip
Tiers = Annotated[
    list[str] | None, Parameter(name="--tier", negative=(), help="Only this tier; repeatable.")
]
Count = Annotated[StrictInt | None, Parameter(name=("--count", "-n"))]


def propose(
    name: str | None = None,
    /,
    *,
    tier: str | None = None,
    count: Count = 27,
    file: CampaignFile = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    output: Output = DEFAULT,
) -> int:
    """Suggest further trials and write them as a campaign: sweeps around the best, depths, gaps.

    Example: trueness search propose --tier a50 -o more.yaml

    Parameters
    ----------
    name
        A study of the store; the only one, or the only one of the tier, by default.
    tier
        Tier of the trials.
    count
        Trials at most.
    """
    from trueness.search.finding import find_studies
    from trueness.search.suggest import suggestions
    from trueness.store import Store

    check(output)
    _at_least_one(count=count)
    studies = find_studies((name,) if name else (), store, storage)
    of_tier = [f for f in studies if tier is None or f.about["tier"] == tier]
    chosen = studies if name else of_tier
    if len(chosen) != 1:
        known = ", ".join(f.name for f in chosen or studies)
        what = "several studies" if chosen else f"no study of tier {tier}"
        raise TruenessError(f"{what}; name one of {known}", "which_study")
    candidates = suggestions(chosen[0], Store(store), count=count or 27, tier=tier)
    title = f"Suggested trials around the best of {chosen[0].name}"
    return _write(file, f"{chosen[0].name}-more", title, chosen, candidates, output)


def promote(
    names: Names = (),
    /,
    *,
    count: Count = 10,
    tiers: Tiers = None,
    seeds: StrictInt = 5,
    by: Annotated[
        Literal["auc", "precision", "macro_f1", "mean_group", "worst_group"] | None, CHOICE
    ] = None,
    file: CampaignFile = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    output: Output = DEFAULT,
) -> int:
    """Write the best distinct configurations of each tier as a campaign with new seeds.

    Example: trueness search promote -n 10 --tier a50 --tier a100

    Parameters
    ----------
    names
        Studies of the store; all of them by default.
    count
        Configurations of each tier.
    seeds
        Replicates of each; the seeds are none that the search used.
    by
        Estimate whose lower bound ranks; the objective's own by default. Ties go by recall, of
        titles by macro-F1.
    """
    from trueness.search.finding import find_studies
    from trueness.search.follow_up import promoted, tier_of
    from trueness.store import Store

    check(output)
    _at_least_one(count=count, seeds=seeds)
    studies = find_studies(names, store, storage)
    candidates = promoted(
        studies, Store(store), count=count or 10, tiers=tiers or [], seeds=seeds, by=by
    )
    wanted = [f for f in studies if not tiers or tier_of(f) in tiers]
    label = "-".join(["promoted", *dict.fromkeys(tier_of(f) for f in wanted)])
    title = f"Best configurations of {', '.join(f.name for f in wanted)} with new seeds"
    return _write(file, label, title, wanted, candidates, output)


def transfer(
    names: Names = (),
    /,
    *,
    seeds: StrictInt = 1,
    file: CampaignFile = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    output: Output = DEFAULT,
) -> int:
    """Put each budget's best training values on each other's best network: campaign and matrix.

    The matrix holds what the store has of it; `trueness run FILE` trains the rest.

    Example: trueness search transfer published-2M-a20-h1 published-20M-a20-h1 --seeds 3

    Parameters
    ----------
    names
        Studies of the store, one for each budget; all of them by default.
    seeds
        Replicates of each cell.
    """
    from trueness.search.finding import find_studies
    from trueness.search.follow_up import tier_of
    from trueness.search.transfer import Transfer, measured_cells, transferred
    from trueness.store import Store

    check(output)
    _at_least_one(seeds=seeds)
    studies = find_studies(names, store, storage)
    cells = transferred(studies, Store(store), seeds=seeds)
    title = f"Training values of each of {', '.join(f.name for f in studies)} on the others"
    label = "-".join(["transfer", *dict.fromkeys(tier_of(f) for f in studies)])
    path = _save(file, label, title, studies, [c.candidate for c in cells])
    present(Transfer(command("run", str(path)), measured_cells(cells, Store(store))), output)
    return 0


def _at_least_one(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise TruenessError(f"--{name} {count}: at least 1 is needed", "count")


def _save(
    file: Path | None, label: str, title: str, studies: Sequence[StoredStudy],
    candidates: Sequence[Candidate],
) -> Path:  # fmt: skip
    from trueness.search.follow_up import write_follow_up

    path = file or Path(f"{label}.yaml")
    check_path(path)
    write_follow_up(path, label[:100], title, studies, candidates)
    return path


def _write(
    file: Path | None, label: str, title: str, studies: Sequence[StoredStudy],
    candidates: Sequence[Candidate], output: Output,
) -> int:  # fmt: skip
    from trueness.judge.listing import Listing

    path = _save(file, label, title, studies, candidates)
    rows = [
        {"id": c.id, "label": c.spec.label(), "runs": len(c.specs), "why": c.why}
        for c in candidates
    ]
    run = command("run", str(path))
    present(Listing(title, rows, [f"`{run}` trains them"]), output)
    return 0
