"""The title classifier against formulas written out by loops, and contracts of its heads."""

import cmath
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trueness.errors import SpecError
from trueness.models import (
    build_titles,
    titles_flops,
    titles_parameter_count,
)
from trueness.models.encoder import Attention, EncoderBlock, drop_path, rotary_tables, rotate
from trueness.models.heads import HEADS
from trueness.spec import titles

HEAD_SPECS = {
    "plain": {"kind": "plain"},
    "residual": {"kind": "residual", "hidden": 20},
    "without residual": {"kind": "residual", "hidden": 0, "residual": False},
}
VOCABULARY, CLASSES = 50, 5


def _model(**changes):
    small = {"kind": "encoder", "d_model": 24, "n_layers": 3, "n_heads": 6, "n_kv_heads": 2}
    return titles.Encoder.model_validate({**small, "d_ff": 40, **changes})


def _built(model, seed=0):
    return build_titles(model, VOCABULARY, CLASSES, torch.Generator().manual_seed(seed))


def _loud(module, seed=0):
    """Weights far from the start, where LayerScale would hide every branch."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(1.0 if p.dim() == 1 else 0.0, 0.4, generator=generator)
    return module.double().eval()


def _texts(lengths, width=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    tokens = torch.randint(0, VOCABULARY, (len(lengths), width), generator=generator)
    return tokens, torch.arange(width) < torch.tensor(lengths)[:, None]


# -------------------------------------------------------------------------------------- sizes


# text.md, section 4.1, six classes and the vocabulary of the published tokenizer
@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (80_034_054, {"head": "plain"}),
        (80_182_662, {"head": {"kind": "residual", "hidden": 384}}),
        (80_182_662, {"head": {"kind": "residual", "hidden": 0}}),
        (80_281_094, {"head": {"kind": "residual", "hidden": 512}}),
        (80_477_958, {}),
        (80_674_822, {"head": {"kind": "residual", "hidden": 1024}}),
        (80_445_830, {"head": {"kind": "residual", "hidden": 512}, "projection": {}}),
    ],
)
def test_published_parameter_counts(count, changes):
    model = titles.Encoder.model_validate({"kind": "encoder", **changes})
    assert titles_parameter_count(model, 151_669, 6) == count


@given(
    st.integers(1, 3), st.sampled_from([(2, 1), (2, 2), (6, 3)]), st.integers(1, 30), st.sampled_from(list(HEAD_SPECS)),
    st.booleans(), st.integers(2, 9), st.integers(1, 60),
)  # fmt: skip
@settings(max_examples=20)
def test_parameter_count_is_that_of_the_network(layers, heads, ff, head, projected, classes, words):
    model = _model(
        n_layers=layers, n_heads=heads[0], n_kv_heads=heads[1], d_ff=ff, head=HEAD_SPECS[head],
        projection={"width": 7} if projected else None,
    )  # fmt: skip
    module = build_titles(model, words, classes, torch.Generator().manual_seed(0))
    assert titles_parameter_count(model, words, classes) == sum(
        p.numel() for p in module.parameters()
    )


@pytest.mark.parametrize("head", HEAD_SPECS)
def test_operations_are_those_that_torch_counts(head):
    model, (tokens, mask) = _model(head=HEAD_SPECS[head], projection={}), _texts([9, 9, 9, 9])
    module = _built(model).eval()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        module(tokens, mask)
    assert titles_flops(model, VOCABULARY, CLASSES, 9) * 4 == counter.get_total_flops()


# -------------------------------------------------------------------------------------- start


def test_same_generator_same_weights_and_no_global_randomness():
    model, before = _model(projection={}), torch.random.get_rng_state()
    one, two, other = _built(model), _built(model), _built(model, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.embedding.weight, other.embedding.weight)
    assert not torch.equal(one.head.out.weight, other.head.out.weight)


def test_a_projection_changes_no_other_initial_weight():
    with_, without = _built(_model(projection={})), _built(_model())
    for name, p in without.named_parameters():
        assert torch.equal(p, with_.get_parameter(name)), name


def test_initial_distributions():
    module = build_titles(
        titles.Encoder(kind="encoder", n_layers=2), 2000, 6, torch.Generator().manual_seed(0)
    )
    for name, p in module.named_parameters():
        if name.startswith("head"):
            continue
        if p.dim() == 2:
            assert p.std().item() == pytest.approx(0.02, rel=0.02), name
            assert abs(p.mean().item()) < 2e-4, name
        else:
            assert (p == (0.01 if "scale" in name else 1.0)).all(), name
    for layer in (module.head.up, module.head.down, module.head.out):
        bound = 1 / math.sqrt(layer.in_features)
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("head", HEAD_SPECS)
@pytest.mark.parametrize("pooler", ["mean", "first"])
def test_every_parameter_gets_a_gradient_and_moves(head, pooler):
    torch.manual_seed(0)  # a rectified unit may be silent for all of five texts
    model = _model(head=HEAD_SPECS[head], pooler=pooler, projection={"width": 8})
    module = _built(model)
    before = [p.clone() for p in module.parameters()]
    tokens = torch.arange(VOCABULARY).reshape(5, 10)
    if pooler == "first":  # no token may be seen by keys alone, which is little at the start
        tokens = torch.stack([torch.roll(tokens.flatten(), i)[:10] for i in range(VOCABULARY)])
    pooled = module.pooled(tokens, torch.ones_like(tokens, dtype=torch.bool))
    aim = torch.randn(len(tokens), 8)
    (F.cross_entropy(module.classify(pooled), torch.arange(len(tokens)) % CLASSES)
     + (module.project(pooled) * aim).mean()).backward()  # fmt: skip
    torch.optim.SGD(module.parameters(), lr=1e4).step()
    for (name, p), old in zip(module.named_parameters(), before, strict=True):
        assert (p.grad.abs().sum(-1) > 0).all(), name
        assert not torch.equal(p, old), name


# ------------------------------------------------------------------------------------ formulas


@given(st.integers(1, 4), st.integers(1, 9), st.sampled_from([10.0, 1e4, 1e6]))
@settings(max_examples=20)
def test_rotation_is_a_product_of_complex_numbers(half, length, base):
    generator = torch.Generator().manual_seed(half)
    x = torch.randn(2, length, 3, 2 * half, dtype=torch.float64, generator=generator)
    tables = rotary_tables(length, 2 * half, base, dtype=torch.float64, device=x.device)
    turned = rotate(x, *tables)
    for b, t, h, i in np.ndindex(2, length, 3, half):
        z = complex(x[b, t, h, i], x[b, t, h, i + half])
        z *= cmath.exp(1j * t * base ** (-2 * i / (2 * half)))
        assert abs(complex(turned[b, t, h, i], turned[b, t, h, i + half]) - z) < 1e-12


def test_rotated_products_know_only_the_distance():
    q, k = torch.randn(2, 64, dtype=torch.float64).unbind()
    tables = rotary_tables(40, 64, 1e6, dtype=torch.float64, device=q.device)
    turned = [rotate(x.expand(1, 40, 1, 64), *tables)[0, :, 0] for x in (q, k)]
    products = turned[0] @ turned[1].T
    for distance in range(-39, 40):
        along = products.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along))
    assert products[0].unique().numel() == 40


@pytest.mark.parametrize(("heads", "groups"), [(6, 2), (6, 6), (4, 1), (1, 1)])
def test_attention_equals_loops_over_heads_and_positions(heads, groups):
    model = _model(n_heads=heads, n_kv_heads=groups)
    module = _loud(Attention(model, torch.Generator())).requires_grad_(False)
    width, h = 24 // heads, torch.randn(2, 5, 24, dtype=torch.float64)
    visible = torch.tensor([[True] * 5, [True, True, True, False, False]])
    still = torch.ones(5, width // 2).double(), torch.zeros(5, width // 2).double()
    actual = module(h, visible[:, None, None], *still)
    rows = module.qkv.weight.split([24, groups * width, groups * width])
    q, k, v = ((h @ w.T).unflatten(-1, (-1, width)) for w in rows)
    for b, t in np.ndindex(2, 5):
        mixed = torch.zeros(heads, width, dtype=torch.float64)
        for head in range(heads):
            group = head // (heads // groups)  # consecutive heads share
            seen = [s for s in range(5) if visible[b, s]]
            scores = [float(q[b, t, head] @ k[b, s, group]) / math.sqrt(width) for s in seen]
            shares = np.exp(scores) / np.exp(scores).sum()
            for s, share in zip(seen, shares, strict=True):
                mixed[head] += share * v[b, s, group]
        torch.testing.assert_close(actual[b, t], module.out.weight @ mixed.flatten())


def _rms(x, weight, eps):
    return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def _reference_encoder(module, model, ids):
    """One text (T,) without padding to (T, d): text.md, section 4, step by step."""
    d, eps, width = model.d_model, model.norm_eps, model.d_model // model.n_heads
    h = _rms(math.sqrt(d) * module.embedding.weight[ids], module.norm_in.weight, eps)
    turn = torch.arange(len(ids))[:, None] * model.rope_base ** (
        -torch.arange(0, width, 2).double() / width
    )
    turn = torch.polar(torch.ones_like(turn), turn)
    for block in module.blocks:
        x = _rms(h, block.norm1.weight, eps)
        sizes = [d, model.n_kv_heads * width, model.n_kv_heads * width]
        q, k, v = (
            (x @ w.T).reshape(len(ids), -1, width).transpose(0, 1)
            for w in block.attention.qkv.weight.split(sizes)
        )
        q, k = (torch.complex(*part.chunk(2, -1)) * turn for part in (q, k))
        q, k = (torch.cat((part.real, part.imag), -1) for part in (q, k))
        times = model.n_heads // model.n_kv_heads
        k, v = (part.repeat_interleave(times, 0) for part in (k, v))
        mixed = (q @ k.transpose(1, 2) / math.sqrt(width)).softmax(-1) @ v
        mixed = mixed.transpose(0, 1).reshape(len(ids), d) @ block.attention.out.weight.T
        h = h + block.scale1 * mixed
        x = _rms(h, block.norm2.weight, eps)
        gate, up = block.feed_forward.gate_up.weight.split(model.d_ff)
        inner = (x @ gate.T) * torch.sigmoid(x @ gate.T) * (x @ up.T)
        h = h + block.scale2 * (inner @ block.feed_forward.down.weight.T)
    return _rms(h, module.norm_out.weight, eps)


def _gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def _map(layer, x):
    return x @ layer.weight.T + layer.bias


def _reference_head(head, spec, x):
    if spec.kind == "plain":
        return _map(head[4], _gelu(_map(head[1], x)))
    r = _rms(x, head.norm_in.weight, spec.norm_eps)
    u = _map(head.down, _gelu(_map(head.up, r))) + (r if spec.residual else 0)
    return _map(head.out, _rms(u, head.norm_out.weight, spec.norm_eps))


@pytest.mark.parametrize("head", HEAD_SPECS)
@pytest.mark.parametrize("pooler", ["mean", "first"])
def test_the_whole_network_equals_the_published_steps(head, pooler):
    model = _model(head=HEAD_SPECS[head], pooler=pooler, projection={"width": 8})
    module, (tokens, mask) = _loud(_built(model)), _texts([7, 3, 1, 5])
    logits, points = module(tokens, mask), module.project(module.pooled(tokens, mask))
    for b in range(4):
        h = _reference_encoder(module, model, tokens[b, mask[b]])
        x = h[0] if pooler == "first" else h.mean(0)
        expected = _reference_head(module.head, model.head, x)
        torch.testing.assert_close(logits[b], expected, rtol=1e-9, atol=1e-9)
        norm, first, _, _, second = module.projection.map
        z = _map(second, _gelu(_map(first, _rms(x, norm.weight, model.norm_eps))))
        torch.testing.assert_close(points[b], z / z.norm(), rtol=1e-9, atol=1e-9)


def test_heads_are_those_of_the_spec():
    assert set(HEADS) == {spec["kind"] for spec in HEAD_SPECS.values()}


def test_points_have_unit_length_and_need_a_projection():
    tokens, mask = _texts([4, 2])
    module = _built(_model(projection={"width": 8}))
    torch.testing.assert_close(
        module.project(module.pooled(tokens, mask)).norm(dim=1), torch.ones(2)
    )
    module = _built(_model())
    with pytest.raises(SpecError, match="no projection; set model"):
        module.project(module.pooled(tokens, mask))


# ------------------------------------------------------------------------------------- padding


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 30), st.integers(0, 9))
@settings(max_examples=25)
def test_logits_depend_neither_on_padding_nor_on_the_batch(lengths, spare, seed):
    module = _loud(_built(_model())).float()
    tokens, mask = _texts(lengths, max(lengths) + spare, seed)
    logits = module(tokens, mask)
    for row, length in enumerate(lengths):
        alone = tokens[row : row + 1, :length]
        expected = module(alone, torch.ones_like(alone, dtype=torch.bool))
        torch.testing.assert_close(logits[row : row + 1], expected, rtol=1e-5, atol=1e-5)
    other = torch.where(mask, tokens, (tokens + 1) % VOCABULARY)
    torch.testing.assert_close(module(other, mask), logits, rtol=1e-5, atol=1e-5)


def test_real_size_is_padding_invariant():
    module = build_titles(titles.Encoder(kind="encoder"), VOCABULARY, 6, torch.Generator()).eval()
    tokens, mask = _texts([5, 17], 256)
    with torch.no_grad():
        wide, narrow = module(tokens, mask), module(tokens[:, :24], mask[:, :24])
    torch.testing.assert_close(wide, narrow, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pooler", ["mean", "first"])
def test_a_text_without_tokens_harms_nobody(training, pooler):
    module = _built(_model(pooler=pooler, projection={})).train(training)
    tokens, mask = _texts([4, 0, 2], 6)
    seen = []
    module.blocks[0].register_forward_hook(lambda _m, given, _out: seen.append(given[1]))
    pooled = module.pooled(tokens, mask)
    assert seen[0].any(-1).all()  # kernels differ in what they make of no key at all
    assert pooler == "first" or (pooled[1] == 0).all()
    (module.classify(pooled).sum() + module.project(pooled).sum()).backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())
    module.eval()
    torch.testing.assert_close(module(tokens, mask)[[0, 2]], module(tokens[[0, 2]], mask[[0, 2]]))


def test_the_order_of_words_matters():
    module = _loud(_built(_model()))
    tokens, mask = torch.tensor([[1, 2, 3], [3, 2, 1]]), torch.ones(2, 3, dtype=torch.bool)
    one, two = module(tokens, mask)
    assert (one - two).abs().max() > 1e-3


# ------------------------------------------------------------------------------------ training


def test_evaluation_is_deterministic_and_training_draws_from_the_global_generator():
    module, (tokens, mask) = _built(_model(layer_scale=1.0)), _texts([6, 3])
    module.eval()
    before = torch.random.get_rng_state()
    assert torch.equal(module(tokens, mask), module(tokens, mask))
    assert torch.equal(torch.random.get_rng_state(), before)
    module.train()
    torch.manual_seed(0)
    first = module(tokens, mask)
    assert not torch.equal(module(tokens, mask), first)
    torch.manual_seed(0)
    assert torch.equal(module(tokens, mask), first)
    rates = {"dropout": 0.0, "drop_path": 0.0, "head": {"kind": "plain", "dropout": 0.0}}
    still = _built(_model(**rates))
    assert torch.equal(still(tokens, mask), still.eval()(tokens, mask))


@pytest.mark.parametrize(("layers", "rates"), [(5, [0, 0.05, 0.1, 0.15, 0.2]), (1, [0])])
def test_paths_are_dropped_at_rates_that_rise_linearly(layers, rates):
    blocks = _built(_model(n_layers=layers, drop_path=0.2)).blocks
    assert [block.drop_path for block in blocks] == pytest.approx(rates)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropped_paths_are_whole_rows_and_keep_the_mean(rate):
    torch.manual_seed(0)
    h = torch.ones(40_000, 2, 3)
    dropped = drop_path(h, rate, training=True)
    assert torch.equal(dropped.amin((1, 2)), dropped.amax((1, 2)))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - rate)])
    deviation = math.sqrt(rate / (1 - rate) / 40_000)
    assert abs(dropped.mean().item() - 1) < 5 * deviation
    assert drop_path(h, rate, training=False) is h


def test_each_branch_of_a_block_is_dropped_by_itself():
    torch.manual_seed(0)
    block = EncoderBlock(_model(dropout=0.0, layer_scale=1.0), 0.5, torch.Generator()).train()
    tables = rotary_tables(3, 4, 1e6, dtype=torch.float32, device=torch.device("cpu"))
    h = torch.randn(1, 3, 24).expand(64, 3, 24)
    out = block(h, torch.ones(64, 1, 1, 3, dtype=torch.bool), *tables)
    kinds = {tuple(row.flatten().mul(1e4).round().tolist()) for row in out.detach()}
    assert len(kinds) == 4  # neither, one, the other, both
    assert torch.equal(out, h) is False
    assert any(torch.equal(row, h[0]) for row in out)


def test_dropout_falls_on_embedding_and_attention():
    still = {"drop_path": 0.0, "head": {"kind": "plain", "dropout": 0.0}}
    tokens, mask = _texts([6, 3])
    module = _built(_model(layer_scale=1e-30, **still))  # blocks pass everything by
    assert not torch.equal(module(tokens, mask), module.eval()(tokens, mask))
    h, visible = torch.randn(2, 5, 24), torch.ones(2, 1, 1, 5, dtype=torch.bool)
    tables = rotary_tables(5, 4, 1e6, dtype=torch.float32, device=h.device)
    for rate in (0.0, 0.5):
        attention = Attention(_model(dropout=rate), torch.Generator()).train()
        noisy, exact = (attention.train(on)(h, visible, *tables) for on in (True, False))
        assert torch.allclose(noisy, exact, atol=1e-6) == (rate == 0)


@pytest.mark.parametrize(("head", "widths"), [("plain", [24, 24]), ("residual", [20, 24, 24])])
def test_dropout_of_heads_stands_where_published(head, widths):
    module, seen = _built(_model(head=HEAD_SPECS[head])).head, []
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.register_forward_hook(lambda _m, given, _out: seen.append(given[0].shape[1]))
    module(torch.randn(2, 24))
    assert seen == widths


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("training", [True, False])
def test_autocast_keeps_logits_in_full_precision(dtype, training):
    model = _model(dropout=0.0, drop_path=0.0, projection={"dropout": 0.0}, head={"kind": "residual", "dropout": 0.0})  # fmt: skip
    module, (tokens, mask) = _loud(_built(model)).float().train(training), _texts([12, 5, 1])
    exact = module(tokens, mask)
    with torch.autocast("cpu", dtype=dtype):
        pooled = module.pooled(tokens, mask)
        logits, points = module.classify(pooled), module.project(pooled)
    assert {x.dtype for x in (pooled, logits, points)} == {torch.float32}
    assert not torch.equal(logits, exact)
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())
    torch.testing.assert_close(points.norm(dim=1), torch.ones(3))
    logits.sum().backward()
    assert module.embedding.weight.grad.dtype == torch.float32


def test_a_toy_language_is_learnt():
    """The class is the one marked word of a text, wherever it stands."""
    torch.manual_seed(0)
    module = _built(_model(n_layers=2, d_model=48, n_heads=4, layer_scale=0.1))
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)

    def batch(n):
        lengths = torch.randint(1, 9, (n,)).tolist()
        tokens, mask = _texts(lengths, 8, seed=int(torch.randint(10**6, ())))
        tokens, y = tokens % (VOCABULARY - CLASSES), torch.randint(0, CLASSES, (n,))
        where = torch.tensor([int(torch.randint(k, ())) for k in lengths])
        tokens[torch.arange(n), where] = VOCABULARY - CLASSES + y
        return tokens, mask, y

    for _ in range(60):
        tokens, mask, y = batch(64)
        optimizer.zero_grad()
        F.cross_entropy(module(tokens, mask), y).backward()
        optimizer.step()
    tokens, mask, y = batch(200)
    assert (module.eval()(tokens, mask).argmax(1) == y).float().mean() > 0.95


# ------------------------------------------------------------------------------------ elsewhere


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_network_can_be_exported_with_free_batch_and_length(tmp_path):
    import onnxruntime

    module, (tokens, mask) = _loud(_built(_model())).float(), _texts([11, 4, 7])
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=4096)}
    torch.onnx.export(
        module, (tokens, mask), tmp_path / "model.onnx", dynamo=True, verbose=False,
        input_names=["tokens", "mask"], output_names=["logits"], dynamic_shapes=(free, free),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for lengths, width in (([1], 1), ([2, 3], 3), ([40, 1, 0, 17], 40)):
        tokens, mask = _texts(lengths, width)
        (logits,) = session.run(None, {"tokens": tokens.numpy(), "mask": mask.numpy()})
        expected = module(tokens, mask).detach().numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_logits_and_gradients_agree_between_devices():
    """On CUDA keys and values are spread over the query heads before the fused kernel."""
    module, (tokens, mask) = _loud(_built(_model(d_model=48))).float(), _texts([11, 4, 0, 7])
    expected = module(tokens, mask)
    expected.square().sum().backward()
    gradient = module.embedding.weight.grad.clone()
    module.zero_grad()
    logits = module.cuda()(tokens.cuda(), mask.cuda())
    logits.square().sum().backward()
    torch.testing.assert_close(logits.cpu(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(module.embedding.weight.grad.cpu(), gradient, rtol=1e-2, atol=1e-2)
