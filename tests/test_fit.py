import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from trueness.errors import SpecError
from trueness.evaluation import roc_auc
from trueness.fit import (
    Device,
    choose_device,
    choose_mode,
    fit_stack,
    members_that_fit,
    stackable,
)
from trueness.fit.member import Member
from trueness.fit.monitor import GRACE, is_broken, training_warnings
from trueness.fit.optimizer import StackedAdam
from trueness.fit.ranking import stacked_auc
from trueness.fit.schedule import learning_rate
from trueness.fit.stack import Stack
from trueness.fit.streams import Streams
from trueness.models import EMBEDDINGS, member_bytes
from trueness.spec.recipe import Recipe

CPU = Device("cpu", has_bf16=False)


def _fold(fitted, fold=0):
    return fitted.folds[fold]


def _without_key_bias(name, shape):
    """The softmax cancels the key bias: its gradient is rounding noise, which Adam scales to full steps."""
    third = shape[0] // 3
    return np.r_[:third, 2 * third : 3 * third] if name.endswith("qkv.bias") else slice(None)


@pytest.fixture
def mixed(make_spec):
    """Four specs of one shape that differ in everything a stack lets differ."""
    return [
        make_spec(seed=1),
        make_spec(seed=2, loss="labelsmoothing", recipe={"learning_rate": 3e-3}),
        make_spec(seed=3, loss={"kind": "focal", "gamma": 1.0}, model={"dropout": 0.3}),
        make_spec(seed=1, recipe={"optimizer": "adamw", "weight_decay": 0.1, "clip_norm": 0.5,
                                  "schedule": "cosine", "warmup_pct": 20, "epochs": 5}),
    ]  # fmt: skip


def _assert_same_fit(alone, stacked, weights=2e-6, logits=1e-5):
    for a, b in zip(alone.folds, stacked.folds, strict=True):
        assert (a.best_epoch, len(a.history)) == (b.best_epoch, len(b.history))
        for name, value in a.parameters.items():
            rows = _without_key_bias(name, value.shape)
            np.testing.assert_allclose(
                b.parameters[name][rows], value[rows], rtol=0, atol=weights, err_msg=name
            )
        np.testing.assert_allclose(b.logit, a.logit, rtol=0, atol=logits)
        np.testing.assert_allclose(b.logit_last, a.logit_last, rtol=0, atol=logits)
        for row, other in zip(a.history, b.history, strict=True):
            np.testing.assert_allclose(list(row.values()), list(other.values()), atol=1e-5)


def test_a_stack_equals_separate_fits(noise_examples, mixed):
    """Losses, seeds, rates, decay, dropout, schedules and folds of different size, in one pass and one by one."""
    assert len({stackable(one) for one in mixed}) == 1
    together = fit_stack(noise_examples, mixed, CPU)
    for one, stacked in zip(mixed, together, strict=True):
        (alone,) = fit_stack(noise_examples, [one], CPU, width=1)
        _assert_same_fit(alone, stacked)


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_a_stack_equals_separate_fits_for_every_embedding(noise_examples, make_spec, kind):
    embedding = {"embedding": {"kind": kind, "width": 8}, "dropout": 0.2}
    specs = [make_spec(seed=s, model=embedding, recipe={"epochs": 1}) for s in (1, 2, 3)]
    together = fit_stack(noise_examples, specs, CPU)
    for one, stacked in zip(specs, together, strict=True):
        (alone,) = fit_stack(noise_examples, [one], CPU, width=1)
        _assert_same_fit(alone, stacked, weights=2e-5, logits=1e-4)  # Adam blows up small gradients


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_a_stack_in_bf16_stays_close_to_float32_for_every_embedding(
    noise_examples, make_spec, kind
):
    logits = []
    for precision in ("float32", "bf16"):
        changes = {"embedding": {"kind": kind, "width": 8}, "dropout": 0.2}
        recipe = {"epochs": 1, "precision": precision}
        specs = [make_spec(seed=s, model=changes, recipe=recipe) for s in (1, 2)]
        logits.append([_fold(f).logit_last[:200] for f in fit_stack(noise_examples, specs, CPU)])
    assert 0 < np.median(np.abs(np.subtract(*logits))) < 0.02


def test_variational_cost_is_in_the_training_loss_even_without_dropout(noise_examples, make_spec):
    def losses(beta):
        embedding = {"kind": "variational", "width": 8, "beta": beta}
        one = make_spec(model={"embedding": embedding}, recipe={"epochs": 1, "learning_rate": 1e-9})
        (fitted,) = fit_stack(noise_examples, [one], CPU)
        return _fold(fitted).history[0]["train_loss"], _fold(fitted).history[0]["val_loss"]

    (free, seen), (charged, same), (more, _) = losses(0.0), losses(1.0), losses(2.0)
    assert seen == pytest.approx(same, abs=1e-6)
    assert charged > free + 0.01
    assert more - free == pytest.approx(2 * (charged - free), rel=1e-3)


def test_a_fold_trains_on_its_own_copy_of_the_series(two_copies, mixed):
    both, alone = two_copies
    shorter = mixed[1].recipe.model_copy(update={"epochs": 1})
    specs = [
        mixed[0],
        mixed[1].model_copy(update={"recipe": shorter}),
    ]  # one leaves before the other
    together = fit_stack(both, specs, CPU)
    for fold, one in enumerate(alone):
        for fitted, own in zip(together, fit_stack(one, specs, CPU), strict=True):
            np.testing.assert_allclose(_fold(fitted, fold).logit, _fold(own, fold).logit, atol=1e-5)
    assert not np.allclose(_fold(own).logit, _fold(fitted).logit, atol=1e-2, equal_nan=True)


def test_a_fit_repeats_to_the_bit(noise_examples, mixed):
    one, two = (fit_stack(noise_examples, mixed[2:3], CPU)[0] for _ in range(2))
    np.testing.assert_array_equal(_fold(one).logit, _fold(two).logit)


def test_seed_and_fold_change_the_result(noise_examples, make_spec):
    first, second = fit_stack(noise_examples, [make_spec(seed=1), make_spec(seed=2)], CPU)
    assert not np.allclose(_fold(first).logit[:150], _fold(second).logit[:150])
    assert not np.allclose(
        first.folds[0].parameters["head.weight"], first.folds[1].parameters["head.weight"]
    )


def test_learns_a_planted_signal_and_scores_every_example(noise_examples, make_spec):
    one = make_spec(
        model={"revin": False}, recipe={"epochs": 40, "learning_rate": 3e-3, "patience": 40}
    )
    (fitted,) = fit_stack(noise_examples, [one], CPU)
    rows = noise_examples.members("oof", 1)
    assert roc_auc(noise_examples.y[rows], _fold(fitted, 1).logit[rows].astype(float)) > 0.75
    for fold in (0, 1):
        plays = noise_examples.parts[fold] > 0
        np.testing.assert_array_equal(np.isfinite(_fold(fitted, fold).logit), plays)


def test_can_overfit_32_examples(noise_examples, make_spec):
    rng = np.random.default_rng(0)
    parts = np.zeros((1, 300), np.int8)
    parts[0, :32], parts[0, 32:] = 1, 2
    random_labels = dataclasses.replace(
        noise_examples, parts=parts, y=(rng.random(300) < 0.5).astype(np.uint8)
    )
    one = make_spec(
        recipe={"epochs": 150, "patience": 150, "learning_rate": 1e-2, "batch_size": 32}
    )
    (fitted,) = fit_stack(random_labels, [one], CPU)
    assert _fold(fitted).history[-1]["train_loss"] < 0.02


def test_the_best_epoch_is_the_one_evaluated(noise_examples, make_spec):
    one = make_spec(recipe={"epochs": 12, "patience": 12, "min_delta": 0.0, "learning_rate": 1e-2})
    (fitted,) = fit_stack(noise_examples, [one], CPU)
    fold = _fold(fitted)
    aucs = [row["val_auc"] for row in fold.history]
    assert fold.best_epoch == int(np.argmax(aucs)) + 1
    rows = noise_examples.members("validation")
    y = noise_examples.y[rows]
    assert roc_auc_score(y, fold.logit[rows]) == pytest.approx(max(aucs), abs=1e-6)
    assert roc_auc_score(y, fold.logit_last[rows]) == pytest.approx(aucs[-1], abs=1e-6)


def test_stored_parameters_reproduce_the_scores(noise_examples, make_spec):
    from trueness.models import build

    one = make_spec(model={"embedding": {"kind": "linear", "width": 3}})
    (fitted,) = fit_stack(noise_examples, [one], CPU)
    module = build(one.model, 4, 20, torch.Generator())
    module.load_state_dict({k: torch.from_numpy(v) for k, v in _fold(fitted).parameters.items()})
    x = torch.from_numpy(noise_examples.x[noise_examples.start[:50]].copy())
    np.testing.assert_allclose(module(x).detach().numpy(), _fold(fitted).logit[:50], atol=1e-5)


def test_stops_after_patience_epochs_without_improvement(noise_examples, make_spec):
    one = make_spec(recipe={"epochs": 30, "patience": 3, "min_delta": 1.0})
    notes = []
    (fitted,) = fit_stack(noise_examples, [one], CPU, notes.append)
    assert [len(f.history) for f in fitted.folds] == [4, 4]
    assert [f.best_epoch for f in fitted.folds] == [1, 1]
    assert sum(notes) == 60  # epochs that will never be needed count as done


def test_stop_on_validation_loss(noise_examples, make_spec):
    one = make_spec(
        recipe={
            "epochs": 12,
            "patience": 12,
            "min_delta": 0.0,
            "stop_on": "val_loss",
            "learning_rate": 1e-2,
        }
    )
    (fitted,) = fit_stack(noise_examples, [one], CPU)
    assert (
        _fold(fitted).best_epoch
        == int(np.argmin([r["val_loss"] for r in _fold(fitted).history])) + 1
    )


def test_a_member_whose_loss_explodes_fails_alone(noise_examples, make_spec):
    bad = make_spec(seed=1, recipe={"learning_rate": 1e30, "epochs": 4}, model={"revin": False})
    good = make_spec(seed=2, model={"revin": False})
    failed, fine = fit_stack(noise_examples, [bad, good], CPU)
    assert "not finite in epoch" in failed.failure
    (alone,) = fit_stack(noise_examples, [good], CPU, width=1)
    np.testing.assert_allclose(_fold(fine).logit, _fold(alone).logit, atol=1e-5)


def test_bf16_stays_close_to_float32(noise_examples, make_spec):
    full, half = (make_spec(recipe={"precision": p}) for p in ("float32", "bf16"))
    logits = [
        _fold(fit_stack(noise_examples, [one], CPU)[0]).logit_last[:200] for one in (full, half)
    ]
    assert 0 < np.abs(logits[0] - logits[1]).max() < 0.02
    assert len(np.unique(logits[1])) == 200  # the head stays in float32: no two days tie


@pytest.mark.parametrize("kind", ["adam", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_stacked_adam_equals_torch(kind, decay):
    torch.manual_seed(0)
    theta = torch.randn(3, 10)
    rates = torch.tensor([[1e-3], [1e-2], [1e-1]])
    rows = [theta[k].clone().requires_grad_() for k in range(3)]
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
    theirs = [make([row], lr=float(rates[k]), weight_decay=decay) for k, row in enumerate(rows)]
    column = torch.full((3, 1), decay)
    none = torch.zeros(3, 1)
    l2, decoupled = (column, none) if kind == "adam" else (none, column)
    ours = StackedAdam(theta, l2, decoupled, torch.full((3, 1), torch.inf))
    for _ in range(20):
        gradient = torch.randn(3, 10)
        ours.step(theta, gradient, *ours.begin(rates))
        for k, optimizer in enumerate(theirs):
            rows[k].grad = gradient[k].clone()
            optimizer.step()
    torch.testing.assert_close(theta, torch.stack(rows).detach(), rtol=1e-5, atol=1e-6)


def test_clipping_limits_each_member_alone():
    theta = torch.zeros(2, 4)
    clip = torch.tensor([[1.0], [torch.inf]])
    adam = StackedAdam(theta, torch.zeros(2, 1), torch.zeros(2, 1), clip)
    adam.step(theta, torch.full((2, 4), 10.0), *adam.begin(torch.ones(2, 1)))
    norms = (adam.mean / 0.1).norm(dim=1)
    torch.testing.assert_close(norms, torch.tensor([1.0, 20.0]), rtol=1e-4, atol=1e-4)


def test_schedule():
    cosine = Recipe(learning_rate=1.0, schedule="cosine", warmup_pct=10, epochs=10)
    rates = np.array([learning_rate(cosine, 10, step) for step in range(100)])
    assert (np.diff(rates[:10]) > 0).all()
    assert rates.max() == pytest.approx(1.0)
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 0.001
    assert {learning_rate(Recipe(), 10, step) for step in range(50)} == {1e-4}


def test_stacked_auc_equals_scikit_learn_with_ties_and_padding():
    rng = np.random.default_rng(0)
    score = rng.integers(0, 6, (5, 40)).astype(np.float32)
    y = (rng.random((5, 40)) < 0.3).astype(np.float32)
    valid = np.arange(40) < rng.integers(20, 41, (5, 1))
    got = stacked_auc(*map(torch.from_numpy, (score, y, valid)))
    for k in range(5):
        expected = roc_auc_score(y[k, valid[k]], score[k, valid[k]])
        assert got[k].item() == pytest.approx(expected, abs=1e-6)
    one_class = stacked_auc(torch.zeros(1, 3), torch.zeros(1, 3), torch.ones(1, 3) > 0)
    assert one_class.isnan().all()


def test_streams_differ_by_purpose_seed_and_fold_and_repeat():
    def signature(seed, fold):
        streams = Streams(seed, fold, "cpu")
        return (
            streams.weights().initial_seed(),
            tuple(streams.permutation(np.arange(20))),
            tuple(streams.draw(16).tolist()),
        )

    assert signature(1, 0) == signature(1, 0)
    seen = [signature(*key) for key in ((1, 0), (2, 0), (1, 1), (0, 1))]
    for part in range(3):
        assert len({s[part] for s in seen}) == 4


def test_dropout_bytes_are_uniform():
    counts = np.bincount(Streams(0, 0, "cpu").draw(256_000).numpy(), minlength=256)
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert 160 < chi2 < 370  # 255 degrees of freedom: mean 255, deviation 22.6


def test_unknown_device_is_refused():
    with pytest.raises(SpecError, match="choose from auto, cpu"):
        choose_device("tpu")


@pytest.mark.gpu
def test_gpu_equals_cpu(noise_examples, mixed):
    plain = [
        one.model_copy(update={"model": one.model.model_copy(update={"dropout": 0.0})})
        for one in mixed
    ]
    there = fit_stack(noise_examples, plain, choose_device("cuda"))
    here = fit_stack(noise_examples, plain, CPU)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(_fold(b).logit, _fold(a).logit, atol=1e-3)


# ------------------------------------------------------------------------------------------- policy


def test_out_of_memory_halves_the_stack_and_says_so(noise_examples, mixed, monkeypatch):
    """Eight members of which three fit: the first two widths fail, the rest trains in pairs."""
    expected = fit_stack(noise_examples, mixed, CPU)
    train, widths = Stack.train, []

    def short_of_memory(self, on_epoch):
        widths.append(len(self.states))
        on_epoch(1)
        if len(self.states) > 3:
            raise torch.OutOfMemoryError("too many")
        on_epoch(-1)
        train(self, on_epoch)

    monkeypatch.setattr(Stack, "train", short_of_memory)
    notes, note = [], []
    actual = fit_stack(noise_examples, mixed, CPU, note.append, on_note=notes.append)
    assert widths == [8, 4, 2, 2, 2, 2]
    assert notes == [
        f"out of memory with {n} members in a stack; {n // 2} from here on" for n in (8, 4)
    ]
    assert sum(note) == sum(2 * one.recipe.epochs for one in mixed)
    for a, b in zip(expected, actual, strict=True):
        np.testing.assert_allclose(_fold(b).logit, _fold(a).logit, atol=1e-5)


def test_a_single_member_out_of_memory_fails(noise_examples, make_spec, monkeypatch):
    def never(self, on_epoch):
        raise torch.OutOfMemoryError("too many")

    monkeypatch.setattr(Stack, "train", never)
    with pytest.raises(torch.OutOfMemoryError):
        fit_stack(noise_examples, [make_spec()], CPU, width=1)


def test_members_that_are_over_may_be_dragged_along(noise_examples, mixed):
    """What a captured graph does: rows stay until a quarter of them is idle. Here the step is simply called."""
    recipe = mixed[0].recipe.model_copy(update={"epochs": 2})
    mixed[0] = mixed[0].model_copy(update={"recipe": recipe})
    members = [Member(one, fold) for one in mixed for fold in (0, 1)]
    plain, dragging = (Stack(noise_examples, members, CPU) for _ in range(2))
    dragging.graph = dragging._advance
    idle = []
    plain.train(lambda epochs: None)
    dragging.train(lambda epochs: idle.append(sum(t.is_over for t in dragging._living())))
    assert any(idle)  # some were over and still in the stack
    for a, b in zip(plain.states, dragging.states, strict=True):
        assert a.best_epoch == b.best_epoch
        np.testing.assert_allclose(b.result.logit, a.result.logit, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_stack_equals_an_eager_one(noise_examples, mixed):
    eager = fit_stack(noise_examples, mixed, CPU)
    compiled = fit_stack(noise_examples, mixed, CPU, mode="compile")
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(_fold(b).logit, _fold(a).logit, rtol=0, atol=1e-4)


def test_the_mode_follows_the_work():
    gpu = Device("cuda", has_bf16=True)
    assert choose_mode(CPU, 10**6, 1e12) == "eager"
    assert [choose_mode(gpu, steps, 1e11) for steps in (50, 5000)] == ["eager", "graph"]
    assert choose_mode(gpu, 50_000, 1e12) == "compile"


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["graph", "compile"])
def test_recorded_and_compiled_steps_equal_launched_ones(noise_examples, mixed, mode):
    """Dropout, schedules, clipping, members that leave at different times: same numbers, other launches."""
    device = choose_device("cuda")
    launched = fit_stack(noise_examples, mixed, device)
    other = fit_stack(noise_examples, mixed, device, mode=mode)
    for a, b in zip(launched, other, strict=True):
        assert [f.best_epoch for f in a.folds] == [f.best_epoch for f in b.folds]
        np.testing.assert_allclose(_fold(b).logit, _fold(a).logit, atol=1e-3)


def test_members_by_memory():
    free = CPU.free_bytes()
    per_member = member_bytes(10**6, 128, 10**5)
    assert per_member == 24 * 10**6 + 128 * 10**5
    assert members_that_fit(CPU, free, 128) == 1
    assert members_that_fit(CPU, 1, 128) == 128
    assert 2 <= members_that_fit(CPU, int(free * 0.8 / 4), 128) <= 5


# -------------------------------------------------------------------------------------------- guard


def _history(**columns):
    n = max(len(c) for c in columns.values())
    base = {"train_loss": 0.5, "val_loss": 0.5, "val_auc": 0.7, "val_low": 0.1, "val_high": 0.9,
            "val_alarm_share": 0.1}  # fmt: skip
    return [{**base, **{name: float(c[k]) for name, c in columns.items()}} for k in range(n)]


RATE = 0.2
NARROW, WIDE = 0.15, 0.9
"""Ends of a span from 0.1: at a base rate of 20 % one below 0.08 has collapsed."""


def test_guard_finds_the_epoch_it_began(make_spec):
    wide, narrow = [WIDE] * 5, [NARROW] * (GRACE + 3)
    (actual,) = training_warnings(_history(val_high=wide + narrow), make_spec(), RATE)
    assert (actual.what, actual.epoch, actual.until) == ("collapsed scores", 6, None)
    (actual,) = training_warnings(_history(val_high=wide + narrow + wide), make_spec(), RATE)
    assert (actual.epoch, actual.until) == (6, 5 + len(narrow))


def test_guard_forgives_the_start_and_short_spells(make_spec):
    narrow = [NARROW] * GRACE
    assert training_warnings(_history(val_high=[*narrow, WIDE]), make_spec(), RATE) == []
    assert training_warnings(_history(val_high=[WIDE, *narrow[1:], WIDE]), make_spec(), RATE) == []
    (actual,) = training_warnings(
        _history(val_high=[NARROW] * 2), make_spec(), RATE
    )  # short, never wide
    assert actual.epoch == 1


def test_guard_names_divergence_one_class_and_nan(make_spec):
    loss = [0.5, 0.4] + [2.0] * GRACE
    (actual,) = training_warnings(_history(train_loss=loss), make_spec(), RATE)
    assert (actual.what, actual.epoch) == ("diverging loss", 3)
    assert "learning rate" in actual.cause
    (actual,) = training_warnings(
        _history(val_alarm_share=[0.1] + [1.0] * GRACE), make_spec(), RATE
    )
    assert (actual.what, actual.epoch) == ("one class at 0.5", 2)
    (actual,) = training_warnings(_history(train_loss=[0.5, float("nan")]), make_spec(), RATE)
    assert (actual.what, actual.epoch) == ("not finite", 2)


@pytest.mark.parametrize("rate", [0.005, 0.03, 0.2, 0.5])
def test_guard_knows_that_rare_events_have_narrow_scores_below_one_half(make_spec, rate):
    high = 0.1 + 0.3 * (rate * (1 - rate)) ** 0.5
    quiet = _history(val_high=[high] * 3 * GRACE, val_alarm_share=[0.0] * 3 * GRACE)
    assert training_warnings(quiet, make_spec(), rate) == []
    always = _history(val_alarm_share=[1.0] * 3 * GRACE)
    assert bool(training_warnings(always, make_spec(), rate)) == (rate < 0.35)
    assert not is_broken(always, make_spec(), rate)


def test_only_what_was_wide_or_low_before_is_broken(make_spec):
    """A signal that is weak may take long to show, and then be narrow."""
    late = [NARROW] * GRACE
    for before, broken in (([], False), ([0.19] * 3, False), ([WIDE] * 3, True)):
        history = _history(val_high=before + late)
        assert training_warnings(history, make_spec(), RATE)
        assert is_broken(history, make_spec(), RATE) == broken
    assert is_broken(_history(train_loss=[0.5, 0.4] + [2.0] * GRACE), make_spec(), RATE)


def test_guard_stops_a_member_if_told_to(noise_examples, make_spec):
    """Decay that shrinks the weights to nothing: within an epoch, or once the rate has risen."""
    crushed = {"optimizer": "adamw", "learning_rate": 1e-2, "weight_decay": 50}
    all_of_them, late = GRACE + 15, {"warmup_pct": 60}
    for more, policy in (({}, "continue"), ({}, "stop"), (late, "continue"), (late, "stop")):
        rule = {**crushed, **more, "epochs": all_of_them, "patience": all_of_them, "guard": policy}
        (fitted,) = fit_stack(noise_examples, [make_spec(recipe=rule)], CPU)
        for fold in fitted.folds:
            actual = {i.what: i for i in fold.warnings}["collapsed scores"]
            assert (actual.epoch > 1, actual.until) == (bool(more), None)
            assert "hardly falls" in actual.cause
            ended = more and policy == "stop"
            assert len(fold.history) == (actual.epoch - 1 + GRACE if ended else all_of_them)
