"""How runs are found in a store: by id, by key, by campaign."""

from __future__ import annotations

from collections.abc import Sequence

from trueness.errors import StoreError, TruenessError, nearest
from trueness.store import AnyStore, Run


def ids_by_key(store: AnyStore, campaign: str | None = None) -> dict[str, list[str]]:
    """Key -> the ids that stand for it, of one campaign or of all.

    Raises
    ------
    StoreError
        If nothing of the campaign is stored.
    """
    known = store.campaigns()
    if campaign is not None and campaign not in known:
        raise _no_campaign(store, campaign, list(known))
    ids: dict[str, list[str]] = {}
    for name, mapping in known.items():
        if campaign in (None, name):
            for id_, keys in mapping.items():
                for key in keys:
                    if id_ not in ids.setdefault(key, []):
                        ids[key].append(id_)
    return ids


def _no_campaign(store: AnyStore, campaign: str, known: list[str]) -> StoreError:
    damaged = {one.name: one.reason for one in store.campaign_problems()}
    if (reason := damaged.get(f"campaigns/{campaign}.json")) is not None:
        return StoreError(f"{reason}; its command writes it anew and keeps the old one", "damaged")
    hint = nearest(campaign, known) if known else "the store holds none yet"
    return StoreError(f"{store.root}: no runs of a campaign {campaign!r}; {hint}", "no_campaign")


def find_run(store: AnyStore, wanted: str) -> tuple[Run, list[str]]:
    """A run by id (or CAMPAIGN/ID) or key, and all ids that share it.

    Raises
    ------
    TruenessError
        If there is none, or several.
    """
    named = [
        (f"{name}/{id_}" if name else id_, id_, keys[-1])
        for name, known in store.campaigns().items()
        for id_, keys in known.items()
        if keys
    ]
    matches = {full: key for full, id_, key in named if wanted in (full, id_)}
    if len(set(matches.values())) > 1:
        raise TruenessError(
            f"{wanted!r} is several runs; choose from {', '.join(matches)}", "ambiguous"
        )
    run = store.run(next(iter(matches.values()), wanted))
    return run, [full for full, _, key in named if key == run.key]


def names_of(store: AnyStore, run: Run) -> list[str]:
    """Ids that stand for a run now, without their campaigns, each once."""
    named = (item for ids in store.campaigns().values() for item in ids.items())
    return list(dict.fromkeys(id_ for id_, keys in named if keys[-1:] == [run.key]))


def name_of(store: AnyStore, run: Run) -> str:
    """Every id that stands for a run now, or its key."""
    return " = ".join(names_of(store, run)) or run.key


def named_run(store: AnyStore, wanted: str) -> tuple[str, Run]:
    """A run by id or key, and what it is called: see `find_run` and `name_of`."""
    run, _ = find_run(store, wanted)
    return name_of(store, run), run


def find_runs(
    store: AnyStore, wanted: Sequence[str], campaign: str | None = None
) -> dict[str, Run]:
    """Name -> run, of some ids or keys or of a whole campaign; each run once.

    Raises
    ------
    TruenessError
        If neither or both are given, or nothing is stored.
    """
    if bool(wanted) == (campaign is not None):
        raise TruenessError("give keys or ids of runs, or --campaign NAME", "which_runs")
    names: dict[str, list[str]] = {}
    runs: dict[str, Run] = {}
    some = _of_campaign(store, campaign) if campaign is not None else [
        (" = ".join(ids) or run.key, run) for run, ids in (find_run(store, one) for one in wanted)
    ]  # fmt: skip
    for name, run in some:
        runs[run.key] = run
        if name not in names.setdefault(run.key, []):
            names[run.key].append(name)
    return {" = ".join(names[key]): run for key, run in runs.items()}


def _of_campaign(store: AnyStore, campaign: str) -> list[tuple[str, Run]]:
    """Ids of a campaign and the runs they stand for now; those not stored are left out."""
    known = store.campaigns()
    if campaign not in known:
        raise _no_campaign(store, campaign, list(known))
    runs, problems = store.all_runs()
    stored = {run.key: run for run in runs}
    ids = {id_: keys[-1] for id_, keys in known[campaign].items() if keys}
    damaged = {problem.name: problem.reason for problem in problems}
    lost = [f"{id_} ({damaged[key]})" for id_, key in ids.items() if key in damaged]
    if lost:
        raise StoreError(
            f"{store.root}: damaged runs of {campaign!r}: {', '.join(lost[:3])}; remove their "
            "folders, or name the runs that are meant", "damaged",
        )  # fmt: skip
    result = [(id_, stored[key]) for id_, key in ids.items() if key in stored]
    if not result:
        raise StoreError(
            f"{store.root}: no run of {campaign!r} is stored; `trueness run CAMPAIGN` makes them",
            "no_run",
        )
    return result
