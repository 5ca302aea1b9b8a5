"""The campaign of 114 further experiments, and what a spec of its switches refuses."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from tests.switches import (
    BY_LOSS,
    CLUSTERS,
    CPU,
    OFF,
    SIMCLR,
    SMALL,
    WARMED,
    merged,
    scores,
    switch_examples,
)
from trueness.campaign import campaign_file, load_campaign
from trueness.errors import CampaignError
from trueness.evaluation import roc_auc
from trueness.examples import Examples
from trueness.fit import fit_stack
from trueness.fit.member import Member
from trueness.fit.selecting import SELECTIONS
from trueness.models import parameter_count
from trueness.models.regimes import REGIMES
from trueness.models.scales import SCALES
from trueness.spec import Spec
from trueness.spec.model import Model
from trueness.spec.regime import Regime
from trueness.spec.scales import Multiscale
from trueness.spec.training import (
    TRANSFORMS,
    Augmentation,
    Curriculum,
    Selection,
)

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "spec" / "campaign_extended.yaml"


@pytest.fixture(scope="module")
def examples():
    return switch_examples()


# ------------------------------------------------------------------------------------- refusals

HEAD = "data: sp500\ndefaults: {task: {context: 20}, model: {kind: patchtst, patch_length: 5, stride: 5}}\n"


@pytest.mark.parametrize(
    ("entry", "where", "code"),
    [
        ("recipe.augmentation: {jitter: -1}", "recipe.augmentation.jitter", "campaign"),
        ("recipe.augmentation: {scale: 1}", "recipe.augmentation.scale", "campaign"),
        ("recipe.augmentation: {noise: 1}", "recipe.augmentation.noise: unknown field", "campaign"),
        ("recipe.augmentation: {jitter: .nan}", "recipe.augmentation.jitter", "campaign"),
        ("recipe.augmentation.jitter: 0.1, model.revin: false", "recipe.augmentation", "campaign"),
        ("model: {kind: tabm}, recipe.augmentation.timewarp: 0.1", "jitter, scale, mixup", "campaign"),
        ("recipe.selection: teaching", "recipe.selection: unknown kind 'teaching'", "campaign"),
        ("recipe.selection: coteaching", "model.networks", "campaign"),
        ("recipe.selection: {kind: confidence, threshold: 1}", "recipe.selection.threshold", "campaign"),
        ("recipe.curriculum: {kind: loss, start: 0}", "recipe.curriculum.start", "campaign"),
        ("recipe.curriculum: {kind: volatility, scored_after: 3}", "unknown field", "campaign"),
        ("task.tier: a50, recipe.curriculum: {kind: volatility, returns: return_2d}",
         "recipe.curriculum.returns: return_2d is no input of a50", "no_column"),
        ("recipe.curriculum: volatility", "return_1d is no input of a20", "no_column"),
        ("model.regime: {kind: volatility, thresholds_pct: [2, 1]}", "thresholds_pct must rise", "campaign"),
        ("model.regime: {kind: volatility, thresholds_pct: []}", "model.regime.thresholds_pct", "campaign"),
        ("model.regime: {kind: volatility, weights: [1, 2]}", "2 weights for 3 regimes", "campaign"),
        ("model.regime: volatility", "model.regime.returns: return_1d is no input of a20", "no_column"),
        ("task.tier: a50, model.regime: {kind: trend, long_window: 30}", "long_window 30", "campaign"),
        ("model.regime: {kind: trend, short_window: 9, long_window: 9}", "must be below", "campaign"),
        ("model.multiscale: {kind: hierarchical_pool, scales: [1, 5]}", "4 tokens", "campaign"),
        ("model.multiscale: {kind: multi_patch, patch_sizes: [8, 21]}", "task.context 20", "campaign"),
        ("model.multiscale: {kind: cross_attention, n_heads: 7}", "model.multiscale.n_heads 7", "campaign"),
        ("recipe.pretraining: {kind: simclr, temperature: 0}", "recipe.pretraining.temperature", "campaign"),
        ("recipe.pretraining: {kind: simclr, epochs: 0}", "recipe.pretraining.epochs", "campaign"),
        ("recipe.pretraining: simclr, recipe.batch_size: 1", "recipe.batch_size", "campaign"),
        ("recipe.pretraining: simclr, model.networks: 2", "model.networks", "campaign"),
        ("model: {kind: tabm}, recipe.pretraining: byol", "a tabm has no tokens", "campaign"),
        ("recipe.pretraining: {kind: stored, of: [B]}", "no earlier experiment 'B'", "no_reference"),
        ("recipe.pretraining: {kind: stored, of: []}", "recipe.pretraining.of", "campaign"),
        ("loss: {kind: bootstrap, beta: 2}", "loss.beta", "campaign"),
        ("loss: {kind: forwardcorrection, noise_rate_1: 0.5}", "loss.noise_rate_1", "campaign"),
    ],
)  # fmt: skip
def test_wrong_values_are_one_line_with_place_and_code(tmp_path, entry, where, code):
    file = tmp_path / "c.yaml"
    file.write_text(f"{HEAD}experiments:\n  - {{id: A, {entry}}}\n")
    with pytest.raises(CampaignError) as error:
        load_campaign(file)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("c.yaml:4: A: ")
    assert where in message
    assert error.value.code == code


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
        Spec.model_validate(merged(content, sections))


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
    one, plain = Spec.model_validate(merged(content, value)), Spec.model_validate(content)
    assert np.nanmax(np.abs(scores(rows, one) - scores(rows, plain))) > 1e-4


# ---------------------------------------------------------------------------- the 114 experiments

EQUAL = {("CP-02", "CP-08"), ("CP-05", "CP-11")}
"""Experiments that are one run, as docs/explanation/techniques.md explains."""


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
    for entry, note in zip(extended.experiments, declared["experiments"], strict=True):
        spec = entry.spec
        content = spec.model_dump()
        assert (entry.priority, spec.task.tier) == (note["priority"], note["tier"])
        model = {**{k: defaults[k] for k in ("d_model", "n_layers", "n_heads", "d_ff", "dropout",
                                             "head_dropout", "patch_length", "stride", "revin")},
                 **note["overrides"]}  # fmt: skip
        assert {k: content["model"][k] for k in model} == model, entry.id
        assert content["model"]["embedding"] == {"kind": "linear", "width": note["d_embed"]}
        recipe = spec.recipe
        assert (recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.batch_size,
                recipe.epochs, recipe.patience, recipe.min_delta, recipe.weight_decay,
                recipe.stop_on) == (
            *(defaults[k] for k in ("optimizer", "learning_rate", "lr_schedule", "batch_size",
                                    "epochs", "early_stop_patience", "early_stop_min_delta",
                                    "weight_decay")), note["early_stop_metric"],
        )  # fmt: skip
        assert (spec.task.context, spec.task.horizon, spec.seed) == (
            defaults["context_length"], defaults["horizon"], defaults["seed"],
        )  # fmt: skip
        assert spec.task.target.size == 100 * defaults["threshold"]
        switches = {**OFF, "model.networks": 1, **_declared(note, keys)}
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
        assert note["base_param_count"] <= _without_revin(spec, note["n_indicators"]), entry.id


def _without_revin(spec, columns):
    """Parameters as the declared campaign counts them."""
    return (
        parameter_count(spec.model, columns, spec.task.context) - 2 * columns * spec.model.networks
    )


def _added(spec, d, e):
    """Parameters of the parts that a switch adds, by formulas."""
    scale, regime = spec.model.multiscale, spec.model.regime
    linear = d * d + d
    if regime.kind != "none":
        return {"loss_weight": 0, "embedding": 3 * d, "gated_head": 2 * (9 * d + 1)}[
            regime.conditioning
        ]
    if scale.kind == "hierarchical_pool":
        return {"concat": 3 * d * d + d, "sum": 0, "attention": 4}[scale.fusion]
    if scale.kind == "dilated_conv":
        return len(scale.dilation_rates) * (3 * d * d + d + d * d) + d + 2 * d
    if scale.kind == "cross_attention":
        return 4 * linear + 2 * d
    if scale.kind != "multi_patch":
        return 0
    sets = [(p, (80 - p) // (p // 2) + 1) for p in scale.patch_sizes]
    before = 16 * e * d + d + 19 * d + 9 * d  # patches, positions with 10 to spare, head
    maps = sum(p * e * d + d + n * d for p, n in sets) + 10 * d
    return maps + sum(n for _, n in sets) * d + len(sets) * d - before


def test_models_are_the_declared_ones_and_what_the_switch_adds(extended):
    """By formulas of the parts that a switch adds."""
    base = {"a100": (865_889, 100, 128, 32), "a500": (226_353, 500, 64, 16)}
    for entry in extended.experiments:
        spec = entry.spec
        count, columns, d, e = base[spec.task.tier]
        count += _added(spec, d, e)
        assert _without_revin(spec, columns) == spec.model.networks * count, entry.id


def test_labels_name_the_switch(extended):
    """One that is on stands in the label of its run."""
    labels = {entry.id: entry.spec.label() for entry in extended.experiments}
    words = {"DA-23": "jitter 0.01, scale 0.1", "NR-01": "bootstrap 0.6", "NR-07": "coteaching",
             "CL-13": "curriculum by volatility", "RD-13": "cluster", "MS-13": "dilated_conv",
             "CP-13": "pre-trained by byol", "CP-17": "pre-trained by stored"}  # fmt: skip
    for name, word in words.items():
        assert word in labels[name]


def test_the_campaign_is_short_and_names_its_equals(extended):
    assert len(campaign_file("extended").read_text().splitlines()) <= 120
    assert {tuple(ids) for ids in extended.duplicate_specs().values()} == EQUAL
    page = (Path(__file__).parents[1] / "docs" / "explanation" / "techniques.md").read_text()
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
