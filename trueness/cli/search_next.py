"""Verbs about what follows a search: search propose, search promote, search transfer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Json,
    Store_,
    Whole,
    check_output,
    console,
    print_json,
    print_rows,
)
from trueness.cli.searching import Names, Storage, find_studies
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.search.found import Found
    from trueness.search.sequel import Candidate

Output = Annotated[
    Path | None,
    Parameter(name=("--output", "-o"), help="Campaign file to write; named after its content."),
]  # fmt: skip
Tiers = Annotated[
    list[str] | None, Parameter(name="--tier", negative=(), help="Only this tier; repeatable.")
]
Count = Annotated[Whole | None, Parameter(name=("--count", "-n"))]


def propose(
    name: str | None = None,
    /,
    *,
    tier: str | None = None,
    count: Count = 27,
    output: Output = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    as_json: Json = False,
) -> int:
    """Write supplementary trials as a campaign: sweeps around the best, depths, gaps.

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
    from trueness.search.supplement import supplementary
    from trueness.store import Store

    check_output(output)
    _at_least_one(count=count)
    founds = find_studies((name,) if name else (), store, storage)
    of_tier = [f for f in founds if tier is None or f.about["tier"] == tier]
    chosen = founds if name else of_tier
    if len(chosen) != 1:
        known = ", ".join(f.name for f in chosen or founds)
        what = "several studies" if chosen else f"no study of tier {tier}"
        raise TruenessError(f"{what}; name one of {known}")
    candidates = supplementary(chosen[0], Store(store), count=count or 27, tier=tier)
    title = f"Supplementary trials around the best of {chosen[0].name}"
    return _write(output, f"{chosen[0].name}-more", title, chosen, candidates, as_json)


def promote(
    names: Names = (),
    /,
    *,
    count: Count = 10,
    tiers: Tiers = None,
    seeds: Whole = 5,
    by: Literal["auc", "precision"] | None = None,
    output: Output = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    as_json: Json = False,
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
        Estimate whose lower bound ranks; the objective's own by default. Ties go by recall.
    """
    from trueness.search.sequel import promoted
    from trueness.store import Store

    check_output(output)
    _at_least_one(count=count, seeds=seeds)
    founds = find_studies(names, store, storage)
    candidates = promoted(
        founds, Store(store), count=count or 10, tiers=tiers or [], seeds=seeds, by=by
    )
    wanted = [f for f in founds if not tiers or f.about["tier"] in tiers]
    label = "-".join(["promoted", *dict.fromkeys(str(f.about["tier"]) for f in wanted)])
    title = f"Best configurations of {', '.join(f.name for f in wanted)} with new seeds"
    return _write(output, label, title, wanted, candidates, as_json)


def transfer(
    names: Names = (),
    /,
    *,
    seeds: Whole = 1,
    output: Output = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    as_json: Json = False,
) -> int:
    """Put each budget's best training values on each other's best network: campaign and matrix.

    The matrix holds what the store has of it; `trueness run FILE` trains the rest.

    Example: trueness search transfer mission-2M-a20-h1 mission-20M-a20-h1 --seeds 3

    Parameters
    ----------
    names
        Studies of the store, one for each budget; all of them by default.
    seeds
        Replicates of each cell.
    """
    from trueness.search.transfer import matrix_rows, measured_cells, transferred
    from trueness.store import Store

    check_output(output)
    _at_least_one(seeds=seeds)
    founds = find_studies(names, store, storage)
    cells = transferred(founds, Store(store), seeds=seeds)
    title = f"Training values of each of {', '.join(f.name for f in founds)} on the others"
    label = "-".join(["transfer", *dict.fromkeys(str(f.about["tier"]) for f in founds)])
    path = _save(output, label, title, founds, [c.candidate for c in cells])
    cells = measured_cells(cells, Store(store))
    if as_json:
        print_json({"file": str(path), "cells": [c.to_dict() for c in cells]})
        return 0
    print_rows(matrix_rows(cells))
    out = console()
    out.print(
        "AUC; off the diagonal the paired difference to the network's own training values, with an "
        "interval that holds for all cells together.", highlight=False, soft_wrap=True,
    )  # fmt: skip
    out.print(f"trueness run {path}", highlight=False, soft_wrap=True)
    return 0


def _at_least_one(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise TruenessError(f"--{name} {count}: at least 1 is needed")


def _save(
    output: Path | None, label: str, title: str, founds: Sequence[Found],
    candidates: Sequence[Candidate],
) -> Path:  # fmt: skip
    from trueness.search.sequel import write_sequel

    path = output or Path(f"{label}.yaml")
    check_output(path)
    write_sequel(path, label[:100], title, founds, candidates)
    return path


def _write(
    output: Path | None, label: str, title: str, founds: Sequence[Found],
    candidates: Sequence[Candidate], as_json: bool,
) -> int:  # fmt: skip
    path = _save(output, label, title, founds, candidates)
    rows = [
        {"id": c.id, "label": c.spec.label(), "runs": len(c.specs), "why": c.why}
        for c in candidates
    ]
    if as_json:
        print_json({"file": str(path), "experiments": rows})
    else:
        print_rows(rows)
        console().print(f"trueness run {path}", highlight=False, soft_wrap=True)
    return 0
