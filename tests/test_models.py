import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trueness.models import Noise, build, noise_per_example, parameter_count
from trueness.spec.model import PatchTST

LINEAR = {"kind": "linear", "width": 6}


def _model(**changes):
    small = {"kind": "patchtst", "d_model": 16, "n_layers": 2, "n_heads": 4, "d_ff": 24}
    return PatchTST.model_validate({**small, "patch_length": 8, "stride": 4, **changes})


def _built(model, n_features=5, context=40, seed=0):
    return build(model, n_features, context, torch.Generator().manual_seed(seed))


@given(
    st.integers(1, 4), st.sampled_from([1, 2, 4]), st.integers(1, 20), st.integers(1, 9), st.integers(1, 12),
    st.integers(8, 60), st.booleans(), st.sampled_from([None, 2, 7]), st.integers(1, 3),
)  # fmt: skip
def test_parameter_count_is_exact(
    layers, heads, ff, features, patch, context, revin, width, stride
):
    embedding = "none" if width is None else {"kind": "linear", "width": width}
    model = _model(
        n_layers=layers, n_heads=heads, d_ff=ff, patch_length=min(patch, context), stride=stride,
        revin=revin, embedding=embedding,
    )  # fmt: skip
    module = _built(model, features, context)
    assert parameter_count(model, features, context) == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("count", "features", "changes"),
    [
        (865_889, 100, {"embedding": {"kind": "linear", "width": 32}}),
        (226_353, 500, {"embedding": {"kind": "linear", "width": 16}, "d_model": 64, "n_heads": 4, "d_ff": 256}),
        (1_821_057, 500, {}),
        (899_457, 50, {}),
        (830_193, 20, {"embedding": {"kind": "linear", "width": 16}}),
    ],
)  # fmt: skip
def test_published_parameter_counts(count, features, changes):
    """FE-06, FE-50, FE-01, FE-65 and FE-69 of the published study, counted without RevIN."""
    model = PatchTST.model_validate({"kind": "patchtst", "revin": False, **changes})
    assert parameter_count(model, features, 80) == count


def test_same_generator_same_weights_and_no_global_randomness():
    before = torch.random.get_rng_state()
    one, two = _built(_model(embedding=LINEAR)), _built(_model(embedding=LINEAR))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    other = _built(_model(embedding=LINEAR), seed=1)
    assert not torch.equal(other.head.weight, one.head.weight)


@pytest.mark.parametrize("std", [0.02, 1.0])
def test_position_table_has_the_asked_deviation(std):
    module = _built(_model(d_model=64, position_std=std), context=200)
    assert abs(module.positions.std().item() / std - 1) < 0.05


@pytest.mark.parametrize("embedding", ["none", LINEAR])
@pytest.mark.parametrize("revin", [True, False])
def test_every_parameter_gets_a_gradient_and_moves(embedding, revin):
    module = _built(_model(embedding=embedding, revin=revin))
    torch.manual_seed(1)
    x, before = torch.randn(16, 40, 5), [p.clone() for p in module.parameters()]
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(x).square().sum().backward()
    optimizer.step()
    for (name, p), old in zip(module.named_parameters(), before, strict=True):
        used = (
            p.grad[: (40 - 8) // 4 + 1] if name == "positions" else p.grad
        )  # ten spare rows are never read
        assert used.abs().sum() > 0, name
        assert not torch.equal(p, old), name


def test_evaluation_is_deterministic_and_independent_of_the_batch():
    module = _built(_model(embedding=LINEAR))
    x = torch.randn(6, 40, 5)
    whole = module(x)
    torch.testing.assert_close(module(x), whole, rtol=0, atol=0)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(module(x[order]), whole[order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(module(x[2:3]), whole[2:3], rtol=1e-5, atol=1e-6)


def test_revin_ignores_level_and_scale_of_each_column():
    x = torch.randn(4, 40, 5, dtype=torch.float64)
    moved = x * torch.tensor([1.0, 10.0, 0.5, 3.0, 100.0]) + torch.tensor(
        [0.0, 5.0, -9.0, 1.0, 4000.0]
    )
    with_, without = (_built(_model(revin=r)).double() for r in (True, False))
    torch.testing.assert_close(with_(x), with_(moved), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(without(x), without(moved), rtol=1e-2)


@pytest.mark.parametrize("embedding", ["none", LINEAR])
def test_folded_affine_equals_the_plain_formula(embedding):
    """RevIN's gamma and beta inside the next linear map, against gamma * z + beta written out."""
    module = _built(_model(embedding=embedding))
    with torch.no_grad():
        module.revin.gamma.uniform_(0.5, 2)
        module.revin.beta.uniform_(-1, 1)
    x = torch.randn(3, 40, 5)
    z = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5)
    folded = module(x)
    affine, module.revin = module.revin, None
    torch.testing.assert_close(module(affine.gamma * z + affine.beta), folded, rtol=1e-4, atol=1e-5)


def test_attention_equals_torch():
    """The written-out layer against torch's own pre-norm encoder layer with the same weights."""
    model = _model()
    ours = _built(model).layers[0]
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 24, 0.0, "gelu", batch_first=True, norm_first=True
    )
    pairs = {
        "self_attn.in_proj_weight": ours.qkv.weight, "self_attn.in_proj_bias": ours.qkv.bias,
        "self_attn.out_proj.weight": ours.out.weight, "self_attn.out_proj.bias": ours.out.bias,
        "linear1.weight": ours.up.weight, "linear1.bias": ours.up.bias,
        "linear2.weight": ours.down.weight, "linear2.bias": ours.down.bias,
        "norm1.weight": ours.norm1.weight, "norm1.bias": ours.norm1.bias,
        "norm2.weight": ours.norm2.weight, "norm2.bias": ours.norm2.bias,
    }  # fmt: skip
    theirs.load_state_dict(pairs)
    from trueness.models import NoNoise

    h = torch.randn(5, 9, 16)
    torch.testing.assert_close(ours(h, NoNoise()), theirs(h), rtol=1e-5, atol=1e-6)


def _noise(module, x, p, seed=0):
    draws = torch.randint(0, 256, (len(x), noise_per_example(module, x[:1])), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(seed))  # fmt: skip
    level = torch.tensor([round(256 * p), 0]).to(torch.uint8)
    return Noise(draws, level, 256 / (256 - level.float()))


def test_noise_is_spent_to_the_last_byte_and_decides_the_output():
    module, x = _built(_model(embedding=LINEAR)), torch.randn(4, 40, 5)
    noise = _noise(module, x, 0.5)
    first = module(x, noise)
    assert noise.used == noise.draws.shape[1]
    assert torch.equal(module(x, _noise(module, x, 0.5)), first)
    assert not torch.allclose(module(x, _noise(module, x, 0.5, seed=1)), first)
    torch.testing.assert_close(module(x, _noise(module, x, 0.0)), module(x))


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.7])
def test_dropout_keeps_the_stated_share_and_the_mean(p):
    level = torch.tensor([round(256 * p), 0]).to(torch.uint8)
    draws = torch.randint(0, 256, (1, 400_000), dtype=torch.uint8)
    dropped = Noise(draws, level, 256 / (256 - level.float())).drop(torch.ones(1, 400_000))
    assert abs((dropped == 0).float().mean().item() - p) < 0.004
    assert abs(dropped.mean().item() - 1) < 0.01
