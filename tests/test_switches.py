"""Switches of a recipe and a model: each changes the training, beside whatever is trained."""

import dataclasses

import numpy as np
import pytest

from tests.switches import (
    BY_LOSS,
    BY_VOLATILITY,
    BYOL,
    CLUSTERS,
    CPU,
    JITTER,
    OFF,
    PAIR,
    SIMCLR,
    SWITCHED,
    TREND,
    TS2VEC,
    VOLATILE,
    WARMED,
    N,
    scores,
    spec_of,
    switch_examples,
)
from trueness.examples import PARTS
from trueness.fit import choose_device, fit_stack, stackable
from trueness.fit.scoring import network_logits
from trueness.spec import Spec
from trueness.spec.loss import Bootstrap, ForwardCorrection
from trueness.spec.regime import Regime
from trueness.spec.scales import Multiscale
from trueness.spec.training import (
    Augmentation,
    Curriculum,
    Pretraining,
    Selection,
)


@pytest.fixture(scope="module")
def examples():
    return switch_examples()


# -------------------------------------------------------------------- no switch is declared in vain

CHANGES = [
    ("recipe.augmentation", Augmentation, {}, JITTER, ["jitter"]),
    ("recipe.augmentation", Augmentation, {}, {"scale": 0.5}, ["scale"]),
    ("recipe.augmentation", Augmentation, {"scale": 0.5}, {"scale": 0.5, "per_feature": True},
     ["per_feature"]),
    ("recipe.augmentation", Augmentation, {}, {"timewarp": 0.2}, ["timewarp"]),
    ("recipe.augmentation", Augmentation, {}, {"mixup": 0.4}, ["mixup"]),
    ("recipe.augmentation", Augmentation, JITTER, {**JITTER, "probability": 0.5}, ["probability"]),
    ("recipe.selection", "confidence", "none", WARMED, []),
    ("recipe.selection", "confidence", WARMED, {**WARMED, "threshold": 0.4}, ["threshold"]),
    ("recipe.selection", "confidence", WARMED, {**WARMED, "mode": "prune"}, ["mode"]),
    ("recipe.selection", "confidence", WARMED, {**WARMED, "weight_factor": 0.5}, ["weight_factor"]),
    ("recipe.selection", "confidence", WARMED, {**WARMED, "warmup_epochs": 1}, ["warmup_epochs"]),
    ("recipe.curriculum", "loss", "none", BY_LOSS, []),
    ("recipe.curriculum", "loss", BY_LOSS, {**BY_LOSS, "kind": "confidence"}, []),
    ("recipe.curriculum", "loss", BY_LOSS, {**BY_LOSS, "start": 0.5}, ["start"]),
    ("recipe.curriculum", "loss", BY_LOSS, {**BY_LOSS, "growth": 0.05}, ["growth"]),
    ("recipe.curriculum", "loss", BY_LOSS, {**BY_LOSS, "hardest_first": True}, ["hardest_first"]),
    ("recipe.curriculum", "loss", BY_LOSS, {**BY_LOSS, "scored_after": 3}, ["scored_after"]),
    ("recipe.curriculum", "volatility", "none", BY_VOLATILITY, []),
    ("recipe.curriculum", "volatility", BY_VOLATILITY, {**BY_VOLATILITY, "returns": "d"},
     ["returns"]),
    ("recipe.pretraining", "simclr", "none", SIMCLR, []),
    ("recipe.pretraining", "simclr", SIMCLR, {**SIMCLR, "temperature": 1.0}, ["temperature"]),
    ("recipe.pretraining", "simclr", SIMCLR, {**SIMCLR, "epochs": 1}, ["epochs"]),
    ("recipe.pretraining", "simclr", SIMCLR, {**SIMCLR, "noise": 0.5}, ["noise"]),
    ("recipe.pretraining", "ts2vec", SIMCLR, TS2VEC, []),
    ("recipe.pretraining", "ts2vec", TS2VEC, {**TS2VEC, "temperature": 1.0}, ["temperature"]),
    ("recipe.pretraining", "ts2vec", TS2VEC, {**TS2VEC, "lambda_temporal": 1.0},
     ["lambda_temporal"]),
    ("recipe.pretraining", "byol", SIMCLR, BYOL, []),
    ("recipe.pretraining", "byol", BYOL, {**BYOL, "momentum": 0.5}, ["momentum"]),
    ("model.multiscale", "hierarchical_pool", "none", {"kind": "hierarchical_pool"}, []),
    ("model.multiscale", "hierarchical_pool", "hierarchical_pool",
     {"kind": "hierarchical_pool", "scales": [1, 2]}, ["scales"]),
    ("model.multiscale", "hierarchical_pool", "hierarchical_pool",
     {"kind": "hierarchical_pool", "fusion": "sum"}, ["fusion"]),
    ("model.multiscale", "hierarchical_pool", {"kind": "hierarchical_pool", "fusion": "sum"},
     {"kind": "hierarchical_pool", "fusion": "attention"}, ["fusion"]),
    ("model.multiscale", "multi_patch", "none", "multi_patch", []),
    ("model.multiscale", "multi_patch", "multi_patch",
     {"kind": "multi_patch", "patch_sizes": [5, 10]}, ["patch_sizes"]),
    ("model.multiscale", "dilated_conv", "none", "dilated_conv", []),
    ("model.multiscale", "dilated_conv", "dilated_conv",
     {"kind": "dilated_conv", "dilation_rates": [1, 2]}, ["dilation_rates"]),
    ("model.multiscale", "cross_attention", "none", "cross_attention", []),
    ("model.multiscale", "cross_attention", "cross_attention",
     {"kind": "cross_attention", "n_heads": 2}, ["n_heads"]),
    ("model.multiscale", "cross_attention", "cross_attention",
     {"kind": "cross_attention", "scale": 4}, ["scale"]),
    ("model.regime", "volatility", "none", VOLATILE, []),
    ("model.regime", "volatility", VOLATILE, {**VOLATILE, "thresholds_pct": [0.9]},
     ["thresholds_pct"]),
    ("model.regime", "volatility", VOLATILE, {**VOLATILE, "returns": "d"}, ["returns"]),
    ("model.regime", "volatility", VOLATILE, {**VOLATILE, "conditioning": "gated_head"},
     ["conditioning"]),
    ("model.regime", "volatility", VOLATILE, {**VOLATILE, "conditioning": "loss_weight"},
     ["conditioning"]),
    ("model.regime", "volatility", {**VOLATILE, "conditioning": "loss_weight"},
     {**VOLATILE, "conditioning": "loss_weight", "weights": [1, 2, 4]}, ["weights"]),
    ("model.regime", "trend", "none", TREND, []),
    ("model.regime", "trend", TREND, {**TREND, "method": "adx"}, ["method"]),
    ("model.regime", "trend", TREND, {**TREND, "short_window": 2}, ["short_window"]),
    ("model.regime", "trend", TREND, {**TREND, "long_window": 20}, ["long_window"]),
    ("model.regime", "trend", TREND, {**TREND, "band_pct": 0.2}, ["band_pct"]),
    ("model.regime", "trend", {**TREND, "method": "adx"},
     {**TREND, "method": "adx", "adx_threshold": 10}, ["adx_threshold"]),
    ("model.regime", "cluster", "none", CLUSTERS, []),
    ("model.regime", "cluster", CLUSTERS, {**CLUSTERS, "n_clusters": 3}, ["n_clusters"]),
    ("loss", Bootstrap, "bce", {"kind": "bootstrap", "beta": 0.6}, ["beta"]),
    ("loss", Bootstrap, {"kind": "bootstrap"}, {"kind": "bootstrap", "hard": True}, ["hard"]),
    ("loss", ForwardCorrection, "bce",
     {"kind": "forwardcorrection", "noise_rate_0": 0.3, "noise_rate_1": 0}, ["noise_rate_0"]),
    ("loss", ForwardCorrection, "bce",
     {"kind": "forwardcorrection", "noise_rate_0": 0, "noise_rate_1": 0.3}, ["noise_rate_1"]),
    ("model.networks", None, 1, 2, []),
]  # fmt: skip
"""Field, shape, value before, value after, and the fields of the shape that this changes."""
FAMILIES = {
    "recipe.selection": Selection, "recipe.curriculum": Curriculum,
    "recipe.pretraining": Pretraining, "model.multiscale": Multiscale, "model.regime": Regime,
}  # fmt: skip
INHERITED = {"kind", "epochs", "noise", "conditioning", "weights", "returns", "start", "growth",
             "hardest_first"}  # fmt: skip
"""Fields that several members have from their family; one of the members tries them."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "shape", "before", "after", "fields"), CHANGES,
    ids=[f"{path}-{number}" for number, (path, *_) in enumerate(CHANGES)],
)  # fmt: skip
def test_every_switch_changes_the_training(examples, path, shape, before, after, fields):
    one, other = spec_of(path, before), spec_of(path, after)
    assert one.key != other.key
    gap = np.abs(scores(examples, one) - scores(examples, other))
    assert np.nanmax(gap) > 1e-4


def test_every_field_of_a_switch_is_tried():
    tried = {(shape, field) for _, shape, _, _, fields in CHANGES for field in fields}
    missing = []
    for family in FAMILIES.values():
        for kind, member in family.kinds().items():
            own = set(member.model_fields) - INHERITED
            if kind == "coteaching":
                own -= {"forget_rate"}  # below
            if kind == "stored":
                own -= {"of"}  # below
            group = {k for k, m in family.kinds().items() if m is member}
            missing += [(kind, f) for f in own if not any((k, f) in tried for k in group)]
    for shape in (Augmentation, Bootstrap, ForwardCorrection):
        fields = set(shape.model_fields) - {"kind"}
        missing += [(shape.__name__, f) for f in fields if (shape, f) not in tried]
    every = {field for *_, fields in CHANGES for field in fields}
    assert missing == []
    assert INHERITED - {"kind"} <= every


def test_coteaching_forgets(examples):
    alone = spec_of("model.networks", 2)
    some = [
        spec_of(recipe={"selection": {"kind": "coteaching", "forget_rate": rate}}, **PAIR)
        for rate in (0.1, 0.4)
    ]
    zero, few, many = (scores(examples, one) for one in (alone, *some))
    assert np.nanmax(np.abs(zero - few)) > 1e-4
    assert np.nanmax(np.abs(few - many)) > 1e-4
    assert (
        alone.key
        == spec_of(recipe={"selection": {"kind": "coteaching", "forget_rate": 0}}, **PAIR).key
    )


def test_specs_without_a_switch_keep_their_keys():
    """A switch that is off is not in the key."""
    plain = Spec.model_validate(
        {"task": {"kind": "market", "bars": "x"}, "model": "patchtst",
         "evaluation": {"protocol": "holdout"}}
    )  # fmt: skip
    assert plain.key == "9c0d601fe8a5"
    assert plain.canonical_json() == (
        '{"evaluation":{"protocol":"holdout"},"task":{"bars":"x","kind":"market"}}'
    )
    for path, off in OFF.items():
        assert spec_of(path, off).key == spec_of().key
    assert spec_of().recipe.structure == ""
    assert spec_of().recipe.passes == spec_of().recipe.epochs


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("recipe.augmentation", {"jitter": 0.1, "probability": 0}, {}),
        ("recipe.augmentation", {"per_feature": True}, {}),
        ("recipe.augmentation", {"per_feature": True, "jitter": 0.1}, {"jitter": 0.1}),
        ("recipe.selection", {"kind": "confidence", "weight_factor": 1}, "none"),
        ("recipe.selection", {"kind": "confidence", "mode": "prune", "weight_factor": 0.4},
         {"kind": "confidence", "mode": "prune"}),
        ("recipe.curriculum", {"kind": "loss", "start": 1}, "none"),
        ("recipe.pretraining", {"kind": "ts2vec", "lambda_temporal": 0, "temperature": 0.2},
         {"kind": "simclr", "temperature": 0.2}),
        ("model.multiscale", {"kind": "hierarchical_pool", "scales": [1], "fusion": "sum"}, "none"),
        ("model.multiscale", {"kind": "hierarchical_pool", "scales": [4, 1, 2]},
         {"kind": "hierarchical_pool", "scales": [1, 2, 4]}),
        ("model.regime", {**TREND, "adx_threshold": 50}, TREND),
        ("model.regime", {"kind": "trend", "method": "adx", "short_window": 3},
         {"kind": "trend", "method": "adx"}),
        ("loss", {"kind": "bootstrap", "beta": 1}, "bce"),
        ("loss", {"kind": "forwardcorrection", "noise_rate_0": 0, "noise_rate_1": 0}, "bce"),
    ],
)  # fmt: skip
def test_what_is_equal_has_one_key_and_one_result(examples, path, one, other):
    specs = spec_of(path, one), spec_of(path, other)
    assert specs[0].key == specs[1].key
    first, second = (scores(examples, spec) for spec in specs)
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)


def test_several_lengths_of_patches_replace_the_one():
    both = [
        spec_of("model", {"multiscale": "multi_patch", "patch_length": n, "stride": n})
        for n in (4, 5)
    ]
    assert both[0].key == both[1].key


# ----------------------------------------------------------------------------------- neighbours

by_switch = pytest.mark.parametrize(
    ("path", "value"), SWITCHED, ids=[f"{p}-{k}" for k, (p, _) in enumerate(SWITCHED)]
)


def _two_folds(examples):
    """Folds of different size."""
    parts = np.zeros((2, N), np.int8)
    for fold, (train, stop) in enumerate(((100, 140), (150, 190))):
        parts[fold, :train], parts[fold, train:stop] = 1, 2
        parts[fold, stop : stop + 40] = PARTS.index("oof")
    return dataclasses.replace(examples, parts=parts)


@pytest.mark.long
@by_switch
def test_a_stack_equals_separate_fits(examples, path, value):
    """Seeds, losses, rates, and folds of different length."""
    folds = _two_folds(examples)
    specs = [spec_of(path, value, seed=1), spec_of(path, value, seed=2, recipe={"epochs": 2}),
             spec_of(path, value, seed=3, loss="focal", recipe={"learning_rate": 1e-2})]  # fmt: skip
    assert len({stackable(one) for one in specs}) == 1
    for one, stacked in zip(specs, fit_stack(folds, specs, CPU), strict=True):
        (alone,) = fit_stack(folds, [one], CPU, width=1)
        for a, b in zip(alone.folds, stacked.folds, strict=True):
            assert a.best_epoch == b.best_epoch
            np.testing.assert_allclose(b.logit_last, a.logit_last, rtol=0, atol=1e-4)


def test_numbers_of_a_transform_may_differ_in_a_stack_and_kinds_may_not():
    weak, strong, other = (
        spec_of("recipe.augmentation", one)
        for one in ({"jitter": 0.1}, {"jitter": 0.5}, {"scale": 0.5})
    )
    assert stackable(weak) == stackable(strong) != stackable(other)
    assert stackable(other) != stackable(spec_of())


@pytest.mark.long
@by_switch
def test_a_fit_repeats_and_its_weights_say_the_same_later(examples, path, value):
    spec = spec_of(path, value)
    (one,), (two,) = (fit_stack(examples, [spec], CPU) for _ in range(2))
    np.testing.assert_array_equal(one.folds[0].logit_last, two.folds[0].logit_last)
    fold = one.folds[0]
    later = network_logits(spec, fold.parameters, examples, CPU, "float32")
    np.testing.assert_allclose(later, fold.logit, rtol=0, atol=1e-5)


@by_switch
def test_half_precision_is_close(examples, path, value):
    (full,), (half,) = (
        fit_stack(examples, [spec_of(path, value, recipe={"precision": p, "epochs": 1})], CPU)
        for p in ("float32", "bf16")
    )
    gap = np.abs(full.folds[0].logit_last[:150] - half.folds[0].logit_last[:150])
    assert np.median(gap) < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eager", "graph", "compile"])
@by_switch
def test_an_accelerator_carries_it_out(examples, path, value, mode):
    """Alone and beside others, whatever the mode."""
    specs = [spec_of(path, value, seed=seed) for seed in (1, 2)]
    device = choose_device("cuda")
    together = fit_stack(examples, specs, device, mode=mode)
    for spec, stacked in zip(specs, together, strict=True):
        (alone,) = fit_stack(examples, [spec], device, mode="eager")
        assert stacked.failure is None
        gap = np.abs(stacked.folds[0].logit_last - alone.folds[0].logit_last)
        assert np.nanmax(gap) < 5e-3
