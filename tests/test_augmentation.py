"""Augmentation, selection and curricula, against plain formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.switches import BY_LOSS, BY_VOLATILITY, CPU, PAIR, L, scores, spec_of, switch_examples
from trueness.fit import fit_stack
from trueness.fit.changes import Mixture
from trueness.fit.curriculum import by_confidence, by_loss, orders
from trueness.fit.member import Member, MemberState
from trueness.fit.selecting import chosen_by_another, doubted
from trueness.models import Noise, build
from trueness.models.augmentation import Augment
from trueness.spec.training import (
    TRANSFORMS,
)


@pytest.fixture(scope="module")
def examples():
    return switch_examples()


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
    objective = Objective([spec_of().loss], [0.2], "cpu")
    loss = batch_loss(objective, answer, y, real, mixture, "none", torch.zeros(1, 2))
    target = mixture.weight * y + (1 - mixture.weight) * y.gather(1, mixture.partner)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(loss[0], expected)


def test_a_network_sees_changed_windows_in_training_alone(examples):
    """After RevIN a factor is not cancelled, and scores never depend on the augmentation."""
    spec = spec_of("recipe.augmentation", {"scale": 0.9, "probability": 1.0})
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
    confidence = spec_of("recipe.selection", "confidence").recipe.selection
    assert confidence.at(4, 50)[0] == 0
    assert confidence.at(5, 50) == pytest.approx((0.3, 0.1))
    teaching = spec_of(recipe={"selection": "coteaching"}, **PAIR).recipe.selection
    rates = [teaching.at(epoch, 50)[0] for epoch in range(7)]
    assert rates == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.2])


def test_networks_side_by_side_are_averaged(examples):
    spec = spec_of("model.networks", 2)
    module = build(spec.model, 4, L, torch.Generator().manual_seed(0)).eval()
    x = torch.from_numpy(examples.x[:9].copy())
    each = torch.stack([net(x) for net in module.networks]).sigmoid().mean(0)
    torch.testing.assert_close(module(x).sigmoid(), each)
    assert not torch.allclose(module.networks[0](x), module.networks[1](x))


# -------------------------------------------------------------------------------------- curricula


def _state(examples, **curriculum):
    spec = spec_of("recipe.curriculum", {"kind": "loss", **curriculum})
    state = MemberState.begin(Member(spec, 0), examples, "cpu")
    state.order = state.train[::-1].copy()
    return state


def test_an_epoch_holds_the_easiest_and_grows(examples):
    state, sizes = _state(examples, start=0.2, growth=0.3), []
    for _ in range(4):
        rows = state.batches()
        assert rows.shape == (state.steps, 32)
        rows = rows[rows >= 0]
        sizes.append(len(rows))
        assert set(rows) == set(state.order[: len(rows)])
        state.history.append({})
    assert sizes == [30, 75, 120, 150]
    assert state.mean_steps == pytest.approx((1 + 3 + 4) / 3)


def test_difficulty_by_loss_by_confidence_and_by_volatility(examples):
    logits, y = np.array([3.0, -1.0, 0.1]), np.array([1, 1, 0], np.uint8)
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(by_loss(logits, y), -np.log(np.where(y == 1, p, 1 - p)))
    np.testing.assert_allclose(by_confidence(logits, y), 1 - np.maximum(p, 1 - p))
    member = Member(spec_of("recipe.curriculum", BY_VOLATILITY), 0)
    (order,) = orders(examples, [member], lambda members: []).values()
    spread = [examples.series[i : i + L, 1].std() for i in order]
    assert (np.diff(spread) >= -1e-6).all()
    hardest = Member(spec_of("recipe.curriculum", {**BY_VOLATILITY, "hardest_first": True}), 0)
    (other,) = orders(examples, [hardest], lambda members: []).values()
    assert set(other[:20]) == set(order[-20:])


def test_the_network_that_scores_is_an_ordinary_fit(examples):
    """Its scores order the examples; nothing of it but the order reaches the training."""
    spec = spec_of("recipe.curriculum", BY_LOSS)
    plain = spec_of("recipe", {"epochs": 1, "patience": 1})
    (scorer,) = fit_stack(examples, [plain], CPU)
    rows = examples.members("train")
    difficulty = by_loss(scorer.folds[0].logit_last[rows].astype(float), examples.y[rows])
    seen = []

    def train(members):
        from trueness.fit.stack import Stack

        seen.extend(members)
        stack = Stack(examples, members, CPU)
        stack.train(lambda n: None)
        return stack.states

    (order,) = orders(examples, [Member(spec, 0)], train).values()
    assert seen[0].spec.key == plain.key
    np.testing.assert_array_equal(order, rows[np.argsort(difficulty, kind="stable")])


def test_a_scorer_that_fails_fails_its_member_alone(examples):
    bad = spec_of("recipe.curriculum", BY_LOSS, recipe={"learning_rate": 1e30})
    good = spec_of("recipe.curriculum", BY_LOSS, seed=1)
    failed, fine = fit_stack(examples, [bad, good], CPU)
    assert failed.failure is not None
    assert failed.folds == []
    np.testing.assert_allclose(fine.folds[0].logit_last, scores(examples, good), rtol=0, atol=1e-5)
