"""Contracts over every kind of network, and what is special to TabM and to networks of others."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call

from trueness.errors import SpecError
from trueness.evaluation import roc_auc
from trueness.fit import Device, choose_device, fit_stack
from trueness.fit.objective import Objective
from trueness.models import (
    NETWORKS,
    Noise,
    activation_bytes,
    build,
    multiply_adds,
    noise_per_example,
    parameter_count,
    stacks,
)
from trueness.models.layers import standardisation
from trueness.models.tabm import pooled
from trueness.own import pinned
from trueness.spec import Spec
from trueness.spec.loss import Loss
from trueness.spec.model import Model

CPU = Device("cpu", has_bf16=False)
NETS = Path(__file__).parent / "nets"
C, L = 4, 20
SMALL_TABM = {"kind": "tabm", "k": 3, "n_blocks": 2, "d_block": 8, "dropout": 0.2}
STACKED = {
    "patchtst": {
        "kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16,
        "patch_length": 5, "stride": 5, "dropout": 0.2,
    },
    "tabm-last": {**SMALL_TABM, "inputs": "last"},
    "tabm-summary": SMALL_TABM,
    "tabm-window": {**SMALL_TABM, "inputs": "window", "n_blocks": 1},
    "conv": {"kind": "module", "of": "good.py:Conv", "params": {"width": 5}},
    "mlp": {"kind": "module", "of": "good.py:Mlp"},
}  # fmt: skip
ALONE = {
    name: {"kind": "module", "of": f"good.py:{of}"}
    for name, of in (
        ("gru", "Gru"), ("normed", "Normed"), ("random", "Random"), ("sideways", "Sideways"),
        ("attention", "attention"),
    )
}  # fmt: skip
every = pytest.mark.parametrize("name", STACKED | ALONE)


def _shape(name):
    return pinned(Model.validated((STACKED | ALONE)[name]), NETS)


def _built(name, seed=0):
    return build(_shape(name), C, L, torch.Generator().manual_seed(seed), NETS)


def _spec(name, seed=1, loss="bce", **recipe):
    recipe = {
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "precision": "float32",
        **recipe,
    }
    content = {
        "task": {"kind": "market", "bars": "x", "context": L}, "model": _shape(name),
        "recipe": recipe, "evaluation": {"protocol": "holdout"}, "seed": seed, "loss": loss,
    }  # fmt: skip
    return Spec.model_validate(content)


def _fit(examples, specs, width=None):
    return fit_stack(examples, specs, CPU, width=width, base_folder=NETS)


def _noise(module, x, seed=0):
    module.train()
    draws = torch.randint(0, 256, (len(x), noise_per_example(module, x)), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(seed))  # fmt: skip
    level = (torch.tensor(module.rates) * 256).round()
    return Noise(draws, level.to(torch.uint8), 256 / (256 - level))


def _windows(n=8, seed=1):
    return torch.randn(n, L, C, generator=torch.Generator().manual_seed(seed))


def test_every_kind_of_network_is_tried_here():
    assert {content["kind"] for content in (STACKED | ALONE).values()} == set(NETWORKS)


# ---------------------------------------------------------------------------------- contracts


@every
def test_a_logit_per_window_that_depends_on_the_window_alone(name):
    module, x = _built(name), _windows()
    logits = module(x)
    assert logits.shape == (8,)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert torch.equal(module(x), logits)
    order = torch.tensor([3, 1, 5, 0, 4, 2, 7, 6])
    torch.testing.assert_close(module(x[order]), logits[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module(x[2:3]), logits[2:3], rtol=1e-4, atol=1e-5)


@every
def test_same_generator_same_tensors_and_no_global_randomness(name):
    before = torch.random.get_rng_state()
    one, two, other = _built(name), _built(name), _built(name, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), two.buffers(), strict=True))
    assert not torch.equal(list(one.parameters())[-1], list(other.parameters())[-1])


@every
def test_every_trained_parameter_gets_a_gradient_and_moves(name):
    module, x = _built(name), _windows(16)
    before = {n: p.clone() for n, p in module.named_parameters()}
    noise = _noise(module, x)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(x, noise).square().sum().backward()
    optimizer.step()
    for n, p in module.named_parameters():
        if p.requires_grad and not n.endswith("self_attn.in_proj_bias"):
            assert p.grad.abs().sum() > 0, n
        assert torch.equal(p, before[n]) == (not p.requires_grad), n


@pytest.mark.parametrize("name", STACKED)
def test_a_stack_equals_separate_fits(noise_examples, name):
    """Seeds, folds, losses, dropout, and buffers that each network has for itself."""
    specs = [_spec(name, 1), _spec(name, 2, "softauc"), _spec(name, 3, learning_rate=1e-2)]
    together = _fit(noise_examples, specs)
    for one, stacked in zip(specs, together, strict=True):
        (alone,) = _fit(noise_examples, [one], width=1)
        assert stacked.stacked
        for a, b in zip(alone.folds, stacked.folds, strict=True):
            assert a.best_epoch == b.best_epoch
            np.testing.assert_allclose(b.logit_last, a.logit_last, rtol=0, atol=2e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", ALONE)
def test_what_trains_alone_says_so_and_does_not_depend_on_its_neighbours(noise_examples, name):
    assert not stacks(_shape(name), C, L, NETS)
    specs = [_spec(name, 1), _spec(name, 2)]
    together = _fit(noise_examples, specs)
    torch.manual_seed(99)  # nor on whatever drew before
    torch.rand(7)
    for one, neighbour in zip(specs, together, strict=True):
        (alone,) = _fit(noise_examples, [one])
        assert not neighbour.stacked
        for a, b in zip(alone.folds, neighbour.folds, strict=True):
            np.testing.assert_array_equal(b.logit_last, a.logit_last)
    first, second = (fitted.folds[0].logit_last for fitted in together)
    assert not np.allclose(first[:100], second[:100])


@pytest.mark.long
@every
def test_can_overfit_32_examples(noise_examples, name):
    parts = np.zeros((1, 300), np.int8)
    parts[0, :32], parts[0, 32:64] = 1, 2
    labels = (np.random.default_rng(0).random(300) < 0.5).astype(np.uint8)
    examples = dataclasses.replace(noise_examples, parts=parts, y=labels)
    if name in ("random", "sideways"):  # four weights and a bias
        examples = dataclasses.replace(
            examples, y=(examples.series[L - 1 :, 0] > 0).astype(np.uint8)
        )
    content = {k: 0.0 for k in ("dropout",) if k in (STACKED | ALONE)[name]}
    one = _spec(name, epochs=200, patience=200, learning_rate=2e-2)
    one = one.model_copy(update={"model": one.model.model_copy(update=content)})
    (fitted,) = _fit(examples, [one])
    scores = fitted.folds[0].logit_last[:32].astype(float)
    assert roc_auc(examples.y[:32], scores) > 0.95


@every
def test_what_is_stored_reproduces_the_scores(noise_examples, name):
    one = _spec(name)
    (fitted,) = _fit(noise_examples, [one])
    for fold in fitted.folds:
        module = _built(name, seed=5)
        tensors = {k: torch.from_numpy(np.array(v)) for k, v in fold.parameters.items()}
        module.load_state_dict(tensors, strict=True)
        x = torch.from_numpy(noise_examples.x[noise_examples.start[:50]].copy())
        scores = module(x).detach().numpy()
        np.testing.assert_allclose(scores, fold.logit[:50], rtol=0, atol=1e-5)


@every
def test_costs_are_those_of_the_network_that_is_built(name):
    module, shape = _built(name), _shape(name)
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert parameter_count(shape, C, L, NETS) == trained
    assert multiply_adds(shape, C, L, NETS) > 0
    assert activation_bytes(shape, C, L, NETS) > 0


@every
def test_bf16_is_close_to_float32(noise_examples, name):
    full, half = (_fit(noise_examples, [_spec(name, precision=p)])[0] for p in ("float32", "bf16"))
    assert half.precision == "bf16"
    gap = np.abs(full.folds[0].logit_last[:150] - half.folds[0].logit_last[:150])
    assert 0 < np.median(gap) < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eager", "graph", "compile"])
@pytest.mark.parametrize("name", STACKED | ALONE)
def test_gpu_equals_cpu(noise_examples, name, mode):
    """Without dropout, whose bytes differ; what draws by itself is left out."""
    if name in ("random", "sideways", "attention", "mlp", "gru"):
        pytest.skip("random in training")
    one = _spec(name, 1)
    rates = {rate: 0.0 for rate in one.model.rates}
    one = one.model_copy(update={"model": one.model.model_copy(update=rates)})
    there = fit_stack(noise_examples, [one], choose_device("cuda"), mode=mode, base_folder=NETS)[0]
    here = _fit(noise_examples, [one])[0]
    gap = there.folds[0].logit_last[:150] - here.folds[0].logit_last[:150]
    assert np.abs(gap).max() < 5e-3


@pytest.mark.gpu
@every
def test_a_gpu_repeats_itself(noise_examples, name):
    one, two = (
        fit_stack(noise_examples, [_spec(name)], choose_device("cuda"), base_folder=NETS)[0]
        for _ in range(2)
    )
    np.testing.assert_allclose(one.folds[0].logit_last, two.folds[0].logit_last, atol=1e-3)


# ---------------------------------------------------------------------------------- TabM


@pytest.mark.parametrize("inputs", ["last", "summary", "window"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_tabm_are_right(inputs, training):
    shape = Model.validated({**SMALL_TABM, "k": 2, "d_block": 3, "inputs": inputs})
    module = build(shape, 2, 3, torch.Generator().manual_seed(0)).double().train(training)
    names, weights = zip(*((n, p.detach().requires_grad_()) for n, p in module.named_parameters()), strict=True)  # fmt: skip
    x = torch.randn(3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def forward(*tensors):
        return functional_call(module, dict(zip(names, tensors, strict=True)), (x,))

    assert torch.autograd.gradcheck(forward, weights)


def _perceptron(module, i, columns):
    """One member with weights of its own, written out."""
    h = columns
    for block in module.blocks:
        own = block.weight * block.scale_in[i] * block.scale_out[i][:, None]
        h = torch.relu(h @ own.T + block.bias[i])
    return h @ module.heads[i] + module.bias[i]


@pytest.mark.parametrize("name", ["tabm-last", "tabm-summary", "tabm-window"])
def test_tabm_is_k_perceptrons_whose_probabilities_are_averaged(name):
    module, x = _built(name), _windows()
    with torch.no_grad():
        for p in [*module.parameters(), module.columns.shift]:
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(7)))
        module.columns.scale.uniform_(0.5, 2.0)
    columns = {
        "tabm-last": x[:, -1], "tabm-summary": torch.cat([x[:, -1], x.mean(1)], 1),
        "tabm-window": x.reshape(len(x), -1),
    }[name]  # fmt: skip
    columns = (columns - module.columns.shift) / module.columns.scale
    each = torch.stack([_perceptron(module, i, columns) for i in range(3)], 1)
    torch.testing.assert_close(module.train()(x), each, rtol=1e-4, atol=1e-5)
    mean = each.sigmoid().mean(1)
    torch.testing.assert_close(module.eval()(x).sigmoid(), mean, rtol=1e-4, atol=1e-6)


def test_members_of_tabm_start_apart_by_signs_and_heads_only():
    module = build(Model.validated({**SMALL_TABM, "k": 64}), C, L, torch.Generator().manual_seed(0))
    first, second = module.blocks
    assert set(first.scale_in.unique().tolist()) == {-1.0, 1.0}
    assert abs(first.scale_in.mean().item()) < 0.15
    for scale in (first.scale_out, second.scale_in, second.scale_out):
        assert (scale == 1).all()
    for block in module.blocks:
        assert (block.bias == block.bias[0]).all()
    assert len(module.heads.unique(dim=0)) == 64


@given(st.lists(st.floats(-80, 80), min_size=1, max_size=9))
def test_pooled_logits_are_those_of_the_mean_probability(values):
    logits = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    mean = logits.detach().sigmoid().mean()
    if 1e-9 < mean < 1 - 1e-9:
        assert pooled(logits).item() == pytest.approx(torch.logit(mean).item(), abs=1e-5)
    assert min(values) - 1e-6 <= pooled(logits).item() <= max(values) + 1e-6
    assert torch.autograd.grad(pooled(logits).sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize("kind", Loss.kinds())
def test_each_member_has_its_own_loss_whichever_it_is(kind):
    """Of whole batches and of pairs too: what a member loses does not depend on the others."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 12, 3, generator=generator)
    y = (torch.rand(2, 12, generator=generator) < 0.4).float()
    y[1, 10:] = -1
    losses = [Loss.validated(kind), Loss.validated("bce")]
    objective = Objective(losses, [0.3, 0.3], "cpu")
    expected = torch.stack([objective(logits[..., i], y) for i in range(3)]).mean(0)
    torch.testing.assert_close(objective(logits, y), expected, rtol=1e-5, atol=1e-6)


def test_columns_are_standardised_by_the_training_windows_of_each_fold(noise_examples):
    examples = dataclasses.replace(
        noise_examples,
        series=noise_examples.series * np.float32([1, 1e-4, 0, 100]) + np.float32([0, 0, 7, 5000]),
    )
    (fitted,) = _fit(examples, [_spec("tabm-summary", epochs=1)])
    for fold in fitted.folds:
        x = examples.x[examples.start[examples.members("train", fold.fold)]].astype(float)
        columns = np.concatenate([x[:, -1], x.mean(1)], 1)
        np.testing.assert_allclose(
            fold.parameters["columns.shift"], columns.mean(0), rtol=1e-5, atol=1e-6
        )
        deviation = np.where(np.arange(8) % 4 == 2, 1, columns.std(0))
        np.testing.assert_allclose(fold.parameters["columns.scale"], deviation, rtol=1e-4)
    first, second = (fold.parameters["columns.shift"] for fold in fitted.folds)
    assert not np.allclose(first, second)


def test_pieces_of_windows_change_no_statistic():
    x = _windows(50).flatten(1) * 100 + 3000
    whole, pieces = standardisation([x]), standardisation(x.split(7))
    for name, value in whole.items():
        torch.testing.assert_close(pieces[name], value, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("name", ["tabm-window", "conv", "gru"])
def test_units_of_a_column_change_nothing(noise_examples, name):
    one = _spec(name, epochs=3)
    moved = dataclasses.replace(
        noise_examples,
        series=noise_examples.series * np.float32([1, 8, 0.5, 64]) + np.float32([0, 2, 0, -16]),
    )
    (a,), (b,) = _fit(noise_examples, [one]), _fit(moved, [one])
    np.testing.assert_allclose(b.folds[0].logit_last, a.folds[0].logit_last, atol=1e-3)


def test_multiply_adds_of_tabm_are_those_of_its_maps():
    shape = Model.validated({"kind": "tabm", "k": 4, "n_blocks": 3, "d_block": 10, "inputs": "window"})  # fmt: skip
    assert multiply_adds(shape, C, L) == 4 * (C * L * 10 + 2 * 10 * 10)
    wide = C * L * 10 + 2 * 10 * 10  # shared weights, then scales, biases and heads of each
    assert parameter_count(shape, C, L) == wide + 4 * (C * L + 2 * 10 + 3 * 20 + 10 + 1)


@pytest.mark.parametrize("inputs", ["last", "summary", "window"])
def test_a_window_of_one_row_is_that_row(inputs):
    shape = Model.validated({**SMALL_TABM, "inputs": inputs})
    module = build(shape, C, 1, torch.Generator().manual_seed(0))
    assert module.blocks[0].weight.shape == (8, C)
    x = _windows()[:, -1:]
    last = build(
        Model.validated({**SMALL_TABM, "inputs": "last"}), C, L, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(module(x), last(x))


def test_tabm_has_the_published_defaults():
    shape = Model.validated("tabm")
    assert (shape.k, shape.n_blocks, shape.d_block, shape.dropout) == (32, 3, 512, 0.1)
    assert _spec("tabm-last").label() == "a20 · TabM d8×2, k 3, inputs last"


# ---------------------------------------------------------------------------------- of others


def _module(of, folder=NETS, **params):
    return pinned(Model.validated({"kind": "module", "of": of, "params": params}), folder)


@pytest.mark.parametrize(
    ("of", "params", "code", "words"),
    [
        ("bad.py:Wide", {}, "module_shape", "(4, 20, 1)"),
        ("bad.py:Pair", {}, "module_shape", "tuple"),
        ("bad.py:Nan", {}, "module_nan", "not finite"),
        ("bad.py:Restless", {}, "module_random", "random in evaluation"),
        ("bad.py:Crowd", {}, "module_rows", "the others"),
        ("bad.py:Raises", {}, "module_forward", "cannot be multiplied"),
        ("bad.py:Picky", {"size": 3}, "module_build", "size is never right"),
        ("bad.py:Net", {"depth": 3}, "module_build", "depth"),
        ("bad.py:Double", {}, "module_weights", "float64"),
        ("bad.py:Weightless", {}, "module_weights", "none"),
        ("bad.py:Replaces", {}, "module_buffer", "seen"),
        ("bad.py:Centres", {}, "module_modifies", "its input"),
        ("bad.py:Doubles", {}, "module_modifies", "in training"),
        ("bad.py:Detached", {}, "module_gradient", "detach"),
        ("bad.py:nothing", {}, "module_class", "str"),
        ("bad.py:WORD", {}, "own_name", "WORD"),
        ("bad.py:Absent", {}, "own_name", "Absent"),
        ("torch.nn.Absent", {}, "own_name", "Absent"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_in_one_line(
    noise_examples, of, params, code, words
):
    one = _spec("conv").model_copy(update={"model": _module(of, **params)})
    for ask in (
        lambda: parameter_count(one.model, C, L, NETS),
        lambda: _fit(noise_examples, [one]),
    ):
        with pytest.raises(SpecError) as raised:
            ask()
        assert raised.value.code == code
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_imported_is_refused_in_one_line(tmp_path):
    (tmp_path / "my.py").write_text("import no_such_package_of_mine\n")
    for of, code in (("my.py:Net", "own_import"), ("absent.py:Net", "own_missing")):
        with pytest.raises(SpecError) as raised:
            parameter_count(_module(of, tmp_path), C, L, tmp_path)
        assert raised.value.code == code
        assert "\n" not in str(raised.value)


def test_the_key_holds_arguments_and_source(tmp_path):
    file = tmp_path / "my.py"
    text = (NETS / "good.py").read_text()
    file.write_text(text)
    before = _module("my.py:Conv", tmp_path)
    assert parameter_count(before, C, L, tmp_path) == 4 * 6 * 3 + 6 + 6 + 1

    def key(model):
        return _spec("conv").model_copy(update={"model": model}).key

    file.write_text(text.replace("width, 3)", "width, 5)"))
    after = _module("my.py:Conv", tmp_path)
    assert len({key(before), key(after), key(_module("my.py:Conv", tmp_path, width=5))}) == 3
    assert parameter_count(after, C, L, tmp_path) == 4 * 6 * 5 + 6 + 6 + 1
    with pytest.raises(SpecError) as raised:  # no longer what the key says
        build(before.model_copy(update={"params": {"width": 7}}), C, L, torch.Generator(), tmp_path)
    assert raised.value.code == "own_changed"


def test_code_that_no_key_holds_is_not_run():
    with pytest.raises(SpecError) as raised:
        parameter_count(Model.validated({"kind": "module", "of": "good.py:Conv"}), C, L, NETS)
    assert raised.value.code == "own_unpinned"


def test_a_network_of_a_package_needs_no_file():
    shape = _module("torch.nn.Flatten", Path())
    assert shape.version.startswith("torch ")
    with pytest.raises(SpecError) as raised:
        parameter_count(shape, C, L)
    assert raised.value.code == "module_weights"


def test_sizes_are_given_to_those_that_ask_and_arguments_win():
    conv = build(_module("good.py:Conv", n_features=C, width=2), C, L, torch.Generator(), NETS)
    assert conv.net.conv.weight.shape == (2, C, 3)
    mlp = build(_module("good.py:Mlp"), C, L, torch.Generator(), NETS)
    assert mlp.net.body[1].weight.shape == (8, C * L)
    assert mlp.rates == (0.1, 0.3)


def test_networks_of_others_are_halved_only_if_asked(noise_examples):
    fast = Device("cpu", has_bf16=True)
    for precision, expected in (("auto", "float32"), ("bf16", "bf16")):
        one = _spec("conv", epochs=1, precision=precision)
        (fitted,) = fit_stack(noise_examples, [one], fast, base_folder=NETS)
        assert fitted.precision == expected


def test_columns_are_handed_on_as_they_are_if_asked(noise_examples):
    raw = _spec("conv").model_copy(
        update={"model": _shape("conv").model_copy(update={"standardise": False})}
    )
    (fitted,), (scaled,) = _fit(noise_examples, [raw]), _fit(noise_examples, [_spec("conv")])
    assert not any("columns" in name for name in fitted.folds[0].parameters)
    x = noise_examples.x[noise_examples.start[noise_examples.members("train", 0)]].reshape(-1, C)
    np.testing.assert_allclose(
        scaled.folds[0].parameters["columns.shift"], x.mean(0), rtol=1e-4, atol=1e-6
    )
    assert raw.label() == "a20 · Conv, raw columns, width 5"


def test_dropout_of_others_spends_the_bytes_of_the_run():
    module, x = _built("mlp"), _windows()
    noise = _noise(module, x)
    first = module(x, noise)
    assert noise.used == noise.draws.shape[1] == C * L + 8
    assert torch.equal(module(x, _noise(module, x)), first)
    assert not torch.allclose(module(x, _noise(module, x, seed=1)), first)
    torch.testing.assert_close(module(x), module.eval()(x))


def test_batch_normalisation_keeps_the_statistics_of_the_best_epoch(noise_examples):
    (fitted,) = _fit(noise_examples, [_spec("normed", epochs=6, min_delta=9.0, patience=9)])
    fold = fitted.folds[0]
    assert fold.best_epoch == 1
    steps = int(fold.parameters["net.norm.num_batches_tracked"])
    assert steps == -(-len(noise_examples.members("train", 0)) // 32)


def test_a_spec_of_others_travels_to_a_worker():
    one = _spec("mlp")
    assert pickle.loads(pickle.dumps(one)) == one
    assert Spec.model_validate_json(one.model_dump_json()).key == one.key
    assert one.label() == "a20 · Mlp"
