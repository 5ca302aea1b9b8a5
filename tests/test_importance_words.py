"""Words that move a class: occlusion against a bag of words whose weights are known, and a run."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.special import log_softmax
from scipy.stats import ttest_1samp

import trueness
from tests.test_cli import call
from trueness.attribution.words import (
    FEWEST,
    Asked,
    left_out,
    mean_effects,
    unit_of,
    word_importance,
)
from trueness.callback import Callback
from trueness.campaign import load_campaign
from trueness.errors import TruenessError
from trueness.fit import choose_device
from trueness.judge.finding import find_run
from trueness.runner import run
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.synthetic import Catalogue
from trueness.titles.classifier import load_classifier

CAMPAIGN = """\
campaign: words
data: corpus
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 500}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, d_ff: 32}
  recipe: {learning_rate: 0.02, batch_size: 64, epochs: 2, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: A}
"""
WEIGHTS = {"red": (2.0, 0.0, -1.0), "shoe": (0.0, 1.5, 0.0), "wine": (-0.5, 0.0, 3.0)}
CLASSES = ("x", "y", "z")


def bag(texts):
    """Logits (m, 3) of a bag of words."""
    return np.array([
        np.sum([WEIGHTS.get(unit_of(w), (0.0, 0.0, 0.0)) for w in text.split()] or [[0, 0, 0]], 0)
        for text in texts
    ])  # fmt: skip


def occluded(texts, **how):
    return left_out(bag, texts, bag(texts), Callback(), **how)


# --------------------------------------------------------------------------------------- occlusion


def test_effects_are_those_of_the_text_without_the_word():
    texts = ["red shoe", "Wine, red old", "shoe", "old old wine"]
    words, row, effects = occluded(texts)
    assert words == ["red", "shoe", "wine", "red", "old", "old", "old", "wine"]
    assert row.tolist() == [0, 0, 1, 1, 1, 3, 3, 3]
    whole, without = log_softmax(bag(texts), axis=1), log_softmax(bag(["red old"]), axis=1)
    np.testing.assert_allclose(effects[2], whole[1] - without[0])
    np.testing.assert_allclose(effects[[4, 5, 6]], 0, atol=1e-12)
    assert occluded(["Wine, red"], keep_forms=True)[0] == ["Wine,", "red"]
    assert occluded(["shoe"])[2].shape == (0, 3)


def drawn(seed, n=400):
    """Texts of a planted word, and of many that mean nothing."""
    rng = np.random.default_rng(seed)
    idle = [f"w{i}" for i in range(20)]
    return [" ".join([*rng.choice(idle, 4), *(["red"] if rng.random() < 0.3 else [])])
            for _ in range(n)]  # fmt: skip


def test_a_planted_word_moves_its_class_and_idle_ones_do_not():
    texts = drawn(0)
    words, row, effects = occluded(texts)
    noise = np.random.default_rng(1).standard_normal(effects.shape)
    actual, n_evaluated = mean_effects(
        words, row, effects + noise, np.arange(len(texts)), CLASSES, 0.95
    )
    assert n_evaluated == 21
    assert len(actual) == 63
    moving = [one for one in actual if one.moves]
    assert {one.word for one in moving} == {"red"}
    assert {(one.label, one.effect.value > 0) for one in moving} >= {("x", True), ("z", False)}
    assert actual[0].word == "red"


def test_intervals_are_students_where_texts_are_independent():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 1))
    (one,), n_evaluated = mean_effects(
        ["a"] * 40, np.arange(40), values, np.arange(40), ["k"], 0.95
    )
    low, high = ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    assert (one.effect.low, one.effect.high, n_evaluated) == (
        pytest.approx(low),
        pytest.approx(high),
        1,
    )


def test_texts_of_a_cluster_count_as_one():
    rng = np.random.default_rng(0)
    per_cluster = np.repeat(rng.standard_normal(12), 10)[:, None]
    row, cluster = np.arange(120), np.arange(120) // 10
    (one,), _ = mean_effects(["a"] * 120, row, per_cluster, cluster, ["k"], 0.95)
    low, high = ttest_1samp(per_cluster[::10, 0], 0).confidence_interval(0.95)
    assert (one.effect.low, one.effect.high) == (pytest.approx(low), pytest.approx(high))
    (alone,), _ = mean_effects(["a"] * 120, row, per_cluster, row, ["k"], 0.95)
    assert one.effect.high - one.effect.low > 2 * (alone.effect.high - alone.effect.low)


def test_seldom_words_are_not_judged():
    n = FEWEST - 1
    actual = mean_effects(["a"] * n, np.arange(n), np.ones((n, 2)), np.arange(n), ["k", "l"], 0.95)
    assert actual == ([], 0)
    assert mean_effects([], np.empty(0, int), np.empty((0, 2)), np.arange(3), ["k", "l"], 0.95) == (
        [], 0)  # fmt: skip


@pytest.mark.slow
def test_idle_words_are_seldom_shown_to_move():
    """All words together: at most about the error that the confidence leaves."""
    wrong = 0
    for seed in range(200):
        texts = drawn(seed, 200)
        words, row, effects = occluded([t.replace("red", "w0") for t in texts])
        noise = np.random.default_rng(seed).standard_normal((200, 3))[row]
        noise = noise + np.random.default_rng(seed + 999).standard_normal(effects.shape)
        actual, _ = mean_effects(words, row, effects + noise, np.arange(200), CLASSES, 0.95)
        wrong += any(one.moves for one in actual)
    assert wrong / 200 < 0.09


# ------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, a campaign of one encoder, and its store."""
    folder = tmp_path_factory.mktemp("words")
    build(Catalogue(rows=1500, english_share=0.7), folder / "corpus", Plan(0.15, 0.2))
    (folder / "words.yaml").write_text(CAMPAIGN)
    summary = run(load_campaign(folder / "words.yaml"), Store(folder / "store"), device="cpu",
                  workers=0)  # fmt: skip
    assert not summary.failed
    return folder


def asked(folder, name="A", *, data="corpus", **how):
    sources = {"data": str(folder / data) if data else None}
    return word_importance(Store(folder / "store"), name, sources, Asked.of(**how), device="cpu")


def refused(code, call, *arguments, **how):
    with pytest.raises(TruenessError) as error:
        call(*arguments, **how)
    assert error.value.code == code, error.value


@pytest.mark.long
def test_evaluated_texts_are_asked_about(folder):
    actual = asked(folder, texts=120)
    assert (actual.n, actual.part, actual.words >= actual.judged > 0) == (120, "validation", True)
    assert len(actual.effects) == actual.judged * len(actual.classes)
    assert actual.to_dict() == asked(folder, texts=120).to_dict()
    assert actual.to_dict() != asked(folder, texts=120, seed=1).to_dict()
    assert {one.label for one in actual.effects} == set(actual.classes)
    assert actual.document().sentences()


@pytest.mark.long
def test_an_effect_is_what_the_encoder_says_without_the_word(folder):
    store = Store(folder / "store")
    encoder = load_classifier(find_run(store, "A")[0], choose_device("cpu"))
    whole, shorter = log_softmax(encoder.logits(["navy shirt new", "navy new"]), axis=1)
    actual = asked(folder, text="navy shirt new").text
    (_, effect) = actual.words[1]
    for k, name in enumerate(encoder.classes):
        assert effect[name] == pytest.approx(whole[k] - shorter[k], abs=1e-4)


@pytest.mark.long
def test_one_text_is_taken_apart_in_its_order(folder):
    answer = trueness.importance("A", text=" Slim  fit shirt, navy ", store=folder / "store")
    actual = answer.to_dict()
    assert actual["kind"] == "word_importance"
    assert [one["word"] for one in actual["text"]["words"]] == ["Slim", "fit", "shirt,", "navy"]
    assert sum(actual["text"]["probability"].values()) == pytest.approx(1, abs=1e-5)
    assert actual["text"]["label"] == max(actual["text"]["probability"],
                                         key=actual["text"]["probability"].get)  # fmt: skip
    assert len(answer.to_frame()) == 4 * len(actual["classes"])
    assert asked(folder, text="alone", data=None).text.words == []


@pytest.mark.long
def test_the_test_part_stays_sealed(folder, capsys):
    store = folder / "store"
    corpus = ("--data", folder / "corpus", "--texts", 40)
    before = len((store / "ledger.jsonl").read_text().splitlines()) if (
        store / "ledger.jsonl").exists() else 0  # fmt: skip
    code, out, err = call(capsys, "importance", "A", "--store", store, *corpus, "--json")
    assert code == 0, err
    assert json.loads(out)["part"] == "validation"
    code, out, _ = call(
        capsys, "importance", "A", "--store", store, *corpus, "--open-test", "--json"
    )
    assert (code, json.loads(out)["part"]) == (0, "test")
    lines = [json.loads(one) for one in (store / "ledger.jsonl").read_text().splitlines()[before:]]
    assert [one["part"] for one in lines] == ["validation", "test"]
    assert [one["opened"] for one in lines] == [False, True]


@pytest.mark.long
def test_what_cannot_be_asked_is_refused(folder, tmp_path):
    build(Catalogue(rows=600, seed=3), tmp_path / "other", Plan(0.15, 0.2))
    refused("other_data", word_importance, Store(folder / "store"), "A",
            {"data": str(tmp_path / "other")})  # fmt: skip
    refused("no_weights", asked, folder, "tfidf_logit")
    refused("text", asked, folder, text=" \t ")
    refused("number", asked, folder, texts=0)


@pytest.mark.long
@pytest.mark.parametrize("words", [("--by", "column"), ("--group", "x"), ("--partial", 1),
                                   ("--repeats", 3), ("--text", "")])  # fmt: skip
def test_mistakes_are_one_line(folder, capsys, words):
    status, out, err = call(capsys, "importance", "A", "--store", folder / "store", *words)
    assert (status, out, len(err.strip().splitlines())) == (2, "", 1), err


@pytest.mark.long
def test_a_frame_has_a_row_per_word_and_class(folder):
    actual = asked(folder, texts=100)
    frame = actual.to_frame()
    assert len(frame) == len(actual.effects)
    assert frame.filter(pl.col("moves"))["low"].is_not_null().all()
