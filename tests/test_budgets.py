"""Budgets are met by true counts, or refused with the nearest count that can be had."""

import contextlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trueness.errors import SpecError
from trueness.models import activation_bytes, build, member_bytes, parameter_count
from trueness.models.budgets import (
    LABELS,
    label_space,
    one_per_width,
    parse_budget,
    refuse_on_cpu,
    shape_rows,
    shapes_within,
)
from trueness.spec.embedding import AttentionEmbedding, LinearEmbedding, ProgressiveEmbedding
from trueness.spec.model import PatchTST


def _built(shape):
    module = build(shape.model, shape.n_features, shape.context, torch.Generator().manual_seed(0))
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("budget", ["750k", "2M", "20M", "200M", "2B"])
@pytest.mark.parametrize(("columns", "embedding"), [(50, "none"), (500, {"kind": "linear", "width": 32})])  # fmt: skip
def test_every_solved_shape_meets_its_budget(budget, columns, embedding):
    if isinstance(embedding, dict):
        embedding = LinearEmbedding.model_validate(embedding)
    shapes = shapes_within(budget, columns, 80, embedding)
    assert len(one_per_width(shapes)) >= 4
    for shape in shapes:
        model, size = shape.model, parse_budget(budget)
        assert shape.parameters == parameter_count(model, columns, 80)
        assert abs(shape.parameters / size - 1) <= 0.1
        assert shape.deviation_pct == pytest.approx(100 * (shape.parameters / size - 1))
        assert model.n_heads in shape.heads
        assert all(model.d_model % k == 0 for k in shape.heads)
        assert 1 <= model.d_ff / model.d_model <= 8
    aspects = [s.model.n_layers / s.model.d_model for s in shapes]
    assert aspects == sorted(aspects)


def test_most_shapes_are_exact_and_really_built_ones_have_that_many_weights():
    shapes = shapes_within("750k", 50, 80)
    assert sum(abs(s.deviation_pct) < 1 for s in shapes) > len(shapes) / 2
    for shape in shapes:
        assert _built(shape) == shape.parameters


embeddings = st.one_of(
    st.just("none"),
    st.builds(lambda e: LinearEmbedding(kind="linear", width=e), st.integers(2, 40)),
    st.builds(lambda e, n: ProgressiveEmbedding(kind="progressive", width=e, num_layers=n), st.integers(2, 40), st.integers(1, 3)),
    st.builds(lambda e: AttentionEmbedding(kind="attention", width=4 * e), st.integers(1, 4)),
)  # fmt: skip


@settings(max_examples=30)
@given(
    st.integers(20_000, 1_000_000), st.integers(1, 120), st.integers(16, 100), embeddings,
    st.lists(st.integers(4, 130), min_size=1, max_size=4), st.booleans(), st.integers(1, 16),
    st.integers(1, 12),
)  # fmt: skip
def test_any_window_embedding_and_width_is_counted_right_or_refused(
    budget, columns, context, embedding, widths, revin, patch, stride
):
    base = PatchTST(kind="patchtst", revin=revin, patch_length=patch, stride=stride)
    shapes = []
    with contextlib.suppress(SpecError):
        shapes = shapes_within(budget, columns, context, embedding, base=base, widths=widths)
    for shape in shapes:
        assert abs(_built(shape) / budget - 1) <= 0.1
        assert (shape.model.revin, shape.model.patch_length) == (revin, patch)
        assert shape.model.d_model in widths


def test_a_budget_smaller_than_the_embedding_names_the_nearest_count():
    wide = AttentionEmbedding(kind="attention", width=64)
    with pytest.raises(SpecError, match=r"500 columns, attention embedding.*nearest.* 2,\d{3},\d{3} par.*larger budget"):  # fmt: skip
        shapes_within("750k", 500, 80, wide)
    with pytest.raises(SpecError, match="smaller budget"):
        shapes_within("900B", 50, 80)
    with pytest.raises(SpecError, match="widen the grids"):
        shapes_within("2M", 50, 80, widths=[64], depths=[20])
    with pytest.raises(SpecError, match="16 rows, one patch"):
        shapes_within("2M", 50, 10)


@pytest.mark.parametrize(("text", "size"), [("2M", 2_000_000), ("2m", 2_000_000), ("750k", 750_000), (" 1.5M ", 1_500_000), ("2B", 2 * 10**9), (2048, 2048), ("2048", 2048)])  # fmt: skip
def test_budgets_are_read(text, size):
    assert parse_budget(text) == size


@pytest.mark.parametrize("text", ["", "M", "-2M", "0", "0k", "two", "2MM", "2 M", "nan", "1e6", "inf", "1.0000001k", True, None, 2.5, "label:2M", "9" * 40])  # fmt: skip
def test_other_budgets_are_refused(text):
    with pytest.raises(SpecError):
        parse_budget(text)


def test_large_networks_need_a_gpu_and_small_ones_do_not():
    (huge, *_), (small, *_) = shapes_within("2B", 50, 80), shapes_within("2M", 50, 80)
    with pytest.raises(SpecError, match=r"one member needs about 5\d GB.*--device cuda"):
        refuse_on_cpu(huge, "cpu")
    refuse_on_cpu(huge, "cuda:0")
    refuse_on_cpu(small, "cpu")


def test_memory_of_a_deep_network_is_found_on_shallow_ones():
    for shape in shapes_within("2M", 50, 80)[::10]:
        kept = activation_bytes(shape.model, 50, 80)
        assert shape.memory_bytes(128) == member_bytes(shape.parameters, 128, kept)
    (row,) = shape_rows(shapes_within("2M", 50, 80)[:1])
    assert {"d_model", "n_layers", "d_ff", "heads", "parameters", "deviation_pct"} < set(row)


def test_published_spaces_keep_their_levels_and_do_not_reach_their_names():
    for name in ("label:2M", "label:20M", "label:200M"):
        space = label_space(name)
        assert "not a size" in space.note
        largest = PatchTST(
            kind="patchtst", d_model=max(space.levels["d_model"]), n_heads=8,
            n_layers=max(space.levels["n_layers"]), d_ff=4 * max(space.levels["d_model"]),
        )  # fmt: skip
        assert parameter_count(largest, 205, 80) < 0.6 * parse_budget(name[6:])
    assert label_space("2m") == label_space("label:2M")
    assert set(LABELS) == {"2M", "20M", "200M"}
    with pytest.raises(SpecError, match="choose from label:2M, label:20M, label:200M"):
        label_space("label:2B")
