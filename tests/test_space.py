"""Spaces: leaves and their names, conditional ones, refusals, budgets, pins."""

import pytest

from trueness.errors import CampaignError, SpecError
from trueness.market import synthetic_bars
from trueness.models import parameter_count
from trueness.search.loading import load_search, named
from trueness.search.space import Choice, Range, Space, levels
from trueness.spec import Spec

PLAIN = """\
search: tiny
title: A tiny search
data: bars.csv
space:
  task: {context: 20}
  model:
    kind: patchtst
    d_model: {one_of: [8, 12, 16]}
    n_layers: {one_of: [1, 2, 3]}
    n_heads: {one_of: [2, 4, 8]}
    d_ff: 16
    patch_length: 5
    stride: 5
    dropout: {one_of: [0.0, 0.2]}
    embedding: {one_of: [none, {kind: linear, width: {one_of: [4, 8]}}]}
  loss: {one_of: [bce, {kind: focal, gamma: {between: [0.5, 3.0]}}]}
  recipe: {name: published, epochs: 1, batch_size: 64, precision: float32, learning_rate: {between: [1e-4, 1e-2], log: true}}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "plain.yaml").write_text(PLAIN)
    return folder


@pytest.fixture
def load(folder, tmp_path):
    def read(old="", new="", **options):
        (tmp_path / "bars.csv").write_bytes((folder / "bars.csv").read_bytes())
        (tmp_path / "s.yaml").write_text(PLAIN.replace(old, new) if old else PLAIN)
        return load_search(tmp_path / "s.yaml", **options)

    return read


def test_leaves_below_a_choice_exist_only_where_it_was_made(load):
    search = load()
    names = [leaf.name for leaf in search.space.leaves()]
    assert "model.embedding[linear].width" in names
    assert "loss[focal].gamma" in names
    first = search.space.fill(lambda leaf: levels(leaf)[0])[1]
    assert "model.embedding[linear].width" not in first
    wide = {**first, "model.embedding": "linear", "model.embedding[linear].width": 8}
    assert search.spec(wide).model.embedding.width == 8
    focal = {**first, "loss": "focal", "loss[focal].gamma": 1.5}
    assert search.spec(focal).loss.gamma == 1.5
    with pytest.raises(SpecError, match=r"no value for loss\[focal\].gamma"):
        search.spec({**first, "loss": "focal"})


def test_words_stand_for_what_they_stand_for_in_campaigns(load):
    old = "recipe: {name: published, epochs: 1, batch_size: 64, precision: float32, learning_rate: {between: [1e-4, 1e-2], log: true}}"
    assert old in PLAIN
    search = load(old, "recipe: {one_of: [fair, published]}")
    first = search.space.fill(lambda leaf: levels(leaf)[0])[1]
    assert search.spec(first).recipe.optimizer == "adamw"
    assert search.spec({**first, "recipe": "published"}).recipe.optimizer == "adam"


def test_levels_of_ranges():
    assert Range("", 2, 8).levels() == [2, 3, 4, 5, 6, 7, 8]
    assert Range("", 0.1, 0.5, step=0.2).levels() == pytest.approx([0.1, 0.3, 0.5])
    assert Range("", 1e-5, 1e-3, log=True).levels() == pytest.approx(
        [1e-5, 3.1623e-5, 1e-4, 3.1623e-4, 1e-3], rel=1e-4
    )
    assert Range("", 0, 1000).levels() == [0, 250, 500, 750, 1000]
    assert (
        Choice("", ("none", {"kind": "linear"}, {"kind": "linear", "width": 3})).labels[0] == "none"
    )


@pytest.mark.parametrize(
    ("leaf", "match"),
    [
        ({"one_of": []}, "list of options"),
        ({"one_of": [1, 1]}, "twice"),
        ({"one_of": [1, 1.0]}, "twice"),
        ({"one_of": [1], "log": True}, "stand alone"),
        ({"between": [3, 1]}, "low < high"),
        ({"between": [1]}, "low < high"),
        ({"between": [0, 1], "log": True}, "above 0"),
        ({"between": [0, 1], "step": 2}, "within the range"),
        ({"between": [0, 1], "step": "x"}, "a number"),
        ({"between": [0, 1], "logs": True}, "log and step only"),
        ({"between": [1, 2], "log": "maybe"}, "true or false"),
        ({"between": [0, 9], "step": 1.5}, "is one too"),
    ],
)
def test_malformed_leaves_are_refused(leaf, match):
    with pytest.raises(SpecError, match=match):
        Space({"model": {"dropout": leaf}})


def test_a_space_without_leaves_is_refused(folder):
    with pytest.raises(SpecError, match="no opened leaf"):
        Space({"model": {"dropout": 0.5}})
    (folder / "bad.yaml").write_text("search: x\nspaces: {}\n")
    with pytest.raises(CampaignError, match="unknown field 'spaces'"):
        load_search(folder / "bad.yaml")
    with pytest.raises(CampaignError, match="unknown search 'nope'"):
        load_search("nope")


def test_a_space_without_a_valid_combination_is_refused(load):
    with pytest.raises(SpecError, match=r"no valid combination; its middle: model.*divide"):
        load("n_heads: {one_of: [2, 4, 8]}", "n_heads: 7")
    with pytest.raises(SpecError, match=r"model\.d_modle: unknown field"):
        load("d_model:", "d_modle:")


def test_forced_extremes_are_valid_and_extreme(load):
    forced = dict(load().forced())
    assert list(forced) == [
        "min_d_model", "max_d_model", "min_n_layers", "max_n_layers", "min_n_heads", "max_n_heads",
    ]  # fmt: skip
    assert forced["min_d_model"]["model.d_model"] == 8
    assert forced["max_n_heads"]["model.n_heads"] == 8
    assert forced["max_n_heads"]["model.d_model"] % 8 == 0
    assert {p["model.dropout"] for p in forced.values()} == {0.2}


def test_architectures_come_by_distance_and_valid(load):
    search = load()
    here = search.any_valid()
    near = list(search.triples(here))
    assert near[0] == here
    assert len(near) == 3 * (3 + 2 + 3)
    assert all(p["model.d_model"] % p["model.n_heads"] == 0 for p in near)


def test_a_budget_is_met_by_the_true_count(load):
    search = load("embedding: {one_of: [none, {kind: linear, width: {one_of: [4, 8]}}]}",
                  "embedding: {kind: linear, width: 8}", budget="50k")  # fmt: skip
    seen = 0
    for parameters in search.triples(search.any_valid()):
        spec, seen = search.spec(parameters), seen + 1
        assert abs(parameter_count(spec.model, 20, 20) / 50_000 - 1) <= 0.1
    assert seen > 10
    assert all(search.is_valid(p) for _, p in search.forced())
    assert len(dict(search.forced())) == 6


def test_budgets_that_cannot_be_met_are_refused(load):
    fixed = (
        "embedding: {one_of: [none, {kind: linear, width: {one_of: [4, 8]}}]}",
        "embedding: none",
    )
    with pytest.raises(SpecError, match=r"a budget needs one model\.embedding"):
        load(budget="2M")
    with pytest.raises(SpecError, match="cannot be met"):
        load(*fixed, budget="2k")
    with pytest.raises(SpecError, match="is not a number of parameters"):
        load(*fixed, budget="lots")
    with pytest.raises(SpecError, match="no published space"):
        load(*fixed, budget="label:3M")


def test_labels_keep_the_published_levels(load):
    search = load(budget="label:2M")
    actual = {leaf.name: levels(leaf) for leaf in search.space.leaves()}
    assert actual["model.d_model"] == [32, 48, 64, 80, 96]
    assert actual["recipe.weight_decay"] == [0.0, 1e-5, 1e-4, 1e-3]
    assert "model.d_ff" not in actual


def test_a_pin_holds_everything_but_what_is_named(load):
    pin = load().spec({**load().any_valid(), "loss": "focal", "loss[focal].gamma": 1.0})
    search = load(pin=pin, vary=["dropout", "recipe.learning_rate"])
    assert [leaf.name for leaf in search.space.leaves()] == [
        "model.dropout",
        "recipe.learning_rate",
    ]
    parameters = {
        "model.dropout": pin.model.dropout,
        "recipe.learning_rate": pin.recipe.learning_rate,
    }
    assert search.spec(parameters).key == pin.key
    assert pin.key in search.name
    loss = load(pin=pin, vary=["loss"])
    assert isinstance(loss.spec({"loss": "bce"}), Spec)
    for vary, match in (([], "holds everything"), (["depth"], "no leaf 'depth'")):
        with pytest.raises(SpecError, match=match):
            load(pin=pin, vary=vary)
    with pytest.raises(SpecError, match="give --pin"):
        load(vary=["dropout"])


def test_what_is_given_takes_the_place_of_the_space_and_shows_in_the_name(load):
    search = load(tier="a50", horizon=5, protocol="walk_forward", recipe="fair", epochs=7)
    spec = search.spec(search.any_valid())
    assert (spec.task.tier, spec.task.horizon) == ("a50", 5)
    assert (spec.evaluation.protocol, spec.recipe.epochs) == ("walk_forward", 7)
    assert spec.recipe.optimizer == "adamw"
    assert search.name == "tiny-a50-h5-walk_forward-fair-7epochs"
    assert named(search, "mine").name == "mine"
    with pytest.raises(SpecError, match="letters, digits"):
        named(search, "../x")
    for name in ("search: ../x", f"search: {'x' * 101}"):
        with pytest.raises(SpecError, match="letters, digits"):
            load("search: tiny", name)
    assert load("search: tiny", "search:").name == "s"


def test_the_bundled_space_holds_the_untested_values():
    search = load_search(tier="a20")
    actual = {leaf.name: levels(leaf) for leaf in search.space.leaves()}
    assert {0.15, 0.2, 0.35, 0.6} <= set(actual["model.dropout"])
    assert {2e-6, 7e-5, 1.5e-4, 5e-4} <= set(actual["recipe.learning_rate"])
    assert {3e-4, 7e-4, 2e-3, 1e-2} <= set(actual["recipe.weight_decay"])
    assert {112, 144} <= set(actual["model.d_model"])
    assert actual["model.n_heads"] == [2, 4, 8]
