"""Regimes, scales of time and pre-training, against independent forms."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from tests.switches import (
    CLUSTERS,
    CPU,
    SWITCHED,
    TREND,
    VOLATILE,
    L,
    scores,
    spec_of,
    switch_examples,
)
from trueness.campaign import load_campaign
from trueness.errors import SpecError
from trueness.fit import fit_stack
from trueness.fit.member import Member
from trueness.fit.pretraining import Pretraining, pretrain
from trueness.fit.stack import Stack
from trueness.losses.contrastive import supcon
from trueness.losses.views import byol, ntxent, ntxent_in_time
from trueness.models import build, parameter_count, statistics
from trueness.models.regimes import Detector, decided, described
from trueness.models.scales import SCALES, pooling
from trueness.runner import run
from trueness.spec.regime import Regime
from trueness.spec.scales import Multiscale
from trueness.store import Store


@pytest.fixture(scope="module")
def examples():
    return switch_examples()


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
    actual, _ = _assigned(shape, examples, x)
    np.testing.assert_array_equal(actual, np.digitize(returns.std(1, ddof=1), [0.7, 1.1]))
    actual, _ = _assigned(Regime.validated(TREND), examples, x)
    price = np.cumprod(1 + returns / 100, axis=1)
    ratio = price[:, -4:].mean(1) / price[:, -12:].mean(1)
    np.testing.assert_array_equal(actual, (ratio > 0.99).astype(int) + (ratio > 1.01))
    actual, _ = _assigned(Regime.validated({**TREND, "method": "adx"}), examples, x)
    up, down = returns.clip(0).sum(1), (-returns).clip(0).sum(1)
    np.testing.assert_array_equal(actual, 100 * abs(up - down) / (up + down) >= 25)
    assert len(set(actual)) == 2


def test_clusters_are_those_of_k_means_on_the_training_windows(examples):
    x = examples.x.copy()
    actual, _ = _assigned(Regime.validated(CLUSTERS), examples, x)
    columns = described(torch.from_numpy(x)).numpy().astype(float)
    slope = np.polyfit(np.arange(L), x[7, :, 2], 1)[0]
    assert columns[7, 8 + 2] == pytest.approx(slope, rel=1e-3, abs=1e-5)
    scaled = (columns - columns.mean(0)) / columns.std(0)
    theirs = KMeans(2, n_init=10, random_state=42).fit(scaled).labels_
    agreement = (actual == theirs).mean()
    assert max(agreement, 1 - agreement) > 0.98


def test_regimes_of_a_fold_know_its_training_windows_alone(examples):
    spec = spec_of("model.regime", CLUSTERS)
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
    actual, detector = _assigned(shape, examples, x)
    weights = detector.weight.numpy()[actual]
    assert weights.mean() == pytest.approx(1)
    sums = [weights[actual == r].sum() for r in set(actual)]
    np.testing.assert_allclose(sums, 150 / len(sums), rtol=1e-5)


def test_a_regime_has_a_head_of_its_own(examples):
    spec = spec_of("model.regime", {**VOLATILE, "conditioning": "gated_head"})
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
    spec = spec_of(path, value)
    (fitted,) = fit_stack(examples, [spec], CPU)
    start = build(spec.model, 4, L, torch.Generator().manual_seed(0))
    for name, tensor in start.named_parameters():
        after = fitted.folds[0].parameters[name]
        assert after.shape == tuple(tensor.shape)
    assert parameter_count(spec.model, 4, L) >= parameter_count(spec_of().model, 4, L)


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
    member = Member(spec_of("recipe.pretraining", {"kind": kind, "epochs": 1}), 0)
    later = examples.series.copy()
    later[150 + L :] += 3
    others = dataclasses.replace(examples, y=1 - examples.y, series=later)
    actual, start = [], Stack(examples, [member], CPU).weights.theta.clone()
    for known in (examples, others):
        stack = Stack(known, [member], CPU)
        pretrain(stack, lambda n: None, {})
        actual.append(stack.weights.theta.clone())
    assert torch.equal(*actual)
    assert (actual[0] - start).abs().max() > 1e-4
    head = actual[0].shape[1] - 9 * 8 - 1  # the last map learns from labels alone
    assert torch.equal(actual[0][:, head:], start[:, head:])


@pytest.mark.parametrize("kind", ["simclr", "ts2vec", "byol"])
def test_views_come_together(examples, kind):
    """The loss falls, step by step."""
    how = {"kind": kind, "epochs": 20, "noise": 0.3}
    spec = spec_of("recipe.pretraining", how, model={"dropout": 0.0})
    learning, losses = Pretraining(Stack(examples, [Member(spec, 0)], CPU)), []
    step = learning.stacked_loss

    def noted(*batch):
        losses.append(step(*batch))
        return losses[-1]

    learning.stacked_loss = noted
    learning.train(lambda n: None)
    each = torch.cat(losses).detach().reshape(20, -1).mean(1)
    assert each[-3:].mean() < 0.7 * each[:3].mean()


def test_views_may_be_without_noise(examples):
    spec = spec_of("recipe.pretraining", {"kind": "byol", "epochs": 1, "noise": 0},
                   model={"dropout": 0.0})  # fmt: skip
    assert np.isfinite(scores(examples, spec)).any()


STORED = """\
experiments:
  - id: S-1..S-2
    recipe.pretraining: {kind: simclr, epochs: 1}
    grid: {recipe.pretraining.temperature: [0.1, 0.5]}
  - {id: S-3, recipe: {learning_rate: 1e-12, pretraining: {kind: stored, of: [S-1, S-2]}}}
  - {id: S-4, model.dropout: 0.2, recipe.pretraining: {kind: stored, of: [S-1]}}
"""
"""The first two lend their weights; the last one has another network than its source."""


@pytest.mark.long
def test_a_run_begins_with_the_better_of_stored_runs(tiny, tmp_path):
    """Through the runner: declared by id, trained after its sources, from the weights of one."""
    tiny.write_text(tiny.read_text().split("experiments:")[0] + STORED + "data: bars.csv\n")
    campaign = load_campaign(tiny)
    keys = {entry.id: entry.spec.key for entry in campaign.experiments}
    chosen = campaign.select(ids=["S-3"])
    assert {entry.id for entry in chosen.experiments} == {"S-1", "S-2", "S-3"}
    store = Store(tmp_path / "store")
    summary = run(campaign, store, workers=0)
    assert summary.failed == [keys["S-4"]]
    assert "another model" in store.failures()[keys["S-4"]]
    sources = [store.run(keys[name]) for name in ("S-1", "S-2")]
    best = max(sources, key=lambda one: one.history()["val_auc"][one.record["best_epochs"][0] - 1])
    begun = store.run(keys["S-3"]).parameters()
    for name, value in best.parameters().items():
        np.testing.assert_allclose(begun[name], value, rtol=0, atol=1e-7, err_msg=name)


def test_stored_weights_are_refused_where_they_do_not_fit(examples):
    spec = spec_of("recipe.pretraining", {"kind": "stored", "of": ["0123456789ab"]})
    assert spec.depends_on == {"0123456789ab"}
    with pytest.raises(SpecError) as error:
        fit_stack(examples, [spec], CPU)
    assert error.value.code == "no_source_run"
