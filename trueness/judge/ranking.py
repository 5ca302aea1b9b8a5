"""Stored runs in the order of the leaderboard, from columns of the store's index: none is opened.

It ranks by what records say of each run by itself. Nothing is compared: what of a run remains
beside a baseline, its siblings and chance is said by the leaderboard, which reads predictions.
"""

from __future__ import annotations

import polars as pl

from trueness.document import numbers
from trueness.errors import StoreError, at_least
from trueness.judge.captions import MIN_ALARMS
from trueness.judge.finding import ids_by_key
from trueness.judge.listing import Listing
from trueness.store import Store
from trueness.store.ledger import Ledger

COLUMNS = ("group", "rank", "id", "key", "label", "baseline", "estimate", "value", "low", "high",
           "k", "n", "auc", "data", "part")  # fmt: skip


def ranking(store: Store, campaign: str | None = None, *, n: int = 20, verb: str = "") -> Listing:
    """The best of each comparison group, and the best of its baselines.

    Parameters
    ----------
    store : Store
    campaign : str, optional
        Only its runs.
    n : int
        Candidates per group, and baselines per group; at least 1.
    verb : str
        Under which the ledger counts this evaluation of all ranked runs; not counted without.

    Returns
    -------
    Listing
        A row per run, ranked by the lower end of the interval of its headline, those with fewer
        than five alarms last; the largest group first.

    Raises
    ------
    StoreError
        If nothing of the campaign is stored, or the store holds no run.
    TruenessError
        If `n` is less than 1.
    """
    at_least("-n", n, 1)
    ids = ids_by_key(store, campaign)
    facts = store.facts()
    if campaign is not None:
        facts = facts.filter(pl.col("key").is_in(list(ids)))
    facts, sealed = facts.filter(~pl.col("sealed")), facts.filter("sealed")
    if facts.is_empty():
        where = "" if campaign is None else f" of {campaign!r}"
        raise StoreError(f"{store.root}: no run{where} is stored that can be ranked", "no_run")
    ranked = _ranked(facts)
    unrecorded = _recorded(store, ranked, verb) if verb else ""
    best = ranked.filter(pl.col("rank") <= n)
    rows = [
        {**row, "id": " = ".join(ids.get(row["key"], [])) or None}
        for row in best.with_columns(id=pl.lit(None, pl.String)).select(COLUMNS).to_dicts()
    ]
    candidates = ranked.filter(~pl.col("baseline"))
    groups = ranked["group"].n_unique()
    notes = [
        f"{numbers.plural(len(ranked), 'run')} in {numbers.plural(groups, 'group')},"
        f" {numbers.plural(candidates['candidate'].n_unique(), 'candidate')}: whoever is best of so"
        " many is partly lucky. Nothing is compared here; `trueness leaderboard` judges.",
    ]
    if len(sealed):
        notes.append(f"{numbers.plural(len(sealed), 'run')} on a sealed part left out.")
    return Listing("Stored runs", rows, [*notes, *([unrecorded] if unrecorded else [])])


def _ranked(facts: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``group``, 1 for the largest, and ``rank`` among its candidates or baselines."""
    enough = pl.col("k").is_null() | (pl.col("n") >= MIN_ALARMS)
    low = pl.when(pl.col("value").is_null()).then(None).otherwise(pl.col("low"))
    sizes = facts.group_by("comparison_group").len().sort(["len", "comparison_group"],
                                                          descending=[True, False])  # fmt: skip
    numbered = sizes.select("comparison_group").with_row_index("group", 1)
    keyed = facts.with_columns(
        enough=enough, bound=low.fill_null(-1.0), also=pl.col("auc").fill_null(0.0)
    )
    return (
        keyed.join(numbered, on="comparison_group")
        .sort(
            ["group", "baseline", "enough", "bound", "also", "key"],
            descending=[False, False, True, True, True, False],
        )
        .with_columns(rank=pl.int_range(pl.len()).over("group", "baseline") + 1)
    )


def _recorded(store: Store, ranked: pl.DataFrame, verb: str) -> str:
    """Record that estimates of these runs are seen; why not, if that is impossible."""
    seen = ranked.group_by("data", "part").agg("key").sort("data", "part")
    try:
        Ledger(store).record_keys(seen.rows(), verb)
    except StoreError as error:
        return str(error)
    return ""
