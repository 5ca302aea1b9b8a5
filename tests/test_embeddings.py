"""Contracts of all feature embeddings, and each one against its formula written out."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trueness.evaluation import roc_auc
from trueness.models import (
    EMBEDDINGS,
    Noise,
    NoNoise,
    activation_bytes,
    build,
    multiply_adds,
    noise_per_example,
    parameter_count,
)
from trueness.models.columns import attend_columns
from trueness.models.embeddings import embed, progressive_widths
from trueness.models.layers import RevIN
from trueness.spec import Spec
from trueness.spec.embedding import Embedding
from trueness.spec.model import PatchTST

C, L = 7, 24
VARIANTS = [
    {"kind": "linear", "width": 8},
    {"kind": "progressive", "width": 4},
    {"kind": "progressive", "width": 6, "num_layers": 1},
    {"kind": "bottleneck", "width": 8},
    {"kind": "bottleneck", "width": C, "compression_ratio": 0.75},
    {"kind": "bottleneck", "width": 8, "use_skip": False},
    {"kind": "multihead", "width": 8},
    {"kind": "multihead", "width": 8, "num_heads": 3, "head_dim": 5},
    {"kind": "multihead", "width": 8, "num_heads": 2, "combine_method": "sum"},
    {"kind": "multihead", "width": 8, "head_dim": 8, "combine_method": "sum"},
    {"kind": "gated_residual", "width": 8},
    {"kind": "gated_residual", "width": C, "hidden_dim": 5},
    {"kind": "attention", "width": 8},
    {"kind": "attention", "width": 8, "num_heads": 2, "use_position": False},
    {"kind": "variational", "width": 8},
    {"kind": "variational", "width": 20, "beta": 0.5},
]
every = pytest.mark.parametrize(
    "embedding", VARIANTS, ids=lambda e: "-".join(str(v) for v in e.values())
)


def _model(embedding, **changes):
    small = {"kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 12}
    small |= {"patch_length": 8, "stride": 8, "embedding": embedding}
    return PatchTST.model_validate({**small, **changes})


def _built(embedding, seed=0, n_features=C, context=L, **changes):
    generator = torch.Generator().manual_seed(seed)
    return build(_model(embedding, **changes), n_features, context, generator)


def _embedding(embedding, n_features=C, seed=0):
    """Module whose every weight is random, LayerNorms and biases included."""
    generator = torch.Generator().manual_seed(seed)
    module = embed(Embedding.validated(embedding), n_features, generator)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return module


def _revin(n_features=C):
    revin = RevIN(n_features)
    with torch.no_grad():
        revin.gamma.uniform_(0.5, 2)
        revin.beta.uniform_(-1, 1)
    return revin


def _noise(module, x, p=0.25, seed=0):
    draws = torch.randint(0, 256, (len(x), noise_per_example(module, x[:1])), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(seed))  # fmt: skip
    level = torch.tensor([round(256 * p), 0]).to(torch.uint8)
    return Noise(draws, level, 256 / (256 - level.float()))


def test_every_kind_has_a_variant_here_and_a_shape():
    assert {v["kind"] for v in VARIANTS} == set(EMBEDDINGS)
    for kind in EMBEDDINGS:
        assert Embedding.validated({"kind": kind, "width": 8}).kind == kind


# ---------------------------------------------------------------------------------- contracts


@every
@pytest.mark.parametrize("revin", [True, False])
@pytest.mark.parametrize("bf16", [False, True])
def test_every_parameter_gets_a_gradient_and_moves(embedding, revin, bf16):
    module = _built(embedding, revin=revin)
    before = {name: p.clone() for name, p in module.named_parameters()}
    torch.manual_seed(1)
    x, noise = torch.randn(16, L, C), None
    noise = _noise(module, x)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = module(x, noise)
    assert logits.dtype == torch.float32
    (logits.square() + noise.penalty).sum().backward()
    optimizer.step()
    for name, p in module.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().sum() > 0, name
        assert not torch.equal(p, before[name]), name


@every
def test_bf16_is_close_to_float32(embedding):
    module, x = _built(embedding), torch.randn(16, L, C)
    with torch.autocast("cpu", torch.bfloat16):
        half = module(x)
    torch.testing.assert_close(half, module(x), rtol=0, atol=0.08)


@every
def test_folded_affine_equals_the_plain_formula(embedding):
    module, revin, x = _embedding(embedding), _revin(), torch.randn(3, L, C)
    plain = module(x * revin.gamma + revin.beta, NoNoise(), None)
    torch.testing.assert_close(module(x, NoNoise(), revin), plain, rtol=1e-4, atol=1e-5)
    assert plain.shape == (3, L, embedding["width"])


@every
def test_each_day_is_embedded_alone(embedding):
    module, x = _embedding(embedding), torch.randn(3, L, C)
    days = torch.randperm(L)
    moved = module(x[:, days], NoNoise(), None)
    torch.testing.assert_close(moved, module(x, NoNoise(), None)[:, days], rtol=1e-4, atol=1e-5)


@every
def test_noise_is_spent_to_the_last_byte_and_decides_the_output(embedding):
    module, x = _built(embedding), torch.randn(4, L, C)
    noise = _noise(module, x, 0.5)
    first = module(x, noise)
    assert noise.used == noise.draws.shape[1]
    assert torch.equal(module(x, _noise(module, x, 0.5)), first)
    assert not torch.allclose(module(x, _noise(module, x, 0.5, seed=1)), first)
    if embedding["kind"] != "variational":
        torch.testing.assert_close(module(x, _noise(module, x, 0.0)), module(x))
        assert not noise.penalty.any()


@every
def test_same_generator_same_weights_and_no_global_randomness(embedding):
    before = torch.random.get_rng_state()
    one, two, other = (_built(embedding, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.head.weight, other.head.weight)


@every
def test_vmap_with_gradients_outside_equals_separate_networks(embedding):
    """As the engine does it: three networks, windows and bytes of their own, in one pass."""
    modules = [_built(embedding, seed=s) for s in range(3)]
    x = torch.randn(3, 5, L, C)
    noises = [_noise(m, x[0], seed=s) for s, m in enumerate(modules)]
    names = [name for name, _ in modules[0].named_parameters()]
    stacked = {n: torch.stack([dict(m.named_parameters())[n].detach() for m in modules])
                .requires_grad_() for n in names}  # fmt: skip

    def run(weights, x, draws):
        noise = Noise(draws, noises[0].level, noises[0].scale)
        return functional_call(modules[0], weights, (x, noise)), noise.penalty

    logits, penalty = torch.vmap(run)(stacked, x, torch.stack([n.draws for n in noises]))
    together = torch.autograd.grad((logits.square() + penalty).sum(), list(stacked.values()))
    for k, (module, noise) in enumerate(zip(modules, noises, strict=True)):
        alone = module(x[k], noise)
        torch.testing.assert_close(logits[k], alone, rtol=1e-5, atol=1e-6)
        (alone.square() + noise.penalty).sum().backward()
        for name, p, got in zip(names, module.parameters(), together, strict=True):
            torch.testing.assert_close(
                got[k], p.grad, rtol=1e-5, atol=1e-5 * float(p.grad.abs().max()) + 1e-7, msg=name
            )


@pytest.mark.long
@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_can_overfit_32_examples(kind):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, L, C, generator=generator)
    y = (torch.rand(32, generator=generator) < 0.5).float()
    module = _built({"kind": kind, "width": 8})
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for step in range(100):
        optimizer.zero_grad()
        noise = _noise(module, x, 0.0, seed=step)
        loss = F.binary_cross_entropy_with_logits(module(x, noise), y)
        (loss + noise.penalty.mean()).backward()
        optimizer.step()
    assert roc_auc(y.numpy(), module(x).detach().double().numpy()) == 1.0


# ---------------------------------------------------------------------------------- formulas


def _ln(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / deviation * norm.weight + norm.bias


def _map(x, layer):
    return x @ layer.weight.T + layer.bias


def _gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def _skipped(m, x):
    return x if m.skip is None else _map(x, m.skip)


def _linear(m, x):
    return _ln(_map(x, m.map), m.norm)


def _progressive(m, x):
    x = _gelu(_ln(_map(x, m.first), m.norm))
    for layer, norm in m.later:
        x = _gelu(_ln(_map(x, layer), norm))
    return x


def _bottleneck(m, x):
    h = _ln(_map(_gelu(_ln(_map(x, m.down), m.norm1)), m.up), m.norm2)
    return h if m.norm3 is None else _ln(h + _skipped(m, x), m.norm3)


def _multihead(m, x):
    """Head by head; under "sum" every head is mapped before it is weighed."""
    heads, width = m.scale.shape
    parts = []
    for i in range(heads):
        rows = slice(i * width, (i + 1) * width)
        h = x @ m.maps.weight[rows].T + m.maps.bias[rows]
        norm = torch.nn.LayerNorm(width)
        norm.weight.data, norm.bias.data = m.scale[i].data, m.shift[i].data
        parts.append(_gelu(_ln(h, norm)))
    if m.share is None:
        return _ln(_map(torch.cat(parts, -1), m.combine), m.norm)
    shares = m.share.exp() / m.share.exp().sum()
    mapped = [p if m.combine is None else _map(p, m.combine) for p in parts]
    return _ln(sum(s * p for s, p in zip(shares, mapped, strict=True)), m.norm)


def _gated_residual(m, x):
    inner = _map(x, m.inner)
    u = torch.where(inner > 0, inner, inner.exp() - 1)
    a, g = _map(u, m.gate).chunk(2, -1)
    return _ln(a / (1 + (-g).exp()) + _skipped(m, x), m.norm)


def _attention(m, x):
    """Tokens day by day through torch's own multi-head attention."""
    width = m.map.out_features
    theirs = torch.nn.MultiheadAttention(width, m.heads, batch_first=True)
    theirs.load_state_dict({
        "in_proj_weight": m.qkv.weight, "in_proj_bias": m.qkv.bias,
        "out_proj.weight": m.out.weight, "out_proj.bias": m.out.bias,
    })  # fmt: skip
    days = []
    for day in x.flatten(0, 1):
        tokens = _map(day[:, None], m.token)
        tokens = tokens if m.positions is None else tokens + m.positions
        mixed, _ = theirs(tokens[None], tokens[None], tokens[None])
        days.append(mixed.flatten())
    h = torch.stack(days).unflatten(0, x.shape[:2])
    return _ln(_map(h, m.map), m.norm)


def _variational(m, x):
    return _ln(_map(_map(_gelu(_ln(_map(x, m.shared), m.norm1)), m.mean), m.map), m.norm2)


@every
def test_forward_pass_equals_the_formula_written_out(embedding):
    module, x = _embedding(embedding), torch.randn(3, 6, C)
    expected = globals()[f"_{embedding['kind']}"](module, x)
    torch.testing.assert_close(module(x, NoNoise(), None), expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------- counts


def _formula(kind, n, e, **options):
    """Published parameter counts."""
    if kind == "linear":
        return n * e + 3 * e
    if kind == "progressive":
        steps, ratio = options["num_layers"], (e / n) ** (1 / options["num_layers"])
        widths = [n]
        while len(widths) < steps:
            widths.append(max(int(widths[-1] * ratio), e))
        widths.append(e)
        return sum(a * b + 3 * b for a, b in pairwise(widths))
    if kind == "bottleneck":
        b = max(4, int(min(n, e) * options["compression_ratio"]))
        skip = (2 * e + (n * e + e) * (n != e)) * options["use_skip"]
        return n * b + 3 * b + b * e + 3 * e + skip
    if kind == "multihead":
        k, h = options["num_heads"], options["head_dim"] or e // options["num_heads"]
        if options["combine_method"] == "concat":
            return k * (n * h + 3 * h) + k * h * e + 3 * e
        return k * (n * h + 3 * h) + (h * e + e) * (h != e) + k + 2 * e
    if kind == "gated_residual":
        h = options["hidden_dim"] or 2 * e
        return n * h + h + h * 2 * e + 2 * e + (n * e + e) * (n != e) + 2 * e
    if kind == "attention":
        return 2 * e + n * e * options["use_position"] + 4 * e * e + 4 * e + n * e * e + 3 * e
    s, z = max(2, n // 2), max(4, min(n, e) // 4)
    return n * s + 3 * s + 2 * (s * z + z) + z * e + 3 * e


@st.composite
def _shapes(draw):
    kind, e = draw(st.sampled_from(sorted(EMBEDDINGS))), draw(st.integers(2, 40))
    options = {
        "progressive": {"num_layers": st.integers(1, 5)},
        "bottleneck": {"compression_ratio": st.floats(0.01, 0.99), "use_skip": st.booleans()},
        "multihead": {
            "num_heads": st.integers(2, 5),
            "head_dim": st.integers(2, 9) if e < 10 else st.none() | st.just(e) | st.integers(2, 9),
            "combine_method": st.sampled_from(["concat", "sum"]),
        },
        "gated_residual": {"hidden_dim": st.none() | st.integers(1, 30)},
        "attention": {
            "num_heads": st.sampled_from([n for n in range(1, e + 1) if e % n == 0]),
            "use_position": st.booleans(),
        },
        "variational": {"beta": st.floats(0, 2)},
    }.get(kind, {})
    return {"kind": kind, "width": e, **draw(st.fixed_dictionaries(options))}


@given(_shapes(), st.integers(1, 60), st.booleans())
def test_parameter_count_is_exact_and_as_published(embedding, n, revin):
    model = _model(embedding, revin=revin)
    module = build(model, n, L, torch.Generator().manual_seed(0))
    count = parameter_count(model, n, L)
    assert count == sum(p.numel() for p in module.parameters())
    e, rest = embedding["width"], dict(embedding)
    bare = parameter_count(_model("none", revin=False), e, L) + 2 * n * revin
    assert count - bare == _formula(rest.pop("kind"), n, rest.pop("width"), **rest)
    assert e == embedding["width"]


@pytest.mark.parametrize(
    "widths", [(100, 56, 32), (100, 68, 46, 32), (500, 89, 16), (500, 158, 50, 16)]
)
def test_published_progressive_widths_and_counts(widths):
    steps, n, e = len(widths) - 1, widths[0], widths[-1]
    assert progressive_widths(n, e, steps) == list(widths[1:])
    module = _embedding({"kind": "progressive", "width": e, "num_layers": steps}, n)
    expected = sum(a * b + 3 * b for a, b in pairwise(widths))
    assert sum(p.numel() for p in module.parameters()) == expected


@every
def test_multiply_adds_equal_what_torch_counts(embedding):
    """Attention between patches aside, which is left out, and maps of weights by weights."""
    model, module = _model(embedding), _built(embedding).double()
    counts = []
    for examples in (1, 2):
        counter = FlopCounterMode(display=False)  # it knows neither the fused kernel nor our loops
        with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            module(torch.randn(examples, L, C, dtype=torch.float64))
        counts.append(counter.get_total_flops())
    patches = L // 8
    left_out = 2 * patches * patches * model.d_model + patches * model.d_model  # attention, head
    counted = (counts[1] - counts[0]) / 2 - left_out
    by_vectors = 3 * L * C * embedding["width"] * (embedding["kind"] == "attention")
    assert multiply_adds(model, C, L) == counted + by_vectors


def _measured_bytes(module, x):
    saved = {}

    def note(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        module(x, _noise(module, x))
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    return sum(t.untyped_storage().nbytes() for at, t in saved.items() if at not in own)


@every
def test_activation_bytes_are_about_what_torch_saves(embedding):
    module = _built(embedding, n_features=30, context=64)
    measured = _measured_bytes(module, torch.randn(32, 64, 30)) / 32
    assert 0.5 < activation_bytes(_model(embedding), 30, 64) / measured < 2


def test_memory_of_attention_grows_with_the_columns_not_their_square():
    model = _model({"kind": "attention", "width": 8})
    few, many = (activation_bytes(model, n, L) for n in (100, 1000))
    assert many < 10.1 * few


# ---------------------------------------------------------------------------------- attention


def test_gradients_of_column_attention_are_right():
    torch.manual_seed(0)
    sizes = [(4, 5), (5, 3, 2, 3), (5, 3, 2, 3), (3, 30)]
    x, slope, shift, out = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in sizes)
    keep = (torch.rand(4, 2, 5, dtype=torch.float64) > 0.3).double()
    assert torch.autograd.gradcheck(attend_columns, (x, keep, slope, shift, out))
    assert torch.autograd.gradcheck(attend_columns, (x, keep[:1], slope, shift, out))


def test_pieces_of_days_change_nothing(monkeypatch):
    torch.manual_seed(0)
    sizes = [(9, 5), (9, 2, 5), (5, 3, 2, 3), (5, 3, 2, 3), (3, 30)]
    inputs = [torch.randn(s, dtype=torch.float64) for s in sizes]
    results = []
    for piece in (2**23, 200, 1):
        monkeypatch.setattr("trueness.models.columns.PIECE", piece)
        leaves = [t.clone().requires_grad_(i != 1) for i, t in enumerate(inputs)]
        result = attend_columns(*leaves)
        wanted = [t for t in leaves if t.requires_grad]
        results.append([result, *torch.autograd.grad(result.square().sum(), wanted)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b)


def _answers(inputs, dtype):
    """Result of column attention, and gradients of its square."""
    leaves = [t.to(dtype, copy=True).requires_grad_(i != 1) for i, t in enumerate(inputs)]
    result = attend_columns(*leaves)
    wanted = [t for t in leaves if t.requires_grad]
    return [result.detach(), *torch.autograd.grad(result.square().sum(), wanted)]


def _column_inputs(days, n, heads, k, rows, size=1.0):
    g = torch.Generator().manual_seed(k)
    sizes = [(days, n), (rows, heads, n), *[(n, 3, heads, k)] * 2, (3, n * heads * k)]
    x, keep, slope, shift, out = (torch.randn(s, generator=g, dtype=torch.float64) for s in sizes)
    return [t.float() for t in (x, (keep > 0) * 2.0, slope * size, shift * size, out)]


@pytest.mark.parametrize("k", [1, 2, 4, 5, 8])
@pytest.mark.parametrize("rows", [1, 37])
def test_compiled_attention_equals_torch_in_float64(k, rows):
    inputs = _column_inputs(37, 29, 2, k, rows)
    for ours, exact in zip(_answers(inputs, torch.float32), _answers(inputs, torch.float64),
                           strict=True):  # fmt: skip
        assert (ours - exact).abs().max() < 5e-6 * exact.abs().max()


def test_compiled_attention_survives_scores_of_thousands():
    inputs = _column_inputs(5, 29, 2, 4, 1, size=60.0)
    ours, exact = _answers(inputs, torch.float32), _answers(inputs, torch.float64)
    assert torch.isfinite(torch.cat([t.flatten() for t in ours])).all()
    torch.testing.assert_close(ours[0].double(), exact[0], rtol=0.01, atol=0.01 * exact[0].std())


def test_a_missing_number_spoils_its_own_day_only():
    inputs = _column_inputs(40, 29, 2, 4, 1)
    clean = _answers(inputs, torch.float32)[0]
    inputs[0][17, 3] = torch.nan
    actual = _answers(inputs, torch.float32)
    assert actual[0][17].isnan().all()
    others = torch.arange(40) != 17
    assert torch.equal(actual[0][others], clean[others])
    assert all(actual[i].isnan().any() for i in (2, 3))


def test_attention_is_the_same_with_any_number_of_threads():
    inputs, before = _column_inputs(70, 29, 2, 4, 70), torch.get_num_threads()
    inputs[4] = torch.eye(29 * 2 * 4)  # products with it are exact in any order
    answers = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            answers.append(_answers(inputs, torch.float32)[:4])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_attention_drops_value_rows_and_keeps_the_mean():
    """A column without a value row passes nothing on; over many draws the mixture is unchanged."""
    module, x = _embedding({"kind": "attention", "width": 8}), torch.randn(1, 1, C)
    slope, shift = module._per_column(C, None)
    out, _ = module._after()
    plain = attend_columns(x[0], torch.ones(1, 4, C), slope, shift, out)
    noise = _noise(lambda x, noise: module(x, noise, None), x.expand(20_000, 1, C), 0.5)
    keep = noise.drop(torch.ones(20_000, 4, C))
    drawn = attend_columns(x[0].expand(20_000, C), keep, slope, shift, out)
    torch.testing.assert_close(drawn.mean(0), plain[0], rtol=0.05, atol=0.05)
    assert not attend_columns(x[0], torch.zeros(1, 4, C), slope, shift, out).any()


# ---------------------------------------------------------------------------------- variational


def test_normal_numbers_are_standard_and_finite():
    draws = torch.randint(0, 256, (2, 600_000), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(0))  # fmt: skip
    draws[0, :3], draws[0, 3:6] = 0, 255
    noise = Noise(draws, torch.zeros(2, dtype=torch.uint8), torch.ones(2))
    z = noise.normal(torch.empty(2, 200_000)).double()
    assert noise.used == 600_000
    assert z[0, 0] == -z[0, 1]
    assert 5.2 < z[0, 1] < 5.5
    sample = np.sort(z.flatten().numpy())
    assert abs(sample.mean()) < 0.01
    assert abs(sample.std() - 1) < 0.01
    ranks = (np.arange(len(sample)) + 0.5) / len(sample)
    cdf = 0.5 * (1 + torch.erf(torch.from_numpy(sample) / math.sqrt(2))).numpy()
    assert np.abs(cdf - ranks).max() < 0.004  # Kolmogorov-Smirnov, 1 % point 0.0026


def test_penalty_is_beta_times_the_divergence_from_the_standard_normal():
    shape = {"kind": "variational", "width": 20, "beta": 0.5}
    module, x = _embedding(shape), torch.randn(4, L, C)
    noise = _noise(lambda x, noise: module(x, noise, None), x, 0.0)
    module(x, noise, None)
    h = _gelu(_ln(_map(x, module.shared), module.norm1))
    mean, deviation = _map(h, module.mean), (_map(h, module.spread) / 2).exp()
    days = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0, 1)
    ).sum(-1)
    torch.testing.assert_close(noise.penalty, 0.5 * days.mean(1), rtol=1e-4, atol=1e-5)
    assert (noise.penalty > 0).all()


# ---------------------------------------------------------------------------------- spec


@pytest.mark.parametrize(
    ("embedding", "words"),
    [
        ({"kind": "progressive"}, "width"),
        ("bottleneck", "width"),
        ({"kind": "progressive", "width": 4, "num_layers": 0}, "num_layers"),
        ({"kind": "bottleneck", "width": 4, "compression_ratio": 1}, "compression_ratio"),
        ({"kind": "bottleneck", "width": 4, "compression_ratio": 0}, "compression_ratio"),
        ({"kind": "multihead", "width": 7}, "at most 3 heads"),
        ({"kind": "multihead", "width": 8, "head_dim": 1}, "head_dim"),
        ({"kind": "linear", "width": 1}, "width"),
        ({"kind": "multihead", "width": 8, "num_heads": 1, "combine_method": "sum"}, "more heads"),
        ({"kind": "multihead", "width": 8, "combine_method": "mean"}, "'concat' or 'sum'"),
        ({"kind": "attention", "width": 6}, "choose from 1, 2, 3, 6"),
        ({"kind": "variational", "width": 6, "beta": -1}, "beta"),
        ({"kind": "fourier", "width": 6}, "'gated_residual', 'attention', 'variational'"),
    ],
)
def test_refuses(embedding, words):
    with pytest.raises(ValidationError, match=words):
        Embedding.validated(embedding)


def _spec(embedding):
    task = {"kind": "market", "bars": "3b9c6f0d5a1e", "tier": "a100"}
    model = {"kind": "patchtst", "embedding": embedding}
    return Spec.model_validate(
        {"task": task, "model": model, "evaluation": {"protocol": "holdout"}}
    )


def test_labels_and_keys_tell_the_variants_apart():
    specs = [_spec(embedding) for embedding in [*VARIANTS, "none"]]
    assert len({s.label() for s in specs}) == len({s.key for s in specs}) == len(specs)
    assert _spec({"kind": "linear", "width": 32}).label() == "a100 · PatchTST d128×4, emb 32"
    wide = {"kind": "progressive", "width": 32}
    assert _spec(wide).label() == "a100 · PatchTST d128×4, emb progressive 32"
    assert _spec({**wide, "num_layers": 2}).label().endswith("emb progressive 32 num_layers 2")


def test_what_is_implied_may_be_written_without_another_key():
    head = {"kind": "multihead", "width": 9, "num_heads": 4}
    gate = {"kind": "gated_residual", "width": 9}
    assert (
        _spec(head).key == _spec({**head, "head_dim": 2}).key != _spec({**head, "head_dim": 3}).key
    )
    assert _spec(gate).key == _spec({**gate, "hidden_dim": 18}).key
