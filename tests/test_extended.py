"""The six families of further training techniques: that each switch does what it says, and counts."""

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from trueness.campaign import campaign_file, load_campaign
from trueness.errors import CampaignError, SpecError
from trueness.evaluation import roc_auc
from trueness.examples import PARTS, Examples
from trueness.fit import Device, choose_device, fit_stack, stackable
from trueness.fit.changes import Mixture
from trueness.fit.curriculum import by_confidence, by_loss, orders
from trueness.fit.member import Member, Trace
from trueness.fit.scoring import network_logits
from trueness.fit.selecting import SELECTIONS, chosen_by_another, doubted
from trueness.losses.contrastive import supcon
from trueness.losses.views import byol, ntxent, ntxent_in_time
from trueness.models import Noise, build, parameter_count, statistics
from trueness.models.augmentation import Augment
from trueness.models.regimes import REGIMES, Detector, decided, described
from trueness.models.scales import SCALES, pooling
from trueness.spec import Spec
from trueness.spec.loss import Bootstrap, ForwardCorrection
from trueness.spec.model import Model
from trueness.spec.regime import Regime
from trueness.spec.scales import Multiscale
from trueness.spec.training import (
    TRANSFORMS,
    Augmentation,
    Curriculum,
    Pretraining,
    Selection,
)

CPU = Device("cpu", has_bf16=False)
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "spec" / "campaign_extended.yaml"
L, N = 20, 240
SMALL = {
    "task": {"kind": "market", "bars": "0123456789ab", "context": L},
    "model": {
        "kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16,
        "patch_length": 4, "stride": 2, "dropout": 0.1,
    },
    "recipe": {"epochs": 3, "batch_size": 32, "learning_rate": 3e-3, "precision": "float32"},
    "evaluation": {"protocol": "mission"},
}  # fmt: skip


def _merged(below, above):
    both = isinstance(below, dict) and isinstance(above, dict)
    if not both or ("kind" in above and "kind" in below and above["kind"] != below["kind"]):
        return above
    return {**below, **{name: _merged(below.get(name), value) for name, value in above.items()}}


def _spec(path="", value=None, **sections):
    """The small spec with a value at a dotted path, over whole sections."""
    content = _merged(SMALL, sections)
    for name in reversed(path.split(".") if path else []):
        value = {name: value}
    return Spec.model_validate(_merged(content, value or {}))


@pytest.fixture(scope="module")
def examples():
    """One fold; volatility, trend and level of a column of returns change on the way."""
    rng = np.random.default_rng(3)
    n = N + L - 1
    series = rng.standard_normal((n, 4)).astype(np.float32)
    series[:, 1] *= 0.6 + 0.8 * (np.arange(n) // 60 % 2)
    series[:, 1] += 0.3 * np.sin(np.arange(n) / 40)
    series[:, 2] += 5 * (np.arange(n) // 45 % 2)
    parts = np.zeros((1, N), np.int8)
    for part, (first, last) in enumerate(((0, 150), (150, 200), (200, N)), start=1):
        parts[0, first:last] = part
    y = series[L - 1 :, 0] + 0.5 * rng.standard_normal(N) > 0.6
    return Examples(
        series=series, start=np.arange(N), context=L, y=y.astype(np.uint8),
        when=np.datetime64("2001-01-01") + np.arange(N), group=None, parts=parts,
        features=("a", "return_1d", "c", "d"),
    )  # fmt: skip


def _scores(examples, spec):
    (fitted,) = fit_stack(examples, [spec], CPU)
    assert fitted.failure is None
    return fitted.folds[0].logit_last


# -------------------------------------------------------------------- no switch is declared in vain

JITTER = {"jitter": 0.3, "probability": 1.0}
WARMED = {"kind": "confidence", "warmup_epochs": 0, "threshold": 0.6}
BY_LOSS = {"kind": "loss", "scored_after": 1, "start": 0.3, "growth": 0.2}
BY_VOLATILITY = {"kind": "volatility", "start": 0.3, "growth": 0.2}
VOLATILE = {"kind": "volatility", "thresholds_pct": [0.7, 1.1], "conditioning": "embedding"}
TREND = {
    "kind": "trend", "short_window": 4, "long_window": 12, "band_pct": 1.0,
    "conditioning": "embedding",
}  # fmt: skip
CLUSTERS = {"kind": "cluster", "n_clusters": 2, "conditioning": "embedding"}
SIMCLR = {"kind": "simclr", "epochs": 2, "noise": 0.1}
TS2VEC, BYOL = {**SIMCLR, "kind": "ts2vec"}, {**SIMCLR, "kind": "byol"}
PAIR = {"model": {"networks": 2}}
OFF = {
    "recipe.augmentation": {}, "recipe.selection": "none", "recipe.curriculum": "none",
    "recipe.pretraining": "none", "model.multiscale": "none", "model.regime": "none",
    "loss": "bce",
}  # fmt: skip
"""Fields -> their neutral value."""
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


@pytest.mark.parametrize(
    ("path", "shape", "before", "after", "fields"), CHANGES,
    ids=[f"{path}-{number}" for number, (path, *_) in enumerate(CHANGES)],
)  # fmt: skip
def test_every_switch_changes_the_training(examples, path, shape, before, after, fields):
    one, other = _spec(path, before), _spec(path, after)
    assert one.key != other.key
    gap = np.abs(_scores(examples, one) - _scores(examples, other))
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
    alone = _spec("model.networks", 2)
    some = [
        _spec(recipe={"selection": {"kind": "coteaching", "forget_rate": rate}}, **PAIR)
        for rate in (0.1, 0.4)
    ]
    zero, few, many = (_scores(examples, one) for one in (alone, *some))
    assert np.nanmax(np.abs(zero - few)) > 1e-4
    assert np.nanmax(np.abs(few - many)) > 1e-4
    assert (
        alone.key
        == _spec(recipe={"selection": {"kind": "coteaching", "forget_rate": 0}}, **PAIR).key
    )


def test_specs_without_a_switch_keep_their_keys():
    """As stored before there was any switch."""
    plain = Spec.model_validate(
        {"task": {"kind": "market", "bars": "x"}, "model": "patchtst",
         "evaluation": {"protocol": "mission"}}
    )  # fmt: skip
    assert plain.key == "06bc7cab8240"
    assert plain.canonical_json() == (
        '{"evaluation":{"protocol":"mission"},"task":{"bars":"x","kind":"market"}}'
    )
    for path, off in OFF.items():
        assert _spec(path, off).key == _spec().key
    assert _spec().recipe.structure == ""
    assert _spec().recipe.passes == _spec().recipe.epochs


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
    specs = _spec(path, one), _spec(path, other)
    assert specs[0].key == specs[1].key
    first, second = (_scores(examples, spec) for spec in specs)
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)


def test_several_lengths_of_patches_replace_the_one():
    both = [
        _spec("model", {"multiscale": "multi_patch", "patch_length": n, "stride": n})
        for n in (4, 5)
    ]
    assert both[0].key == both[1].key


# ----------------------------------------------------------------------------------- neighbours

SWITCHED = [
    ("recipe.augmentation", {"jitter": 0.2, "scale": 0.3, "timewarp": 0.1, "mixup": 0.4}),
    ("recipe.selection", WARMED),
    ("recipe.curriculum", BY_LOSS),
    ("recipe.curriculum", BY_VOLATILITY),
    ("recipe.pretraining", SIMCLR),
    ("recipe.pretraining", TS2VEC),
    ("recipe.pretraining", BYOL),
    ("model.multiscale", {"kind": "hierarchical_pool", "fusion": "attention"}),
    ("model.multiscale", "multi_patch"),
    ("model.multiscale", "dilated_conv"),
    ("model.multiscale", "cross_attention"),
    ("model.regime", {**VOLATILE, "conditioning": "loss_weight"}),
    ("model.regime", TREND),
    ("model.regime", {**CLUSTERS, "conditioning": "gated_head"}),
    ("model.networks", 2),
]
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


@by_switch
def test_a_stack_equals_separate_fits(examples, path, value):
    """Seeds, losses, rates, and folds of different length."""
    folds = _two_folds(examples)
    specs = [_spec(path, value, seed=1), _spec(path, value, seed=2, recipe={"epochs": 2}),
             _spec(path, value, seed=3, loss="focal", recipe={"learning_rate": 1e-2})]  # fmt: skip
    assert len({stackable(one) for one in specs}) == 1
    for one, stacked in zip(specs, fit_stack(folds, specs, CPU), strict=True):
        (alone,) = fit_stack(folds, [one], CPU, width=1)
        for a, b in zip(alone.folds, stacked.folds, strict=True):
            assert a.best_epoch == b.best_epoch
            np.testing.assert_allclose(b.logit_last, a.logit_last, rtol=0, atol=1e-4)


def test_numbers_of_a_transform_may_differ_in_a_stack_and_kinds_may_not():
    weak, strong, other = (
        _spec("recipe.augmentation", one)
        for one in ({"jitter": 0.1}, {"jitter": 0.5}, {"scale": 0.5})
    )
    assert stackable(weak) == stackable(strong) != stackable(other)
    assert stackable(other) != stackable(_spec())


@by_switch
def test_a_fit_repeats_and_its_weights_say_the_same_later(examples, path, value):
    spec = _spec(path, value)
    (one,), (two,) = (fit_stack(examples, [spec], CPU) for _ in range(2))
    np.testing.assert_array_equal(one.folds[0].logit_last, two.folds[0].logit_last)
    fold = one.folds[0]
    later = network_logits(spec, fold.parameters, examples, CPU, "float32")
    np.testing.assert_allclose(later, fold.logit, rtol=0, atol=1e-5)


@by_switch
def test_half_precision_is_close(examples, path, value):
    (full,), (half,) = (
        fit_stack(examples, [_spec(path, value, recipe={"precision": p, "epochs": 1})], CPU)
        for p in ("float32", "bf16")
    )
    gap = np.abs(full.folds[0].logit_last[:150] - half.folds[0].logit_last[:150])
    assert np.median(gap) < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eager", "graph", "compile"])
@by_switch
def test_an_accelerator_carries_it_out(examples, path, value, mode):
    """Alone and beside others, whatever the mode."""
    specs = [_spec(path, value, seed=seed) for seed in (1, 2)]
    device = choose_device("cuda")
    together = fit_stack(examples, specs, device, mode=mode)
    for spec, stacked in zip(specs, together, strict=True):
        (alone,) = fit_stack(examples, [spec], device, mode="eager")
        assert stacked.failure is None
        gap = np.abs(stacked.folds[0].logit_last - alone.folds[0].logit_last)
        assert np.nanmax(gap) < 5e-3


# ---------------------------------------------------------------------------------- augmentation


def _drawn(x, structure, seed=0, weight=None, partner=None, **strengths):
    """Changed windows, with random bytes of their own."""
    dials = torch.tensor([strengths.get(n, 0.0) for n in (*TRANSFORMS, "probability")])
    n = len(x)
    how = Augment(
        structure, dials, torch.ones(n) if weight is None else weight,
        torch.arange(n) if partner is None else partner,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(0, 256, (n, 4096), dtype=torch.uint8, generator=generator)
    return Noise(draws, torch.zeros(2, dtype=torch.uint8), torch.ones(2), how).augment(x)


@pytest.fixture
def windows():
    return torch.randn(400, L, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_of_no_strength_or_probability_changes_nothing(windows, name):
    for strengths in ({"probability": 1.0}, {name: 0.5, "probability": 0.0}):
        torch.testing.assert_close(_drawn(windows, (name,), **strengths), windows)


def test_jitter_has_its_deviation_and_meets_its_windows(windows):
    added = _drawn(windows, ("jitter",), jitter=0.3, probability=0.5) - windows
    met = added.abs().amax((1, 2)) > 0
    assert 0.4 < met.float().mean() < 0.6
    assert added[met].std().item() == pytest.approx(0.3, rel=0.03)
    assert added[met].mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("structure", [("scale",), ("scale", "per_feature")])
def test_scale_is_one_factor_of_a_window_or_of_a_column(windows, structure):
    factor = _drawn(windows, structure, scale=0.4, probability=1.0) / windows
    each = factor[:, 0]
    torch.testing.assert_close(factor, each[:, None].expand_as(factor), rtol=1e-4, atol=1e-4)
    assert 0.6 <= each.min() < 0.65
    assert 1.35 < each.max() <= 1.4
    alike = (each - each[:, :1]).abs().amax(1) < 1e-4
    assert alike.all() == (structure == ("scale",))


def test_warped_time_keeps_both_ends_and_the_order():
    line = torch.linspace(0, 1, L)[None, :, None].expand(300, L, 1).contiguous()
    warped = _drawn(line, ("timewarp",), timewarp=0.3, probability=1.0)
    torch.testing.assert_close(warped[:, 0], line[:, 0])
    torch.testing.assert_close(warped[:, -1], line[:, -1])
    assert (warped.diff(dim=1) >= -1e-5).all()
    away = (warped - line).abs().amax(1)
    assert 0.1 < away.max() <= 0.3 + 1e-4
    assert (away > 0.01).float().mean() > 0.9


def test_mixup_mixes_windows_and_losses():
    real = torch.tensor([[True, True, True, False]])
    mixture = Mixture.of(torch.tensor([[0.25, 1.0, 0.5, 0.1]]), real)
    assert mixture.partner.tolist() == [[1, 2, 0, 3]]
    x = torch.arange(4.0).reshape(4, 1, 1).expand(4, L, 3)
    weight, partner = mixture.weight[0], mixture.partner[0]
    mixed = _drawn(x, ("mixup",), mixup=0.4, weight=weight, partner=partner)
    torch.testing.assert_close(mixed[:, 0, 0], torch.tensor([0.75, 1.0, 1.0, 3.0]))


def test_mixed_labels_are_the_mean_of_both_losses(examples):
    """Cross-entropy is linear in the label, so that mixed labels and mixed losses are one."""
    from trueness.fit.criterion import Answer, batch_loss
    from trueness.fit.objective import Objective

    real = torch.ones(1, 6) > 0
    mixture = Mixture.of(torch.rand(1, 6, generator=torch.Generator().manual_seed(0)), real)
    logits, y = torch.randn(1, 6), torch.tensor([[1.0, 0, 0, 1, 0, 0]])
    answer = Answer(logits, torch.zeros(1, 6), torch.ones(1, 6))
    objective = Objective([_spec().loss], [0.2], "cpu")
    loss = batch_loss(objective, answer, y, real, mixture, "none", torch.zeros(1, 2))
    target = mixture.weight * y + (1 - mixture.weight) * y.gather(1, mixture.partner)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(loss[0], expected)


def test_a_network_sees_changed_windows_in_training_alone(examples):
    """After RevIN a factor is not cancelled, and scores never depend on the augmentation."""
    spec = _spec("recipe.augmentation", {"scale": 0.9, "probability": 1.0})
    (fitted,) = fit_stack(examples, [spec], CPU)
    module = build(spec.model, 4, L, torch.Generator().manual_seed(0))
    module.load_state_dict({k: torch.from_numpy(v) for k, v in fitted.folds[0].parameters.items()})
    x = torch.from_numpy(examples.x[:40].copy())
    np.testing.assert_allclose(
        module.eval()(x).detach().numpy(), fitted.folds[0].logit[:40], rtol=0, atol=1e-5
    )


# -------------------------------------------------------------------------------------- selection


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3, 0.9]))
def test_coteaching_keeps_the_smallest_losses_of_each_class(seed, rate):
    rng = np.random.default_rng(seed)
    each = rng.random((2, 17, 3))
    y, real = (rng.random((2, 17)) < 0.3).astype(np.float32), np.ones((2, 17), bool)
    real[1, 11:] = False
    kept = chosen_by_another(
        torch.zeros(2, 17, 3), torch.tensor(each), torch.tensor(y), torch.tensor(real),
        torch.tensor([[rate, 0.0], [rate, 0.0]]),
    ).numpy()  # fmt: skip
    for k in range(2):
        for h in range(3):
            chooser = each[k, :, (h - 1) % 3]
            for label in (0, 1):
                mine = np.flatnonzero((y[k] == label) & real[k])
                n = len(mine) - int(np.floor(len(mine) * rate + 1e-6))
                best = set(mine[np.argsort(chooser[mine])[:n]])
                assert set(mine[kept[k, mine, h] == 1]) == best
    assert not kept[1, 11:].any()


def test_doubted_labels_weigh_less_and_all_stay_where_none_would():
    logits = torch.logit(torch.tensor([[0.9, 0.9, 0.2, 0.25]]))[..., None]
    y, real = torch.tensor([[1.0, 0, 1, 1]]), torch.tensor([[True, True, True, False]])
    weights = doubted(logits, logits, y, real, torch.tensor([[0.3, 0.1]]))
    torch.testing.assert_close(weights[0, :, 0], torch.tensor([1.0, 0.1, 0.1, 0.0]))
    none = doubted(
        -logits, logits, torch.tensor([[1.0, 1, 0, 0]]), real, torch.tensor([[0.3, 0.0]])
    )
    assert none[0, :, 0].tolist() == [1, 1, 1, 0]


def test_confidence_waits_and_coteaching_ramps():
    confidence = _spec("recipe.selection", "confidence").recipe.selection
    assert confidence.at(4, 50)[0] == 0
    assert confidence.at(5, 50) == pytest.approx((0.3, 0.1))
    teaching = _spec(recipe={"selection": "coteaching"}, **PAIR).recipe.selection
    rates = [teaching.at(epoch, 50)[0] for epoch in range(7)]
    assert rates == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.2])


def test_networks_side_by_side_are_averaged(examples):
    spec = _spec("model.networks", 2)
    module = build(spec.model, 4, L, torch.Generator().manual_seed(0)).eval()
    x = torch.from_numpy(examples.x[:9].copy())
    each = torch.stack([net(x) for net in module.networks]).sigmoid().mean(0)
    torch.testing.assert_close(module(x).sigmoid(), each)
    assert not torch.allclose(module.networks[0](x), module.networks[1](x))


# -------------------------------------------------------------------------------------- curricula


def _trace(examples, **curriculum):
    spec = _spec("recipe.curriculum", {"kind": "loss", **curriculum})
    trace = Trace.begin(Member(spec, 0), examples, "cpu")
    trace.order = trace.train[::-1].copy()
    return trace


def test_an_epoch_holds_the_easiest_and_grows(examples):
    trace, sizes = _trace(examples, start=0.2, growth=0.3), []
    for _ in range(4):
        rows = trace.batches()
        assert rows.shape == (trace.steps, 32)
        rows = rows[rows >= 0]
        sizes.append(len(rows))
        assert set(rows) == set(trace.order[: len(rows)])
        trace.history.append({})
    assert sizes == [30, 75, 120, 150]
    assert trace.mean_steps == pytest.approx((1 + 3 + 4) / 3)


def test_difficulty_by_loss_by_confidence_and_by_volatility(examples):
    logits, y = np.array([3.0, -1.0, 0.1]), np.array([1, 1, 0], np.uint8)
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(by_loss(logits, y), -np.log(np.where(y == 1, p, 1 - p)))
    np.testing.assert_allclose(by_confidence(logits, y), 1 - np.maximum(p, 1 - p))
    member = Member(_spec("recipe.curriculum", BY_VOLATILITY), 0)
    (order,) = orders(examples, [member], lambda members: []).values()
    spread = [examples.series[i : i + L, 1].std() for i in order]
    assert (np.diff(spread) >= -1e-6).all()
    hardest = Member(_spec("recipe.curriculum", {**BY_VOLATILITY, "hardest_first": True}), 0)
    (other,) = orders(examples, [hardest], lambda members: []).values()
    assert set(other[:20]) == set(order[-20:])


def test_the_network_that_scores_is_an_ordinary_fit(examples):
    """Its scores order the examples; nothing of it but the order reaches the training."""
    spec = _spec("recipe.curriculum", BY_LOSS)
    plain = _spec("recipe", {"epochs": 1, "patience": 1})
    (scorer,) = fit_stack(examples, [plain], CPU)
    rows = examples.members("train")
    difficulty = by_loss(scorer.folds[0].logit_last[rows].astype(float), examples.y[rows])
    seen = []

    def train(members):
        from trueness.fit.stack import Stack

        seen.extend(members)
        stack = Stack(examples, members, CPU)
        stack.train(lambda n: None)
        return stack.traces

    (order,) = orders(examples, [Member(spec, 0)], train).values()
    assert seen[0].spec.key == plain.key
    np.testing.assert_array_equal(order, rows[np.argsort(difficulty, kind="stable")])


def test_a_scorer_that_fails_fails_its_member_alone(examples):
    bad = _spec("recipe.curriculum", BY_LOSS, recipe={"learning_rate": 1e30})
    good = _spec("recipe.curriculum", BY_LOSS, seed=1)
    failed, fine = fit_stack(examples, [bad, good], CPU)
    assert failed.failure is not None
    assert failed.folds == []
    np.testing.assert_allclose(fine.folds[0].logit_last, _scores(examples, good), rtol=0, atol=1e-5)


# ---------------------------------------------------------------------------------------- regimes


def _assigned(shape, examples, x):
    x = torch.from_numpy(x)
    detector = Detector(shape, x.shape[2])
    for name, value in decided(shape, [x[:100], x[100:]], examples.features).items():
        detector.get_buffer(name).copy_(value)
    one_hot = detector(x)
    assert torch.equal(one_hot.sum(1), torch.ones(len(x)))
    return one_hot.argmax(1).numpy(), detector


def test_regimes_are_those_of_plain_formulas(examples):
    x = examples.x.copy()
    returns = x[..., 1].astype(float)
    shape = Regime.validated(VOLATILE)
    found, _ = _assigned(shape, examples, x)
    np.testing.assert_array_equal(found, np.digitize(returns.std(1, ddof=1), [0.7, 1.1]))
    found, _ = _assigned(Regime.validated(TREND), examples, x)
    price = np.cumprod(1 + returns / 100, axis=1)
    ratio = price[:, -4:].mean(1) / price[:, -12:].mean(1)
    np.testing.assert_array_equal(found, (ratio > 0.99).astype(int) + (ratio > 1.01))
    found, _ = _assigned(Regime.validated({**TREND, "method": "adx"}), examples, x)
    up, down = returns.clip(0).sum(1), (-returns).clip(0).sum(1)
    np.testing.assert_array_equal(found, 100 * abs(up - down) / (up + down) >= 25)
    assert len(set(found)) == 2


def test_clusters_are_those_of_k_means_on_the_training_windows(examples):
    x = examples.x.copy()
    found, _ = _assigned(Regime.validated(CLUSTERS), examples, x)
    columns = described(torch.from_numpy(x)).numpy().astype(float)
    slope = np.polyfit(np.arange(L), x[7, :, 2], 1)[0]
    assert columns[7, 8 + 2] == pytest.approx(slope, rel=1e-3, abs=1e-5)
    scaled = (columns - columns.mean(0)) / columns.std(0)
    theirs = KMeans(2, n_init=10, random_state=42).fit(scaled).labels_
    agreement = (found == theirs).mean()
    assert max(agreement, 1 - agreement) > 0.98


def test_regimes_of_a_fold_know_its_training_windows_alone(examples):
    spec = _spec("model.regime", CLUSTERS)
    later = examples.series.copy()
    later[170 + L :] *= 50  # beyond all training windows
    other = dataclasses.replace(examples, series=later)
    (one,), (two,) = (fit_stack(known, [spec], CPU) for known in (examples, other))
    for name, value in one.folds[0].parameters.items():
        if name.startswith("detector."):
            np.testing.assert_array_equal(value, two.folds[0].parameters[name])


def test_weights_let_every_regime_count_alike(examples):
    shape = Regime.validated({**VOLATILE, "conditioning": "loss_weight"})
    x = examples.x[:150].copy()
    found, detector = _assigned(shape, examples, x)
    weights = detector.weight.numpy()[found]
    assert weights.mean() == pytest.approx(1)
    sums = [weights[found == r].sum() for r in set(found)]
    np.testing.assert_allclose(sums, 150 / len(sums), rtol=1e-5)


def test_a_regime_has_a_head_of_its_own(examples):
    spec = _spec("model.regime", {**VOLATILE, "conditioning": "gated_head"})
    x = torch.from_numpy(examples.x.copy())
    module = build(spec.model, 4, L, torch.Generator().manual_seed(0)).eval()
    for name, value in statistics(spec.model, [x], examples.features).items():
        module.get_buffer(name).copy_(value)
    before = module(x).detach()
    with torch.no_grad():
        module.head.bias[2] += 1
    moved = (module(x) - before).detach().numpy()
    third = x[..., 1].numpy().std(1, ddof=1) >= 1.1
    np.testing.assert_allclose(moved, third.astype(float), rtol=0, atol=1e-4)


# ----------------------------------------------------------------------------------------- scales


def test_pooling_is_torchs_with_a_shorter_end():
    h = torch.randn(2, 9, 5)
    for scale in (1, 2, 4, 8):
        theirs = torch.nn.functional.avg_pool1d(
            h.transpose(1, 2), scale, ceil_mode=True, count_include_pad=False
        ).transpose(1, 2)
        torch.testing.assert_close(pooling(9, scale) @ h, theirs)


def test_a_dilated_convolution_is_torchs():
    shape = Multiscale.validated({"kind": "dilated_conv", "dilation_rates": [1, 4]})
    ours = SCALES["dilated_conv"](shape, 6, torch.Generator().manual_seed(0))
    h, each = torch.randn(3, 9, 6), []
    for rate, linear in zip((1, 4), ours.convolutions, strict=True):
        kernel = linear.weight.unflatten(1, (3, 6)).transpose(1, 2)
        made = torch.nn.functional.conv1d(
            h.transpose(1, 2), kernel, linear.bias, padding=rate, dilation=rate
        )
        each.append(torch.nn.functional.gelu(made.transpose(1, 2)))
    expected = ours.norm(h + ours.map(torch.cat(each, -1)))
    from trueness.models import NoNoise

    torch.testing.assert_close(ours(h, NoNoise()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("path", "value"), SWITCHED[7:], ids=[str(v) for _, v in SWITCHED[7:]])
def test_every_parameter_that_a_switch_adds_moves(examples, path, value):
    spec = _spec(path, value)
    (fitted,) = fit_stack(examples, [spec], CPU)
    start = build(spec.model, 4, L, torch.Generator().manual_seed(0))
    for name, tensor in start.named_parameters():
        after = fitted.folds[0].parameters[name]
        assert after.shape == tuple(tensor.shape)
    assert parameter_count(spec.model, 4, L) >= parameter_count(_spec().model, 4, L)


# ----------------------------------------------------------------------------------- pre-training


def _points(seed=0, n=6, width=5):
    z = torch.randn(2 * n, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(z, dim=1)


def test_nt_xent_is_supcon_with_two_of_each_label():
    """An independent form: labels are the windows, positives the other view."""
    z, label = _points(), torch.arange(6).repeat(2)
    loss, anchor = supcon(z, label, temperature=0.3)
    assert anchor.all()
    ours = ntxent(z, torch.eye(6) > 0, torch.ones(6) > 0, 0.3)
    torch.testing.assert_close(ours, loss.mean())


def test_windows_that_share_rows_are_not_pushed_apart():
    z = _points().requires_grad_()
    near = torch.eye(6) > 0
    near[0, 1] = near[1, 0] = True
    loss = ntxent(z, near, torch.ones(6) > 0, 0.3)
    far = ntxent(z, torch.eye(6) > 0, torch.ones(6) > 0, 0.3)
    assert loss < far
    everywhere = ntxent(z, torch.ones(6, 6) > 0, torch.ones(6) > 0, 0.3)
    torch.testing.assert_close(everywhere.detach(), torch.tensor(0.0))


def test_padding_is_in_no_loss():
    z, real = _points(), torch.tensor([True] * 4 + [False] * 2)
    short = torch.cat([z[:4], z[6:10]])
    for ours, alone in (
        (ntxent(z, torch.eye(6) > 0, real, 0.3), ntxent(short, torch.eye(4) > 0, real[:4], 0.3)),
        (byol(z, z, real), byol(short, short, real[:4])),
    ):
        torch.testing.assert_close(ours, alone)


def test_times_are_compared_with_times():
    """By loops over all pairs of points."""
    z = torch.nn.functional.normalize(_points(3, 4, 6).reshape(8, 2, 3), dim=-1)
    near = torch.eye(4) > 0
    near[2, 3] = near[3, 2] = True
    total = []
    for view in range(8):
        for time in range(2):
            mine = z[view, time]
            own = (view + 4) % 8
            terms = [
                torch.exp(mine @ z[other, at] / 0.5)
                for other in range(8)
                for at in range(2)
                if (other == own and at == time)
                or (other % 4 == view % 4 and at != time)
                or not near[view % 4, other % 4]
            ]
            positive = torch.exp(mine @ z[own, time] / 0.5)
            total.append(-torch.log(positive / torch.stack(terms).sum()))
    ours = ntxent_in_time(z, near, torch.ones(4) > 0, 0.5)
    torch.testing.assert_close(ours, torch.stack(total).mean())


@pytest.mark.parametrize("kind", ["simclr", "ts2vec", "byol"])
def test_pre_training_reads_no_label_and_no_window_outside_the_training_part(examples, kind):
    """It is the same for other labels, and for other windows after the training part."""
    from trueness.fit.pretraining import pretrain
    from trueness.fit.stack import Stack

    member = Member(_spec("recipe.pretraining", {"kind": kind, "epochs": 1}), 0)
    later = examples.series.copy()
    later[150 + L :] += 3
    others = dataclasses.replace(examples, y=1 - examples.y, series=later)
    found, start = [], Stack(examples, [member], CPU).weights.theta.clone()
    for known in (examples, others):
        stack = Stack(known, [member], CPU)
        pretrain(stack, lambda n: None, {})
        found.append(stack.weights.theta.clone())
    assert torch.equal(*found)
    assert (found[0] - start).abs().max() > 1e-4
    head = found[0].shape[1] - 9 * 8 - 1  # the last map learns from labels alone
    assert torch.equal(found[0][:, head:], start[:, head:])


def test_views_of_one_window_come_together(examples):
    from trueness.fit.pretraining import pretrain
    from trueness.fit.stack import Stack

    spec = _spec("recipe.pretraining", {"kind": "simclr", "epochs": 30, "noise": 0.3},
                 model={"dropout": 0.0})  # fmt: skip
    x = torch.from_numpy(examples.x[::20][:8].copy())
    noisy = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))

    def identified(stack):
        module = build(spec.model, 4, L, torch.Generator().manual_seed(0)).eval()
        module.load_state_dict({
            name: torch.from_numpy(a) for name, a in stack.layout.arrays(stack.weights).items()
        })  # fmt: skip
        from trueness.models import NoNoise

        one, two = (
            torch.nn.functional.normalize(module.tokens(v, NoNoise())[0].mean(1), dim=1)
            for v in (x, noisy)
        )
        similar = one @ two.T
        return (similar.diag().mean() - similar.mean()).item()

    stack = Stack(examples, [Member(spec, 0)], CPU)
    before = identified(stack)
    pretrain(stack, lambda n: None, {})
    assert identified(stack) > 1.5 * before


def test_a_run_begins_with_the_better_of_stored_runs(tiny, tmp_path):
    """Through the runner: declared by id, trained after its sources, from the weights of one."""
    from trueness.runner import run
    from trueness.store import Store

    text = tiny.read_text().replace(
        "experiments:\n",
        "experiments:\n"
        "  - {id: S-1..S-2, model.dropout: 0.1, recipe.pretraining: {kind: simclr, epochs: 1}, "
        "grid: {recipe.pretraining.temperature: [0.1, 0.5]}}\n"
        "  - {id: S-3, model.dropout: 0.1, recipe: {learning_rate: 1e-12, pretraining: "
        "{kind: stored, of: [S-1, S-2]}}}\n",
    )  # fmt: skip
    tiny.write_text(text)
    campaign = load_campaign(tiny)
    keys = {entry.id: entry.spec.key for entry in campaign.experiments}
    chosen = campaign.select(ids=["S-3"])
    assert {entry.id for entry in chosen.experiments} == {"S-1", "S-2", "S-3"}
    store = Store(tmp_path / "store")
    summary = run(chosen, store, workers=0)
    assert summary.failed == []
    sources = [store.run(keys[name]) for name in ("S-1", "S-2")]
    best = max(sources, key=lambda one: one.history()["val_auc"][one.record["best_epochs"][0] - 1])
    begun = store.run(keys["S-3"]).parameters()
    for name, value in best.parameters().items():
        np.testing.assert_allclose(begun[name], value, rtol=0, atol=1e-7, err_msg=name)


def test_stored_weights_are_refused_where_they_do_not_fit(examples, tmp_path):
    spec = _spec("recipe.pretraining", {"kind": "stored", "of": ["0123456789ab"]})
    assert spec.depends_on == {"0123456789ab"}
    with pytest.raises(SpecError) as error:
        fit_stack(examples, [spec], CPU)
    assert error.value.code == "no_source_run"


# ------------------------------------------------------------------------------------- refusals

HEAD = "data: sp500\ndefaults: {task: {context: 20}, model: {patch_length: 5, stride: 5}}\n"


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ("recipe.augmentation: {jitter: -1}", "recipe.augmentation.jitter"),
        ("recipe.augmentation: {scale: 1}", "recipe.augmentation.scale"),
        ("recipe.augmentation: {noise: 1}", "recipe.augmentation.noise: unknown field"),
        ("recipe.augmentation: {jitter: .nan}", "recipe.augmentation.jitter"),
        ("recipe.augmentation.jitter: 0.1, model.revin: false", "recipe.augmentation"),
        ("model: {kind: tabm}, recipe.augmentation.timewarp: 0.1", "jitter, scale, mixup"),
        ("recipe.selection: teaching", "recipe.selection: unknown kind 'teaching'"),
        ("recipe.selection: coteaching", "model.networks"),
        ("recipe.selection: {kind: confidence, threshold: 1}", "recipe.selection.threshold"),
        ("recipe.curriculum: {kind: loss, start: 0}", "recipe.curriculum.start"),
        ("recipe.curriculum: {kind: volatility, scored_after: 3}", "unknown field"),
        ("task.tier: a50, recipe.curriculum: {kind: volatility, returns: return_2d}",
         "recipe.curriculum.returns: return_2d is no input of a50"),
        ("recipe.curriculum: volatility", "return_1d is no input of a20"),
        ("model.regime: {kind: volatility, thresholds_pct: [2, 1]}", "thresholds_pct must rise"),
        ("model.regime: {kind: volatility, thresholds_pct: []}", "model.regime.thresholds_pct"),
        ("model.regime: {kind: volatility, weights: [1, 2]}", "2 weights for 3 regimes"),
        ("model.regime: volatility", "model.regime.returns: return_1d is no input of a20"),
        ("task.tier: a50, model.regime: {kind: trend, long_window: 30}", "long_window 30"),
        ("model.regime: {kind: trend, short_window: 9, long_window: 9}", "must be below"),
        ("model.multiscale: {kind: hierarchical_pool, scales: [1, 5]}", "4 tokens"),
        ("model.multiscale: {kind: multi_patch, patch_sizes: [8, 21]}", "task.context 20"),
        ("model.multiscale: {kind: cross_attention, n_heads: 7}", "model.multiscale.n_heads 7"),
        ("recipe.pretraining: {kind: simclr, temperature: 0}", "recipe.pretraining.temperature"),
        ("recipe.pretraining: {kind: simclr, epochs: 0}", "recipe.pretraining.epochs"),
        ("recipe.pretraining: simclr, recipe.batch_size: 1", "recipe.batch_size"),
        ("recipe.pretraining: simclr, model.networks: 2", "model.networks"),
        ("model: {kind: tabm}, recipe.pretraining: byol", "a tabm has no tokens"),
        ("recipe.pretraining: {kind: stored, of: [B]}", "no earlier experiment 'B'"),
        ("recipe.pretraining: {kind: stored, of: []}", "recipe.pretraining.of"),
        ("loss: {kind: bootstrap, beta: 2}", "loss.beta"),
        ("loss: {kind: forwardcorrection, noise_rate_1: 0.5}", "loss.noise_rate_1"),
    ],
)  # fmt: skip
def test_wrong_values_are_one_line_with_place_and_code(tmp_path, entry, where):
    file = tmp_path / "c.yaml"
    file.write_text(f"{HEAD}experiments:\n  - {{id: A, {entry}}}\n")
    with pytest.raises(CampaignError) as error:
        load_campaign(file)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{file}:4: A: ") or message.startswith("c.yaml:4: A: ")
    assert where in message
    assert error.value.code
    assert error.value.exit_code == 2 if hasattr(error.value, "exit_code") else True


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"model": {"regime": "volatility"}}, "scaled inside each fold"),
        ({"recipe": {"curriculum": "volatility"}}, "scaled inside each fold"),
        ({"recipe": {"augmentation": {"timewarp": 0.1}}}, "no time"),
    ],
)
def test_tables_have_no_returns_and_rows_no_time(sections, where):
    table = {"kind": "table", "rows": "0", "label": "y"}
    model = {**SMALL["model"], "revin": False, "patch_length": 1, "stride": 1}
    content = {"task": table, "evaluation": {"protocol": "kfold"}, "recipe": {}, "model": model}
    with pytest.raises(ValueError, match=where):
        Spec.model_validate(_merged(content, sections))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipe.augmentation", {"jitter": 0.1, "scale": 0.1, "mixup": 0.2}),
        ("recipe.selection", WARMED), ("recipe.curriculum", BY_LOSS),
        ("recipe.pretraining", SIMCLR), ("model.regime", CLUSTERS), ("model.networks", 2),
        ("loss", "bootstrap"),
    ],
)  # fmt: skip
def test_rows_of_a_table_take_what_means_something_for_them(path, value):
    """Prepared columns of one row, in a network without RevIN."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 5)).astype(np.float32)
    parts = np.repeat([[1] * 80 + [2] * 40], 1, axis=0).astype(np.int8)
    rows = Examples(
        series=x, start=np.arange(120), context=1, y=(x[:, 0] > 0.3).astype(np.uint8),
        when=None, group=None, parts=parts, features=tuple("abcde"), ids=np.arange(120).astype(str),
    )  # fmt: skip
    table = {"kind": "table", "rows": "0", "label": "y"}
    model = {**SMALL["model"], "revin": False, "patch_length": 1, "stride": 1}
    content = {**SMALL, "task": table, "evaluation": {"protocol": "kfold"}, "model": model}
    for name in reversed(path.split(".")):
        value = {name: value}
    one, plain = Spec.model_validate(_merged(content, value)), Spec.model_validate(content)
    assert np.nanmax(np.abs(_scores(rows, one) - _scores(rows, plain))) > 1e-4


# ---------------------------------------------------------------------------- the 114 experiments

EQUAL = {("CP-02", "CP-08"), ("CP-05", "CP-11")}
"""Experiments that are one run, as docs/extended.md explains."""


@pytest.fixture(scope="module")
def extended():
    return load_campaign("extended")


def _augmentation(kind, params):
    if kind == "combined":
        return {"jitter": params["jitter_std"], "scale": params["scale_range"]}
    field, number = {"jitter": ("jitter", "std"), "scale": ("scale", "scale_range"),
                     "mixup": ("mixup", "alpha"), "timewarp": ("timewarp", "warp_factor")}[kind]  # fmt: skip
    rest = {"per_feature": params["per_feature"]} if "per_feature" in params else {}
    return {field: params[number], "probability": params["prob"], **rest}


def _noise_robust(kind, params):
    if kind == "bootstrap":
        return {"loss": {"kind": kind, "beta": params["beta"], "hard": params["mode"] == "hard"}}
    if kind == "forward_correct":
        return {"loss": {"kind": "forwardcorrection", **params}}
    selection = {"kind": kind, **params}
    return {
        "recipe.selection": selection,
        **({"model.networks": 2} if kind == "coteaching" else {}),
    }


def _curriculum(kind, params):
    order = {"start": params["initial_pct"], "growth": params["growth_rate"],
             "hardest_first": kind == "anti"}  # fmt: skip
    return {"kind": "loss" if kind == "anti" else kind, **order}


def _regime(kind, params):
    known = {k: v for k, v in params.items() if k != "thresholds"}
    if "thresholds" in params:
        known["thresholds_pct"] = tuple(100 * value for value in params["thresholds"])
    return {"kind": kind, **known}


def _multiscale(kind, params):
    known = {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}
    if kind == "multi_patch":
        assert known.pop("fusion") == "concat"  # the only one
    return {"kind": kind, **known}


def _contrastive(kind, params, keys):
    if params.get("finetune_only"):
        return {"kind": "stored", "of": tuple(sorted(keys))}
    names = {"pretrain_epochs": "epochs"}
    return {"kind": kind, **{names.get(k, k): v for k, v in params.items()}}


def _declared(entry, keys):
    """Fields of the spec that a declared experiment stands for."""
    blocks = {
        "augmentation": ("recipe.augmentation", _augmentation),
        "curriculum": ("recipe.curriculum", _curriculum),
        "regime": ("model.regime", _regime), "multiscale": ("model.multiscale", _multiscale),
    }  # fmt: skip
    for name, (path, read) in blocks.items():
        if name in entry:
            return {path: read(entry[name]["type"], entry[name]["params"])}
    if "noise_robust" in entry:
        return _noise_robust(entry["noise_robust"]["type"], entry["noise_robust"]["params"])
    block = entry["contrastive"]
    sources = [keys[f"CP-0{n}"] for n in ((1, 2, 3) if entry["tier"] == "a100" else (4, 5, 6))]
    return {"recipe.pretraining": _contrastive(block["type"], block["params"], sources)}


def _at(content, path):
    for name in path.split("."):
        content = content[name]
    return content


def test_the_campaign_is_the_declared_one_to_the_value(extended):
    if not REFERENCE.exists():
        pytest.skip("the declared campaign is not here")
    declared = yaml.safe_load(REFERENCE.read_text())
    assert [e.id for e in extended.experiments] == [e["id"] for e in declared["experiments"]]
    keys = {e.id: e.spec.key for e in extended.experiments}
    defaults = declared["defaults"]
    known = ("context_length", "horizon", "seed", "val_start", "test_start")
    for entry, told in zip(extended.experiments, declared["experiments"], strict=True):
        spec = entry.spec
        content = spec.model_dump()
        assert (entry.priority, spec.task.tier) == (told["priority"], told["tier"])
        model = {**{k: defaults[k] for k in ("d_model", "n_layers", "n_heads", "d_ff", "dropout",
                                             "head_dropout", "patch_length", "stride", "revin")},
                 **told["overrides"]}  # fmt: skip
        assert {k: content["model"][k] for k in model} == model, entry.id
        assert content["model"]["embedding"] == {"kind": "linear", "width": told["d_embed"]}
        recipe = spec.recipe
        assert (recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.batch_size,
                recipe.epochs, recipe.patience, recipe.min_delta, recipe.weight_decay,
                recipe.stop_on) == (
            *(defaults[k] for k in ("optimizer", "learning_rate", "lr_schedule", "batch_size",
                                    "epochs", "early_stop_patience", "early_stop_min_delta",
                                    "weight_decay")), told["early_stop_metric"],
        )  # fmt: skip
        assert known
        assert (spec.task.context, spec.task.horizon, spec.seed) == (
            defaults["context_length"], defaults["horizon"], defaults["seed"],
        )  # fmt: skip
        assert spec.task.target.size == 100 * defaults["threshold"]
        switches = {**OFF, "model.networks": 1, **_declared(told, keys)}
        for path, wanted in switches.items():
            value = _at(content, path)
            if wanted == "none" or wanted == "bce":
                assert value["kind"] == wanted, (entry.id, path)
            elif isinstance(wanted, dict):
                neutral = Augmentation().model_dump() if path == "recipe.augmentation" else {}
                for name, number in {**neutral, **wanted}.items():
                    assert value[name] == number, (entry.id, path, name)
            else:
                assert value == wanted, (entry.id, path)
        assert told["base_param_count"] <= _without_revin(spec, told["n_indicators"]), entry.id


def _without_revin(spec, columns):
    """Parameters as the declared campaign counts them."""
    return (
        parameter_count(spec.model, columns, spec.task.context) - 2 * columns * spec.model.networks
    )


def test_models_are_the_declared_ones_and_what_the_switch_adds(extended):
    """By formulas of the parts that a switch adds."""
    base = {"a100": (865_889, 100, 128, 32), "a500": (226_353, 500, 64, 16)}
    for entry in extended.experiments:
        spec = entry.spec
        count, columns, d, e = base[spec.task.tier]
        scale, regime = spec.model.multiscale, spec.model.regime
        added = {
            "none": 0,
            "hierarchical_pool": lambda: {"concat": 3 * d * d + d, "sum": 0, "attention": 4}[
                scale.fusion],
            "dilated_conv": lambda: len(scale.dilation_rates) * (3 * d * d + d + d * d) + d + 2 * d,
            "cross_attention": lambda: 4 * (d * d + d) + 2 * d,
        }  # fmt: skip
        if regime.kind != "none" and regime.conditioning == "embedding":
            count += 3 * d
        if regime.kind != "none" and regime.conditioning == "gated_head":
            count += 2 * (9 * d + 1)
        if scale.kind == "multi_patch":
            sets = [(p, (80 - p) // (p // 2) + 1) for p in scale.patch_sizes]
            tokens = sum(n for _, n in sets)
            count -= 16 * e * d + d + 19 * d + 9 * d
            count += sum(p * e * d + d + n * d for p, n in sets) + 10 * d  # spare positions
            count += tokens * d + len(sets) * d
        elif scale.kind != "none":
            count += added[scale.kind]()
        assert _without_revin(spec, columns) == spec.model.networks * count, entry.id


def test_the_campaign_is_short_and_names_its_equals(extended):
    assert len(campaign_file("extended").read_text().splitlines()) <= 120
    assert {tuple(ids) for ids in extended.duplicate_specs().values()} == EQUAL
    page = (Path(__file__).parents[1] / "docs" / "extended.md").read_text()
    for pair in EQUAL:
        assert all(f"| {one} " in page or f" {one} " in page for one in pair)
    others = {e.spec.key for e in load_campaign("precision").experiments}
    assert not others & {e.spec.key for e in extended.experiments}


def test_every_family_has_its_row():
    assert set(SELECTIONS) == set(Selection.kinds())
    assert set(SCALES) == set(Multiscale.kinds())
    assert {"none", *REGIMES} == set(Regime.kinds())
    assert set(Model.validated("patchtst").transforms) == set(TRANSFORMS)
    assert get_args(Curriculum.members()[0].model_fields["kind"].annotation) == ("none",)


# ------------------------------------------------------------------------ all of them, real widths


@pytest.fixture(scope="module")
def wide():
    """240 windows of 80 rows for each tier, of columns as many as it has."""
    made = {}
    for tier, columns in (("a100", 100), ("a500", 500)):
        rng = np.random.default_rng(1)
        n = 180
        parts = np.array([[1] * 128 + [2] * 52], np.int8)
        series = rng.standard_normal((n + 79, columns)).astype(np.float32)
        names = [f"x{i}" for i in range(columns)]
        names[20] = "return_1d"
        made[tier] = Examples(
            series=series, start=np.arange(n), context=80, group=None,
            y=(series[79:, 0] > 0.8).astype(np.uint8),
            when=np.datetime64("2001-01-01") + np.arange(n), parts=parts, features=tuple(names),
        )  # fmt: skip
    return made


def _one_epoch(spec):
    recipe = {"epochs": 1, "precision": "float32"}
    if spec.recipe.pretraining.passes:
        recipe["pretraining"] = spec.recipe.pretraining.model_copy(update={"epochs": 1})
    if spec.recipe.curriculum.warmup_epochs:
        recipe["curriculum"] = spec.recipe.curriculum.model_copy(update={"scored_after": 1})
    return spec.model_copy(update={"recipe": spec.recipe.model_copy(update=recipe)})


@pytest.mark.slow
@pytest.mark.parametrize("family", ["DA", "NR", "CL", "RD", "MS", "CP"])
def test_every_experiment_trains_an_epoch_at_its_real_width(extended, wide, family):
    kept = {}
    for entry in extended.experiments:
        if not entry.id.startswith(family):
            continue
        spec, examples = _one_epoch(entry.spec), wide[entry.spec.task.tier]
        starts = None
        if spec.depends_on:
            starts = {Member(spec, 0): kept[spec.task.tier]}
        (fitted,) = fit_stack(examples, [spec], CPU, starts=starts)
        assert fitted.failure is None, entry.id
        (fold,) = fitted.folds
        assert np.isfinite(fold.logit_last).all(), entry.id
        assert np.std(fold.logit_last) > 0, entry.id
        assert 0 <= roc_auc(examples.y[128:], fold.logit_last[128:].astype(float)) <= 1
        kept[spec.task.tier] = fold.parameters
