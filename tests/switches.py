"""What the tests of the further training techniques share: a small spec, and examples."""

import numpy as np

from trueness.examples import Examples
from trueness.fit import Device, fit_stack
from trueness.spec import Spec

CPU = Device("cpu", has_bf16=False)
L, N = 20, 240
SMALL = {
    "task": {"kind": "market", "bars": "0123456789ab", "context": L},
    "model": {
        "kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16,
        "patch_length": 4, "stride": 2, "dropout": 0.1,
    },
    "recipe": {"epochs": 3, "batch_size": 32, "learning_rate": 3e-3, "precision": "float32"},
    "evaluation": {"protocol": "holdout"},
}  # fmt: skip


def merged(below, above):
    both = isinstance(below, dict) and isinstance(above, dict)
    if not both or ("kind" in above and "kind" in below and above["kind"] != below["kind"]):
        return above
    return {**below, **{name: merged(below.get(name), value) for name, value in above.items()}}


def spec_of(path="", value=None, **sections):
    """The small spec with a value at a dotted path, over whole sections."""
    content = merged(SMALL, sections)
    for name in reversed(path.split(".") if path else []):
        value = {name: value}
    return Spec.model_validate(merged(content, value or {}))


def scores(examples, spec):
    (fitted,) = fit_stack(examples, [spec], CPU)
    assert fitted.failure is None
    return fitted.folds[0].logit_last


def switch_examples():
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
