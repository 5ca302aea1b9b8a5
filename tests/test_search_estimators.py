"""Searches of models that are no networks: bundled spaces, trials as candidates, refusals."""

import json

import pytest

from tests.conftest import BASELINES
from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.errors import SpecError
from trueness.judge.leaderboard import leaderboard
from trueness.market import synthetic_bars
from trueness.search import load_search, make_pruner
from trueness.search.loading import FOLDER
from trueness.search.space import levels
from trueness.store import Store

BUNDLED = ["boosting", "catboost", "forest", "lightgbm", "logit", "xgboost"]
SPACE = """\
search: trees
title: Boosting and a forest
data: bars.csv
space:
  task: {context: 20}
  model:
    one_of:
      - {kind: boosting, learning_rate: {between: [0.02, 0.3], log: true}, max_trees: 20, max_leaf_nodes: {one_of: [4, 8]}}
      - {kind: forest, n_estimators: {one_of: [10, 20]}, inputs: last}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
"""


@pytest.fixture
def space(tmp_path):
    """A space file with another text in the place of a piece of it."""

    def write(old="", new=""):
        if not (tmp_path / "bars.csv").exists():
            synthetic_bars(1200).frame().write_csv(tmp_path / "bars.csv")
        assert old in SPACE
        (tmp_path / "trees.yaml").write_text(SPACE.replace(old, new) if old else SPACE)
        return tmp_path / "trees.yaml"

    return write


def test_every_bundled_space_can_be_built_at_its_ends():
    """Each level of each leaf alone, everything else in the middle, makes a spec of its own."""
    assert {file.stem for file in FOLDER.glob("*.yaml")} == {*BUNDLED, "published"}
    for name in BUNDLED:
        if name in ("lightgbm", "xgboost", "catboost"):
            pytest.importorskip(name)
        search = load_search(name)
        assert not search.trains_networks()
        middle, keys = search.middle(), []
        for leaf in search.space.leaves():
            assert leaf.name.removeprefix("model.") in type(search.spec(middle).model).model_fields
            for level in {levels(leaf)[0], levels(leaf)[-1]} - {middle[leaf.name]}:
                spec = search.spec({**middle, leaf.name: level})
                assert spec.model.kind == name
                keys.append(spec.key)
        assert len(set(keys)) == len(keys) >= 2


def test_trials_are_runs_that_count_as_candidates(space, tmp_path, capsys):
    store = tmp_path / "store"
    arguments = ["search", "run", space(), "--store", store, "--workers", "0", "--json"]
    status, out, _ = call(capsys, *arguments, "--trials", "6", "--sampler", "random")
    assert status == 0
    actual = json.loads(out)
    assert (actual["done"], actual["failed"], actual["distinct"]) == (6, 0, 6)
    assert actual["parameters"] is None
    opened = Store(store)
    (group,) = leaderboard(opened).groups
    assert len(group.candidates) == 6
    assert {m.run.spec.model.kind for m in group.candidates} == {"boosting", "forest"}
    assert {m.run.spec.model.kind for m in group.baselines} == {*BASELINES}
    status, out, _ = call(capsys, *arguments, "--trials", "7", "--sampler", "random")
    assert (status, json.loads(out)["done"]) == (0, 1)  # a study goes on
    for verb in ("analyze", "coverage"):
        status, out, _ = call(capsys, "search", verb, "trees", "--store", store)
        assert status == 0
        assert "learning_rate" in out


def test_the_best_trial_is_promoted_with_new_seeds(space, tmp_path, capsys):
    store, file = tmp_path / "store", tmp_path / "promoted.yaml"
    call(capsys, "search", "run", space(), "--store", store, "--workers", "0", "--trials", "3")
    status, _, err = call(
        capsys, "search", "promote", "trees", "--store", store, "--count", "2", "--seeds", "2",
        "--output", file,
    )  # fmt: skip
    assert status == 0, err
    experiments = load_campaign(file).experiments
    assert len(experiments) == 4
    assert not any(entry.spec.is_baseline for entry in experiments)


@pytest.mark.parametrize(
    "option",
    [{"budget": "2M"}, {"budget": "label:2M"}, {"epochs": 3}, {"recipe": "fair"}],
    ids=lambda option: next(iter(option)),
)
def test_what_only_networks_read_is_refused(space, option):
    with pytest.raises(SpecError) as caught:
        load_search(space(), **option)
    assert caught.value.code == "no_network"


def test_nothing_without_epochs_can_be_pruned(space):
    with pytest.raises(SpecError) as caught:
        make_pruner("median", load_search(space()))
    assert caught.value.code == "no_network"


def test_a_space_with_a_network_beside_takes_epochs(space):
    network = "- {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}\n"
    mixed = load_search(
        space("      - {kind: forest", f"      {network}      - {{kind: forest"), epochs=2
    )
    assert mixed.trains_networks()
    parameters = {**mixed.middle(), "model": "patchtst"}
    assert mixed.spec(parameters).recipe.epochs == 2


def test_the_trial_at_every_default_is_the_baseline(space):
    text = "{kind: forest, n_estimators: {one_of: [10, 20]}, inputs: last}"
    search = load_search(space(text, "{kind: forest, n_estimators: {one_of: [20, 300]}}"))
    at = {"model": "forest", "model[forest].n_estimators": 300}
    assert search.spec(at).is_baseline
    assert not search.spec({**at, "model[forest].n_estimators": 20}).is_baseline


def test_a_class_that_cannot_be_fitted_is_refused_before_anything_is_written(
    space, tmp_path, capsys
):
    (tmp_path / "mine.py").write_text("class Net:\n    def __init__(self, slope=1): pass\n")
    own = "{kind: estimator, of: 'mine.py:Net', params: {slope: {between: [0.1, 1.0]}}}"
    models = SPACE[SPACE.index("    one_of:") : SPACE.index("  evaluation:")]
    file = space(models, f"    one_of: [{own}]\n")
    store = tmp_path / "store"
    status, _, err = call(capsys, "search", "run", file, "--trials", 1, "--store", store)
    assert (status, len(err.strip().splitlines())) == (2, 1)
    assert "mine.py:Net has no fit" in err
    assert not store.exists()
