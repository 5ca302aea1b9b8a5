"""Suggested trials: around the best configuration of a search, and in its gaps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from trueness.errors import DataError
from trueness.judge.studies import Study, coverage
from trueness.models.budgets import shapes_within
from trueness.search.follow_up import Candidate, ranked, varied
from trueness.search.stored import StoredStudy, short, study_of
from trueness.spec import Spec
from trueness.store import Store
from trueness.tasks import task_of, window_shape

DROPOUTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)
RATES = (2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 7e-5, 8e-5, 1e-4, 1.2e-4, 1.5e-4, 2e-4, 5e-4, 1e-3)
DECAYS = (0.0, 1e-5, 1e-4, 3e-4, 5e-4, 7e-4, 1e-3, 2e-3, 1e-2)
SWEPT = {"model.dropout": DROPOUTS, "recipe.learning_rate": RATES, "recipe.weight_decay": DECAYS}
PER_SWEEP, PER_GAP = 6, 4
"""Values of one sweep, and candidates from the gaps."""
SMALLEST = 1e-6
"""What stands for a weight decay of 0 where distances are logarithmic."""


def suggestions(
    stored: StoredStudy, store: Store, *, count: int = 27, tier: str | None = None
) -> list[Candidate]:
    """Experiments around the best of a study, none of which is in the store.

    Groups, as priorities: A dropout, B learning rate, C weight decay, D shallow, E deep, F
    combinations of the next best values, G gaps of the coverage. Where there are more than
    `count`, every group gives in turn.

    Parameters
    ----------
    stored : StoredStudy
    store : Store
    count : int
    tier : str, optional
        In place of the tier that was searched.

    Raises
    ------
    DataError
        If nothing is left to propose.
    """
    best, study = ranked(stored, store)[0].spec, study_of(stored, store)
    base = best if tier is None else varied(best, {"task.tier": tier, "task.columns": None})
    if base is None or not base.model.sizes:
        raise DataError(f"{stored.name}: its best run is no network whose size can be varied")
    makers: dict[str, Callable[[], Iterator[tuple[str, Spec | None]]]] = {
        "A": lambda: _sweep(base, "model.dropout"),
        "B": lambda: _sweep(base, "recipe.learning_rate"),
        "C": lambda: _sweep(base, "recipe.weight_decay"),
        "D": lambda: _depths(base, stored, shallow=True),
        "E": lambda: _depths(base, stored, shallow=False),
        "F": lambda: _combined(base, study),
        "G": lambda: _gaps(base, stored, study),
    }
    seen: set[str] = set() if base.key in store else {base.key}
    groups = {name: list(_new(make(), store, seen)) for name, make in makers.items()}
    turns = itertools.chain.from_iterable(itertools.zip_longest(*(
        [(name, one) for one in group] for name, group in groups.items()
    )))  # fmt: skip
    chosen = sorted(itertools.islice((t for t in turns if t is not None), count), key=_group)
    if not chosen:
        raise DataError(f"{stored.name}: everything around its best is in the store already")
    numbered: dict[str, int] = {}
    candidates = []
    for name, (why, spec) in chosen:
        numbered[name] = numbered.get(name, 0) + 1
        candidates.append(Candidate(f"{name}{numbered[name]}", name, spec, why))
    return candidates


def _group(one: tuple[str, Any]) -> str:
    return one[0]


def _new(
    made: Iterator[tuple[str, Spec | None]], store: Store, seen: set[str]
) -> Iterator[tuple[str, Spec]]:
    for why, spec in made:
        if spec is not None and spec.key not in seen and spec.key not in store:
            seen.add(spec.key)
            yield why, spec


def _value(spec: Spec, path: str) -> float:
    section, _, name = path.partition(".")
    return float(getattr(getattr(spec, section), name))


def _sweep(base: Spec, path: str) -> Iterator[tuple[str, Spec | None]]:
    """Values of one parameter, the nearest first."""
    here = _value(base, path)
    logarithmic = path != "model.dropout"

    def distance(value: float) -> float:
        if not logarithmic:
            return abs(value - here)
        return abs(math.log(max(value, SMALLEST) / max(here, SMALLEST)))

    near = sorted((v for v in SWEPT[path] if v != here), key=distance)[:PER_SWEEP]
    for value in sorted(near):
        yield f"best with {short(path)} {value:g}", varied(base, {path: value})


def _depths(base: Spec, stored: StoredStudy, shallow: bool) -> Iterator[tuple[str, Spec | None]]:
    """Fewer or more layers; under a budget, shapes that meet it."""
    depth, word = _sizes(base)["n_layers"], "shallow" if shallow else "deep"
    for shape in _shapes(base, stored):
        if (shape["n_layers"] < depth) == shallow and shape["n_layers"] != depth:
            changes = {f"model.{name}": value for name, value in shape.items()}
            why = f"{word}: {shape['n_layers']} layers of width {shape['d_model']}"
            yield why, varied(base, changes)


def _sizes(base: Spec) -> dict[str, int]:
    """What a budget decides of its network."""
    return {name: getattr(base.model, name) for name in base.model.sizes}


def _shapes(base: Spec, stored: StoredStudy) -> list[dict[str, int]]:
    """Other shapes, the nearest depth first."""
    now, budget = _sizes(base), stored.about["budget"]
    if budget is None or budget.startswith("label:"):
        shapes = _resized(now)
    else:
        data = task_of(base.task.kind).load(stored.about["sources"])
        solved = shapes_within(budget, *window_shape(base, data), base=base.model)
        shapes = [s.fields for s in solved]
    return sorted(
        shapes, key=lambda s: (abs(math.log(s["n_layers"] / now["n_layers"])), -s["d_model"])
    )[:8]


def _resized(now: dict[str, int]) -> list[dict[str, int]]:
    """Other depths, and half the depth at twice the width and the other way round."""
    depth, width, inner = (now[name] for name in ("n_layers", "d_model", "d_ff"))
    depths = {max(1, round(depth * share)) for share in (0.25, 0.5, 1.5, 2)}
    return [
        *({**now, "n_layers": one} for one in depths),
        {**now, "n_layers": max(1, depth // 2), "d_model": 2 * width, "d_ff": 2 * inner},
        {**now, "n_layers": 2 * depth, "d_model": max(2, width // 2), "d_ff": max(1, inner // 2)},
    ]


def _combined(base: Spec, study: Study) -> Iterator[tuple[str, Spec | None]]:
    """The next best value of each training parameter by its mean, alone and together."""
    second: dict[str, float] = {}
    for path in SWEPT:
        name, groups = short(path), {}
        for trial in study.completed:
            if name in trial.params and trial.value is not None:
                groups.setdefault(trial.params[name], []).append(trial.value)
        others = {v: sum(g) / len(g) for v, g in groups.items() if v != _value(base, path)}
        if others:
            second[path] = max(others, key=lambda v: (others[v], v))
    for size in (1, 2, 3):
        for paths in itertools.combinations(second, size):
            changes = {path: second[path] for path in paths}
            words = ", ".join(f"{short(p)} {v:g}" for p, v in changes.items())
            yield f"next best values together: {words}", varied(base, changes)


def _gaps(base: Spec, stored: StoredStudy, study: Study) -> Iterator[tuple[str, Spec | None]]:
    """The middle of the widest gap of each parameter, and architectures that nobody tried."""
    paths = {short(path): path for path in stored.about["leaves"] if "[" not in path}
    covered = coverage(study)
    gaps = [p for p in covered.parameters if p.gap is not None and p.name in paths]
    gaps.sort(key=lambda p: -(p.gap.share if p.gap else 0))
    for one in gaps[:PER_GAP]:
        assert one.gap is not None
        value = _between(one.gap.low, one.gap.high, one.gap.scale)
        path = paths[one.name]
        if path != "model.d_ff_ratio" and not path.startswith("model.n_"):
            why = f"gap of {one.name} from {one.gap.low:g} to {one.gap.high:g}"
            yield why, varied(base, {path: value})
    grid = covered.architectures
    if grid is None or (stored.about["budget"] and not stored.about["budget"].startswith("label:")):
        return
    untested = grid.untested
    step = max(1, len(untested) // PER_GAP)
    ratio = _sizes(base)["d_ff"] / _sizes(base)["d_model"]
    for triple in untested[step // 2 :: step]:
        shape = dict(zip(grid.names, triple, strict=True))
        changes = {f"model.{name}": value for name, value in shape.items()}
        changes["model.d_ff"] = max(1, round(ratio * float(shape["d_model"])))
        yield f"untested architecture {'/'.join(map(str, triple))}", varied(base, changes)


def _between(low: float, high: float, scale: str) -> float:
    """Middle of a gap on its own scale, rounded to what one would write."""
    middle = math.sqrt(low * high) if scale == "log" and low > 0 else (low + high) / 2
    if isinstance(low, int) and isinstance(high, int):
        return round(middle)
    return float(f"{middle:.2g}")
