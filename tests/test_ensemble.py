"""Ensembles: the mean of stored logits, whatever order they are stored in; what they refuse."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.baselines import fit_ensemble
from trueness.errors import DataError, StoreError
from trueness.judge.measured import measured
from trueness.predictions import Predictions
from trueness.spec import Spec
from trueness.store import Store

CONTENT = {"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "holdout"}}


def _runs(n, members, seed=0, folds=2):
    """Predictions of some members on the same 2n units, each in an order of its own."""
    rng = np.random.default_rng(seed)
    base = pl.DataFrame({
        "split": ["train"] * n + ["oof"] * n, "id": [f"u{i}" for i in range(2 * n)],
        "y": rng.integers(0, 2, 2 * n).astype(np.uint8),
        "time": np.arange(2 * n).astype("M8[D]"), "regime": ["calm", "wild"] * n,
    })  # fmt: skip
    whole = pl.concat([base.with_columns(pl.lit(f, pl.Int16).alias("fold")) for f in range(folds)])
    made = {}
    for k in range(members):
        logits = rng.normal(size=len(whole)).astype(np.float32)
        frame = whole.with_columns(score=logits, score_last=logits[::-1].copy())
        made[f"run{k}"] = Predictions(frame.sample(fraction=1, shuffle=True, seed=seed + k))
    return made


def _spec(keys):
    return Spec.model_validate({**CONTENT, "model": {"kind": "ensemble", "of": list(keys)}})


def _table(one, column):
    """Unit -> logit, by hand."""
    keys = zip(*(one.frame[name].to_list() for name in ("split", "fold", "id")), strict=True)
    return dict(zip(keys, one.frame[column].to_list(), strict=True))


@given(st.integers(1, 12), st.integers(2, 5), st.integers(0, 10_000))
def test_every_logit_is_the_mean_of_the_members(n, members, seed):
    runs = _runs(n, members, seed)
    actual = fit_ensemble(_spec(runs), {**runs, "stranger": _runs(n + 1, 1)["run0"]})
    for column in ("score", "score_last"):
        tables = [_table(one, column) for one in runs.values()]
        for unit, logit in _table(actual, column).items():
            by_hand = sum(table[unit] for table in tables) / members
            assert logit == pytest.approx(by_hand, abs=1e-6)
    first = runs["run0"].frame
    assert actual.frame.drop("score", "score_last").equals(first.drop("score", "score_last"))
    assert actual.frame.schema == first.schema


def test_an_ensemble_is_a_candidate_that_depends_on_its_members():
    keys = ["run0", "run1", "run2"]
    spec, turned = _spec(keys), _spec([*keys[::-1], "run1"])
    assert spec.key == turned.key
    assert spec.depends_on == set(keys)
    assert not spec.is_baseline
    assert spec.model.engine == "ensemble"
    assert spec.model_copy(update={"seed": 7}).key == spec.key
    assert spec.estimands.chosen_on == "validation"
    assert "ensemble of 3" in spec.label()
    assert _spec(keys[:2]).key != spec.key
    assert Spec.model_validate(CONTENT).depends_on == set()


def test_a_member_that_is_not_there_is_refused():
    runs = _runs(4, 2)
    with pytest.raises(StoreError, match="run9") as caught:
        fit_ensemble(_spec([*runs, "run9"]), runs)
    assert caught.value.code == "missing_run"


def _first(column, value):
    return pl.when(pl.int_range(pl.len()) == 0).then(value).otherwise(column).alias(column)


OTHERS = {
    "fewer": lambda frame: frame[1:],
    "more": lambda frame: pl.concat([frame, frame[:1].with_columns(id=pl.lit("new"))]),
    "another id": lambda frame: frame.with_columns(_first("id", pl.lit("new"))),
    "another label": lambda frame: frame.with_columns(_first("y", 1 - pl.col("y"))),
    "another fold": lambda frame: frame.with_columns(fold=pl.col("fold") + 1),
    "another part": lambda frame: frame.with_columns(split=pl.col("split").replace("oof", "test")),
    "doubled": lambda frame: pl.concat([frame, frame[:1]]),
    "exchanged": lambda frame: pl.concat([frame[1:], frame[1:2]]),
}


@pytest.mark.parametrize("change", OTHERS)
@pytest.mark.parametrize("which", ["run0", "run1"])
def test_members_on_other_units_are_refused(change, which):
    runs = _runs(5, 2)
    frame = runs[which].frame
    other = Predictions(OTHERS[change](frame).cast(dict(frame.schema)))
    with pytest.raises(DataError) as caught:
        fit_ensemble(_spec(runs), {**runs, which: other})
    assert caught.value.code == "different_units"


def test_ranks_and_classes_have_no_logits_to_average():
    runs = _runs(4, 2)
    ranks = Predictions(runs["run1"].frame, scale="rank")
    scores = pl.Series("scores", np.zeros((len(ranks), 2), np.float32))
    classes = Predictions(ranks.frame.with_columns(scores), classes=("a", "b"))
    for other in (ranks, classes):
        with pytest.raises(DataError) as caught:
            fit_ensemble(_spec(runs), {**runs, "run1": other})
        assert caught.value.code == "not_logits"


def test_stored_runs_of_networks_and_baselines_make_one(campaign_folder):
    """Seeds of a network and a forest, read back from a store; measured like any run."""
    every = [
        run for run in Store(campaign_folder / "store").all_runs()[0] if run.spec.task.tier == "a20"
    ]
    networks = [run for run in every if run.spec.model.is_network][:3]
    chosen = [*networks, *(run for run in every if run.spec.model.kind == "forest")]
    keys = sorted(run.key for run in chosen)
    assert len(keys) == 4
    content = networks[0].spec.model_dump(include={"task", "evaluation"})
    spec = Spec.model_validate({**content, "model": {"kind": "ensemble", "of": keys}})
    actual = fit_ensemble(spec, {run.key: run.predictions() for run in every})
    parts = [run.predictions().part("validation").score for run in chosen]
    np.testing.assert_allclose(actual.part("validation").score, np.mean(parts, axis=0), atol=1e-6)
    assert actual.units() == next(r for r in chosen if r.key == keys[0]).predictions().units()
    estimates = measured(spec, actual)["estimates"]
    assert estimates["auc"]["chosen_on"] == "validation"
