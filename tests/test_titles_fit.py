"""Training on titles: batches, accumulation, checkpoints, switches, several processes."""

import itertools
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import SpecError, StoreError
from trueness.files import sha256_of
from trueness.fit.device import choose_device
from trueness.fit.titles import Ranks, Saving, Setting, fit_titles, load_data, tokenizer_of
from trueness.fit.titles.batches import batched, count_updates, drawn, epoch_updates, padded_share
from trueness.fit.titles.checkpoint import load_checkpoint
from trueness.fit.titles.loop import _Training, _warnings
from trueness.fit.titles.optimizing import Average, decay_groups, rate_factor
from trueness.fit.titles.scoring import logits_of
from trueness.models.encoder import build_titles
from trueness.spec.titles import TitlesRecipe, TitlesSpec
from trueness.text.corpus import Titles
from trueness.text.tokens import length_batches
from trueness.yamlfile import merge

LANGUAGES, CLASSES = ("en", "de", "ja"), ("book", "shoe", "tool", "toy")
CPU = Setting(choose_device("cpu"))


def _titles(n, seed):
    """Titles whose class shows in one word of their language."""
    rng = np.random.default_rng(seed)
    language, y = rng.choice(3, n, p=(0.7, 0.2, 0.1)), rng.integers(0, 4, n)
    filler = [f"w{i}" for i in range(40)]
    texts = [
        " ".join([f"{LANGUAGES[a]}{b}x{rng.integers(8)}", *rng.choice(filler, rng.integers(1, 9))])
        for a, b in zip(language, y, strict=True)
    ]
    ids = pl.Series([f"{seed}-{i}" for i in range(n)])
    sure = np.ones(n, np.float32)
    return Titles(ids, pl.Series(texts), y, np.array(LANGUAGES)[language], sure, np.arange(n))


@pytest.fixture(scope="module")
def corpus():
    parts = {"train": _titles(300, 1), "validation": _titles(90, 2), "test": _titles(90, 3)}
    return SimpleNamespace(digest="c0ffee", classes=CLASSES, part=parts.__getitem__)


@pytest.fixture(scope="module")
def data(corpus):
    task = _spec().task
    return load_data(task, corpus, tokenizer=tokenizer_of(task, corpus, None))


def _spec(**sections):
    content = {
        "task": {"kind": "titles", "corpus": "c0ffee", "tokenizer": {"kind": "bpe", "vocabulary": 400}},
        "model": {
            "kind": "encoder", "d_model": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "d_ff": 32,
            "head": {"kind": "residual", "hidden": 16},
        },
        "loss": {"classification": {"kind": "crossentropy"}},
        "recipe": {"epochs": 2, "warmup_steps": 3, "batch_size": 32, "learning_rate": 5e-3,
                   "precision": "float32"},
        "evaluation": {"min_rows": 5},
    }  # fmt: skip
    return TitlesSpec.model_validate(merge(content, sections))


# ---------------------------------------------------------------------------------------- batches


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_an_epoch_holds_every_text_once_in_batches_of_the_right_size(n, size, accum, bucket, seed):
    recipe = TitlesRecipe(batch_size=size, grad_accum=accum, bucket=bucket, epochs=2)
    lengths = np.random.default_rng(seed).integers(1, 60, n)
    language = np.zeros(n, np.int64)
    updates = epoch_updates(lengths, language, recipe, seed, 0)
    batches = [rows for update in updates for rows in update]
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)
    assert all(len(update) == accum for update in updates[:-1])
    assert count_updates(lengths, language, recipe, seed) == [len(updates)] * 2


def test_epochs_differ_and_the_same_epoch_is_the_same_again():
    lengths, language = np.arange(1, 101), np.zeros(100, np.int64)
    recipe = TitlesRecipe(batch_size=10)
    first, again, second = (
        np.concatenate([b for u in epoch_updates(lengths, language, recipe, 7, e) for b in u])
        for e in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != second).any()


@given(st.integers(1, 200), st.integers(2, 300), st.integers(0, 5))
def test_token_budgets_count_the_padding(n, budget, seed):
    lengths = np.random.default_rng(seed).integers(1, 60, n)
    recipe = TitlesRecipe(batch_tokens=budget)
    batches = batched(np.arange(n), lengths, recipe)
    assert (np.concatenate(batches) == np.arange(n)).all()
    for rows in batches:
        assert len(rows) == 1 or lengths[rows].max() * len(rows) <= budget
    for rows, after in itertools.pairwise(batches):  # none could have held one more
        more = np.append(rows, after[0])
        assert lengths[more].max() * len(more) > budget


def test_texts_of_similar_length_share_a_batch():
    lengths, language = np.random.default_rng(0).integers(1, 100, 5000), np.zeros(5000, np.int64)
    loose, close = (
        padded_share(epoch_updates(lengths, language, TitlesRecipe(batch_size=50, bucket=b), 0, 0), lengths)
        for b in (False, True)
    )  # fmt: skip
    assert loose > 0.4
    assert close < 0.03


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7])
def test_languages_are_drawn_by_the_power_of_their_number(alpha):
    counts = np.array([8000, 1500, 500])
    language = np.repeat([0, 1, 2], counts)
    rows = drawn(language, TitlesRecipe(sampling_alpha=alpha), np.random.default_rng(1))
    share = counts**alpha / (counts**alpha).sum()
    assert np.allclose(np.bincount(language[rows]) / len(rows), share, atol=1e-3)
    times = np.bincount(rows, minlength=10_000)
    for code in range(3):  # no text of a language is drawn twice more than another
        assert np.ptp(times[language == code]) <= 1


def test_repeats_have_a_limit():
    language = np.repeat([0, 1], [1000, 10])
    rows = drawn(language, TitlesRecipe(sampling_alpha=0, max_repeats=3), np.random.default_rng(1))
    assert np.bincount(rows)[language == 1].max() == 3


def test_scoring_batches_keep_to_their_tokens():
    lengths = np.random.default_rng(0).integers(1, 300, 2000)
    batches = list(length_batches(lengths, 1000))
    assert sorted(np.concatenate(batches)) == list(range(2000))
    assert all(len(b) == 1 or lengths[b].max() * len(b) <= 1000 for b in batches)
    assert len(batches) < 1.2 * lengths.sum() / 1000 + 10


# --------------------------------------------------------------------------------- rates, averages


def test_rates_rise_and_fall_to_the_floor():
    recipe = TitlesRecipe(warmup_steps=10, min_scale=0.1)
    rates = [rate_factor(t, 100, recipe) for t in range(100)]
    assert np.allclose(rates[:10], np.arange(1, 11) / 11)
    assert rates[10] == 1
    assert np.allclose(rates[55], 0.1 + 0.9 * 0.5)
    assert (np.diff(rates[10:]) < 0).all()
    assert 0.1 < rates[-1] < 0.101
    exponential = recipe.model_copy(update={"schedule": "exponential"})
    assert np.allclose(rate_factor(55, 100, exponential), 0.1**0.5)
    constant = recipe.model_copy(update={"schedule": "constant"})
    assert rate_factor(99, 100, constant) == 1
    assert rate_factor(0, 1, recipe) == 1  # a warm-up longer than the run


def test_only_matrices_decay():
    spec = _spec()
    model = build_titles(spec.model, 50, 4, torch.Generator().manual_seed(0))
    decayed, plain = decay_groups(model)
    names = {id(p): n for n, p in model.named_parameters()}
    assert len(decayed) + len(plain) == len(names)
    assert {names[id(p)] for p in decayed}.isdisjoint({names[id(p)] for p in plain})
    assert "embedding.weight" in {names[id(p)] for p in plain}
    matrices = {n for n, p in model.named_parameters() if p.ndim == 2} - {"embedding.weight"}
    assert {names[id(p)] for p in decayed} == matrices


def test_the_average_is_the_weighted_mean_of_all_weights_so_far():
    layer = torch.nn.Linear(2, 2, bias=False)
    average, seen = Average(layer, 0.9), []
    for value in (1.0, 5.0, -2.0):
        layer.weight.data.fill_(value)
        average.follow(layer)
        seen.append(value)
    expected = np.average(seen, weights=[0.81, 0.9, 1.0])
    assert np.allclose(average.current()["weight"], expected, atol=1e-6)


# ----------------------------------------------------------------------------------------- updates


def _gradient(spec, data, sizes):
    """Gradient of one update of the same 60 texts, cut into batches of some sizes."""
    training = _Training(spec, data, CPU, None, None)
    training.model.eval()  # no dropout: the cut would change its masks
    rows = np.arange(60)
    update = np.split(rows, np.cumsum(sizes)[:-1])
    totals = training.objective.totals(update)
    for batch in map(training.batch, update):
        pooled = training.pooled(batch.tokens, batch.mask)
        training.objective(training.model, pooled, batch, totals).backward()
    return torch.cat([p.grad.flatten() for p in training.model.parameters()])


@pytest.mark.parametrize(
    "loss",
    [
        {"classification": {"kind": "crossentropy", "smoothing": 0.1}},
        {"classification": {"kind": "focal", "gamma": 1.5}},
        {"class_weights": {"kind": "balanced"}, "groups": {"kind": "weights", "alpha": 0.3}},
        {"classification": {"kind": "logitadjusted", "given": "language"}},
    ],
)
def test_accumulated_batches_have_the_gradient_of_one_large_batch(data, loss):
    spec = _spec(loss=loss)
    whole, cut = (_gradient(spec, data, sizes) for sizes in ([60], [32, 20, 7, 1]))
    assert whole.norm() > 0.01
    assert torch.allclose(whole, cut, atol=1e-6)


SWITCHES = {
    "smoothing": {"loss": {"classification": {"kind": "crossentropy", "smoothing": 0.1}}},
    "focal": {"loss": {"classification": {"kind": "focal", "smoothing": 0.05}}},
    "beside": {"loss": {"classification": {"kind": "focal", "smoothing": 0.05, "smooth": "beside"}}},
    "adjusted": {"loss": {"classification": {"kind": "logitadjusted", "given": "language"}}},
    "ldam": {"loss": {"classification": {"kind": "ldam"}}},
    "gce": {"loss": {"classification": {"kind": "gce"}}},
    "balanced": {"loss": {"class_weights": {"kind": "balanced"}}},
    "effective": {"loss": {"class_weights": {"kind": "effective"}}},
    "weights": {"loss": {"groups": {"kind": "weights"}}},
    "dro": {"loss": {"groups": {"kind": "dro", "eta": 0.5}}},
    "dro cells": {"loss": {"groups": {"kind": "dro", "over": "language_label", "adjustment": 1.0}}},
    "contrast": {"model": {"projection": {"width": 8}}, "loss": {"contrastive": {}}},
    "cross": {
        "model": {"projection": {"width": 8}},
        "loss": {"contrastive": {"positives": "cross_language", "memory": 64}},
    },
    "sampled": {"recipe": {"sampling_alpha": 0.3}},
    "tokens": {"recipe": {"batch_tokens": 300}},
    "ema": {"recipe": {"ema": 0.8}},
    "bf16": {"recipe": {"precision": "bf16"}},
    "plain": {"model": {"head": {"kind": "plain"}}},
    "first": {"model": {"pooler": "first"}, "recipe": {"epochs": 6, "learning_rate": 0.01}},
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_trains_and_changes_the_run(data, name):
    spec = _spec(**SWITCHES[name])
    assert spec.key != _spec().key
    fitted = fit_titles(spec, data, CPU)
    plain = fit_titles(_spec(), data, CPU)
    assert fitted.history[-1]["val_loss"] < np.log(4)  # better than the base rate
    assert fitted.logits["test"].shape == (90, 4)
    assert np.isfinite(fitted.logits["test"]).all()
    assert not np.array_equal(fitted.logits["test"], plain.logits["test"])


def test_a_seed_gives_the_same_run_again_and_another_seed_another(data):
    first, again = (fit_titles(_spec(), data, CPU).logits["test"] for _ in range(2))
    other = fit_titles(_spec(seed=7), data, CPU).logits["test"]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_best_epoch_s_weights_are_the_ones_that_score(data):
    spec = _spec(recipe={"epochs": 6, "learning_rate": 0.05, "min_scale": 1.0, "patience": 2})
    fitted = fit_titles(spec, data, CPU)
    scores = [row["mean_group"] for row in fitted.history]
    assert fitted.best_epoch == int(np.argmax(scores)) + 1
    network = build_titles(spec.model, data.width, 4, torch.Generator())
    network.load_state_dict({n: torch.from_numpy(w) for n, w in fitted.parameters.items()})
    again = logits_of(network.eval(), data.parts["test"].tokens, 4, CPU.device, "float32")
    assert np.array_equal(again, fitted.logits["test"])
    stale = len(scores) - fitted.best_epoch
    assert stale == 2 or len(scores) == 6


# ------------------------------------------------------------------------------------- checkpoints


def _stop_after(monkeypatch, updates):
    """Ctrl-C in the middle of an epoch, after so many updates."""
    made, real = [0], _Training.make

    def make(training, update):
        real(training, update)
        made[0] += 1
        if made[0] == updates:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_Training, "make", make)


@pytest.mark.long
@pytest.mark.parametrize("name", ["sampled", "dro", "cross", "ema", "tokens"])
@pytest.mark.parametrize("after", [4, 13])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    data, tmp_path, monkeypatch, name, after
):
    spec, saving = _spec(**SWITCHES[name]), Saving(tmp_path / "checkpoint.pt")
    whole = fit_titles(spec, data, CPU)
    with monkeypatch.context() as patch:
        _stop_after(patch, after)
        with pytest.raises(KeyboardInterrupt):
            fit_titles(spec, data, CPU, saving=saving)
    torch.manual_seed(12345)
    resumed = fit_titles(spec, data, CPU, saving=saving)
    assert len(whole.history) == len(resumed.history) == 2
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    for weight, value in whole.parameters.items():
        assert np.array_equal(value, resumed.parameters[weight]), weight
    assert np.array_equal(whole.logits["test"], resumed.logits["test"])


def test_a_checkpoint_of_another_spec_corpus_or_kind_is_refused(data, tmp_path):
    spec, path = _spec(), tmp_path / "checkpoint.pt"
    fit_titles(spec, data, CPU, saving=Saving(path))
    with pytest.raises(StoreError, match="belongs to another spec"):
        fit_titles(_spec(seed=1), data, CPU, saving=Saving(path))
    with pytest.raises(StoreError, match="another corpus"):
        load_checkpoint(path, spec, {**data.digests, "corpus": "0"})
    with pytest.raises(StoreError, match="another tokenizer"):
        load_checkpoint(path, spec, {**data.digests, "tokenizer": "0"})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match="no checkpoint"):
        load_checkpoint(path, spec, data.digests)
    torch.save({"version": 1, "key": spec.key, "digests": data.digests, "run": Saving}, path)
    path.write_bytes(path.read_bytes() + sha256_of(path).encode())
    with pytest.raises(StoreError, match="more than tensors"):
        load_checkpoint(path, spec, data.digests)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        fit_titles(spec, data, CPU, saving=Saving(tmp_path / "file" / "checkpoint.pt"))


@pytest.mark.parametrize("damage", ["empty", "torn", "flipped"])
def test_a_damaged_checkpoint_that_nobody_asked_for_is_named_and_left_alone(data, tmp_path, damage):
    spec, path, events = _spec(), tmp_path / "checkpoint.pt", []
    fit_titles(spec, data, CPU, saving=Saving(path))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes({"empty": b"", "torn": whole[:1000], "flipped": whole}[damage])
    actual = fit_titles(spec, data, CPU, saving=Saving(path, asked=False), report=events.append)
    assert any(event[0] == "note" and str(path) in event[1] for event in events)
    np.testing.assert_array_equal(actual.logits["test"], fit_titles(spec, data, CPU).logits["test"])
    path.write_bytes(whole)
    with pytest.raises(StoreError) as error:
        fit_titles(spec, data, CPU, saving=Saving(path))
    assert error.value.code == "damaged"


def test_half_precision_needs_a_device_that_has_it(data):
    with pytest.raises(SpecError, match="fp16 needs a CUDA device"):
        fit_titles(_spec(recipe={"precision": "fp16"}), data, CPU)


# --------------------------------------------------------------------------------- several processes


@pytest.mark.long
@pytest.mark.parametrize("name", ["dro", "cross"])
def test_losses_that_remember_train_in_one_process(data, name):
    with pytest.raises(SpecError, match="without torchrun"):
        fit_titles(_spec(**SWITCHES[name]), data, Setting(CPU.device, False, Ranks(0, 2)))


@pytest.mark.parametrize(("recipe", "world", "n_warnings"), [
    ({"warmup_steps": 3}, 1, 0), ({"warmup_steps": 15}, 1, 1), ({"grad_accum": 3}, 2, 1),
])  # fmt: skip
def test_a_recipe_that_does_not_fit_is_told(recipe, world, n_warnings):
    assert len(_warnings(_spec(recipe=recipe), 20, Ranks(0, world))) == n_warnings


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from test_titles_fit import CPU, _spec, _titles, CLASSES
from types import SimpleNamespace
from trueness.fit.device import choose_device
from trueness.fit.titles import Setting, fit_titles, init_distributed, load_data, tokenizer_of
parts = {{"train": _titles(300, 1), "validation": _titles(90, 2), "test": _titles(90, 3)}}
corpus = SimpleNamespace(digest="c0ffee", classes=CLASSES, part=parts.__getitem__)
spec = _spec(**json.loads({sections!r}))
data = load_data(spec.task, corpus, tokenizer=tokenizer_of(spec.task, corpus, None))
ranks, name = init_distributed("cpu")
fitted = fit_titles(spec, data, Setting(choose_device("cpu"), False, ranks))
if ranks.is_main:
    print(json.dumps([fitted.history, fitted.logits["test"].tolist()]))
ranks.close()
"""
STILL = {
    "model": {"dropout": 0.0, "drop_path": 0.0, "head": {"dropout": 0.0}},
    "recipe": {"grad_accum": 3, "batch_size": 16},
}


@pytest.mark.slow
def test_two_processes_train_what_one_does(data, tmp_path):
    tests = os.path.dirname(__file__)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=tests, sections=json.dumps(STILL)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         str(script)],
        capture_output=True, text=True, env=environment, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    history, logits = json.loads(done.stdout.strip().splitlines()[-1])
    alone = fit_titles(_spec(**STILL), data, CPU)
    assert np.allclose(logits, alone.logits["test"], atol=1e-3)
    for one, other in zip(history, alone.history, strict=True):
        assert np.isclose(one["train_loss"], other["train_loss"], atol=1e-4)
