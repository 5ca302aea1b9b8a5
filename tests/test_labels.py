"""Errors of runs, leaks of other corpora, texts to label next: on a small catalogue with two runs."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.errors import TruenessError
from trueness.judge.errors import Asked
from trueness.judge.finding import find_run
from trueness.labels.errors import How, errors, neighbour_columns
from trueness.labels.next_rows import ALIKE, Pool, label_next
from trueness.labels.other_corpus import evaluated_corpus, signatures_of
from trueness.labels.proposing import Texts, propose
from trueness.labels.scoring import scorer_of
from trueness.runner import run
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.duplicates import jaccard, normalised
from trueness.text.leaks import leaks_of
from trueness.text.signatures import TextSignatures, similarity
from trueness.text.synthetic import Catalogue
from trueness.text.tables import Table

CAMPAIGN = """\
campaign: labels
data: corpus
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 500}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, d_ff: 32}
  recipe: {learning_rate: 0.02, batch_size: 64, epochs: 2, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: A}
"""
MADE = Catalogue(rows=2400, english_share=0.6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, the same catalogue cut by another seed, another catalogue, and a store."""
    folder = tmp_path_factory.mktemp("labels")
    build(MADE, folder / "corpus", Plan(0.15, 0.2))
    build(MADE, folder / "rebuilt", Plan(0.15, 0.2, seed=7))
    build(Catalogue(rows=2400, english_share=0.6, seed=5), folder / "fresh", Plan(0.15, 0.2))
    (folder / "labels.yaml").write_text(CAMPAIGN)
    summary = run(load_campaign(folder / "labels.yaml"), Store(folder / "store"), device="cpu",
                  workers=0)  # fmt: skip
    assert not summary.failed
    return folder


def asked(folder, name="A", how=None, **more):
    sources = {"data": str(folder / "corpus")}
    return errors(Store(folder / "store"), name, sources, how or How(device="cpu"), **more)


def refused(code, call, *arguments, **how):
    with pytest.raises(TruenessError) as error:
        call(*arguments, **how)
    assert error.value.code == code, error.value


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.long
@pytest.mark.parametrize("name", ["A", "tfidf_svm", "majority"])
def test_errors_are_those_of_the_stored_scores(folder, name):
    stored = find_run(Store(folder / "store"), name)[0].predictions().part("validation")
    actual, predicted = asked(folder, name), stored.scores.argmax(axis=1)
    wrong = predicted != stored.y
    assert (actual.wrong.k, actual.wrong.n) == (wrong.sum(), len(stored))
    assert set(actual.frame["id"]) == set(stored.id[wrong])
    assert actual.frame["probability"].is_sorted(descending=True)
    table = confusion_matrix(stored.y, predicted, labels=range(len(stored.classes)))
    for pair in actual.pairs:
        label, other = map(stored.classes.index, (pair.given, pair.predicted))
        assert (pair.share.k, pair.share.n) == (table[label, other], table[label].sum())
        assert pair.share.low < pair.share.value <= pair.share.high
    np.fill_diagonal(table, 0)
    assert [one.share.k for one in actual.pairs] == sorted(table.ravel(), reverse=True)[:10] or (
        len(actual.pairs) < 10)  # fmt: skip


@pytest.mark.long
def test_probabilities_are_calibrated_per_language(folder):
    store = Store(folder / "store")
    stored = find_run(store, "A")[0]
    rows, known = stored.predictions().part("validation"), stored.record["temperatures"]
    frame = asked(folder).frame
    at = {one: i for i, one in enumerate(rows.id)}
    for row in frame.head(20).iter_rows(named=True):
        i = at[row["id"]]
        t = known["by_group"].get(rows.group[i], known["common"])
        assert row["probability"] == pytest.approx(softmax(rows.scores[i] / t).max(), abs=1e-5)


@pytest.mark.long
def test_errors_of_one_language_and_class(folder):
    whole = asked(folder).frame
    some = asked(folder, how=How(Asked(language="de", either="Shoes"), device="cpu"))
    expected = whole.filter((pl.col("language") == "de") & (
        (pl.col("given") == "Shoes") | (pl.col("predicted") == "Shoes")))  # fmt: skip
    assert some.frame["id"].to_list() == expected["id"].to_list()
    stored = find_run(Store(folder / "store"), "A")[0].predictions().part("validation")
    names = np.array(stored.classes)
    every = pl.DataFrame({"language": stored.group, "given": names[stored.y],
                          "predicted": names[stored.scores.argmax(axis=1)]})  # fmt: skip
    shoes = every.filter((pl.col("language") == "de") & (
        (pl.col("given") == "Shoes") | (pl.col("predicted") == "Shoes")))  # fmt: skip
    assert (some.wrong.k, some.wrong.n) == (len(expected), len(shoes))
    pair = some.pairs[0]
    labelled = every.filter((pl.col("language") == "de") & (pl.col("given") == pair.given))
    assert pair.share.n == len(labelled)
    given = asked(folder, how=How(Asked(given="Books", predicted="Clothing"), device="cpu"))
    assert set(given.frame["given"]) <= {"Books"}
    assert set(given.frame["predicted"]) <= {"Clothing"}
    assert given.wrong.k == len(given.frame)
    refused("no_class", asked, folder, how=How(Asked(either="Shoe")))
    refused("no_language", asked, folder, how=How(Asked(language="xx")))
    refused("no_list", asked, folder, how=How(Asked(show="wrongs")))
    refused("number", asked, folder, how=How(top=0))


@pytest.mark.long
def test_words_are_told_where_weights_are_kept(folder):
    actual = asked(folder, how=How(top=3, device="cpu"))
    assert actual.frame["words"].null_count() == len(actual.frame) - 3
    for row in actual.frame.head(3).iter_rows(named=True):
        message = (
            [one.rsplit(" ", 1)[0] for one in row["words"].split(", ")] if row["words"] else []
        )
        assert set(message) <= set(row["text"].split()) | {one.strip(",") for one in message}
    plain = asked(folder, "tfidf_svm")
    assert "words" not in plain.frame.columns
    assert any("--refit" in note for note in plain.notes)
    again = asked(folder, "tfidf_svm", How(top=3, refit=True))
    assert again.frame["words"].head(3).null_count() == 0


@pytest.mark.long
def test_neighbours_are_training_texts_that_are_alike(folder):
    actual = asked(folder, "tfidf_svm")
    some, n = actual.frame["text"].head(3).to_list(), len(actual.frame)
    train = load_corpus(folder / "corpus").part("train")
    texts = [some[0].upper() + " !", "nothing of the kind at all", f"{some[2]} sale"]
    planted = replace(train, ids=pl.Series(["x", "y", "z"]), texts=pl.Series(texts),
                      y=np.array([1, 0, 0]))  # fmt: skip
    frame = actual.frame.with_columns(*neighbour_columns(actual.frame, planted, ("a", "b")))
    assert frame["near_id"].head(3).to_list() == ["x", None, "z"]
    assert frame["near_label"].head(3).to_list() == ["b", None, "a"]
    assert frame["near_similarity"][0] == 1
    assert frame["near_similarity"][2] == jaccard(*normalised([some[2], texts[2]]))
    assert frame["near_text"][0] == texts[0]
    assert frame["near_id"].null_count() >= n - 5


@pytest.mark.long
def test_the_test_part_stays_sealed_and_the_ledger_knows(folder, tmp_path, capsys):
    shutil.copytree(folder / "store", tmp_path / "store")
    words = ("errors", "tfidf_logit", "--store", tmp_path / "store", "--data", folder / "corpus")
    code, out, err = call(capsys, *words, "--json")
    assert (code, json.loads(out)["part"]) == (0, "validation"), err
    code, out, _ = call(capsys, *words, "--open-test", "--language", "en", "--json")
    assert (code, json.loads(out)["part"]) == (0, "test")
    lines = [json.loads(one) for one in
             (tmp_path / "store" / "ledger.jsonl").read_text().splitlines()[-2:]]  # fmt: skip
    assert [(one["part"], one["opened"]) for one in lines] == [("validation", False),
                                                               ("test", True)]  # fmt: skip
    for option in (("--class", "Hats"), ("--language", "xx"), ("--top", "0")):
        status, out, err = call(capsys, *words, *option)
        assert (status, out, len(err.strip().splitlines())) == (2, "", 1), err


# ------------------------------------------------------------------------------------------- leaks


@pytest.mark.long
def test_a_rebuilt_corpus_has_no_text_of_the_training_part_left(folder):
    """Apart from what was trained on, the figure is the honest one; with it, far above."""
    train = load_corpus(folder / "corpus").part("train")
    rebuilt = load_corpus(folder / "rebuilt").part("test")
    stored, _ = find_run(Store(folder / "store"), "tfidf_svm")
    sources = {"data": str(folder / "corpus")}
    actual = evaluated_corpus("svm", stored, str(folder / "rebuilt"), "test", sources)
    same = np.isin(normalised(rebuilt.texts).to_numpy(), normalised(train.texts).to_numpy())
    assert (actual.leaks.leaked | ~same).all()
    assert actual.leaks.counts["words"] == same.sum() > 0.5 * len(rebuilt)
    honest, kept = actual.evaluate(), actual.evaluate(keep_leaks=True)
    assert honest.slices.overall.rows == (~actual.leaks.leaked).sum()
    assert kept.slices.overall.rows == len(rebuilt)
    assert kept.slices.overall.macro_f1.value > honest.slices.overall.macro_f1.value
    own = stored.record["estimates"]["macro_f1"]
    assert honest.slices.overall.macro_f1.low < own["value"] < kept.slices.overall.macro_f1.value
    assert sum(honest.leaks["kinds"].values()) == honest.leaks["leaked"]
    assert any("known from training" in one for one in honest.document().sentences())


@pytest.mark.long
def test_fresh_texts_are_kept_though_their_numbers_are_the_same(folder):
    known = signatures_of(find_run(Store(folder / "store"), "A")[0]).trained_on
    leaks = leaks_of(known, load_corpus(folder / "fresh"), "test")
    assert leaks.leaked.mean() < 0.01
    assert leaks.other_ids > 0.4 * len(leaks.kind)


def corpus_of(tmp_path, rows, name):
    table = tmp_path / f"{name}.csv"
    pl.DataFrame(rows, orient="row", schema=["id", "text", "label", "language", "cluster"]
                 ).write_csv(table)  # fmt: skip
    return build(Table(table), tmp_path / name, Plan(0.2, 0.2, detect=False, threshold=None))


def test_each_kind_of_leak_is_told(tmp_path):
    """Words, near-duplicates, trusted ids, and what shares a cluster with one of them."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), 7)) for _ in range(400)]

    def title():
        return " ".join(rng.choice(words, 9))

    trained = [title() for _ in range(30)]
    known = TextSignatures.of(pl.Series([f"k{i}" for i in range(30)]), pl.Series(trained))
    rows = [(f"n{i}", title(), "ab"[i % 2], "en", f"c{i}") for i in range(60)]
    rows += [(f"k{i}", trained[i].upper(), "ab"[i % 2], "en", f"w{i}") for i in range(10)]
    rows += [(f"d{i}", trained[i] + " zz", "ab"[i % 2], "en", f"d{i}") for i in range(10, 20)]
    rows += [(f"k{i}", title(), "ab"[i % 2], "en", f"i{i}") for i in range(20, 24)]
    rows += [(f"m{i}", title(), "ab"[i % 2], "en", f"w{i}") for i in range(10)]
    made, counts, ids = corpus_of(tmp_path, rows, "kinds"), Counter(), {}
    for part in ("train", "validation", "test"):
        actual = leaks_of(known, made, part)
        counts.update(actual.counts)
        ids |= dict(zip(made.part(part).ids, actual.kind.tolist(), strict=True))
        assert actual.other_ids == 0
    assert counts == {"words": 10, "near_duplicate": 10, "id": 4, "cluster": 10}
    assert {ids[f"n{i}"] for i in range(60)} == {-1}
    assert {ids[f"m{i}"] for i in range(10)} == {3}


@pytest.mark.long
def test_evaluate_says_what_it_left_out(folder, tmp_path, capsys):
    shutil.copytree(folder / "store", tmp_path / "store")
    words = ("text", "evaluate", "A", "--store", tmp_path / "store", "--corpus",
             folder / "rebuilt", "--device", "cpu", "--json")  # fmt: skip
    actual = {}
    for option in ((), ("--keep-leaks",)):
        code, out, err = call(capsys, *words, *option)
        assert code == 0, err
        actual[option] = json.loads(out)
    without, kept = actual[()], actual["--keep-leaks",]
    assert without["leaks"]["leaked"] == kept["leaks"]["leaked"] > 0
    assert without["leaks"]["kept"] is False
    assert kept["overall"]["rows"] - without["overall"]["rows"] == kept["leaks"]["leaked"]


@pytest.mark.long
def test_the_whole_of_another_corpus_is_evaluated_if_asked(folder, tmp_path, capsys):
    shutil.copytree(folder / "store", tmp_path / "store")
    words = ("text", "evaluate", "A", "--store", tmp_path / "store", "--corpus",
             folder / "fresh", "--device", "cpu")  # fmt: skip
    code, out, err = call(capsys, *words, "--whole", "--json")
    assert code == 0, err
    actual, other = json.loads(out), load_corpus(folder / "fresh")
    n = sum(other.statistics["rows"].values())
    assert actual["part"] == "whole"
    assert actual["leaks"]["n"] == n
    assert actual["overall"]["rows"] == n - actual["leaks"]["leaked"]
    assert "all parts" in (tmp_path / "store" / "ledger.jsonl").read_text()
    code, out, _ = call(capsys, *words)
    assert f"validation part of corpus {folder / 'fresh'} · " in " ".join(out.split())
    assert call(capsys, *words, "--whole", "--open-test")[0] == 2


@pytest.mark.long
def test_a_run_that_does_not_know_its_texts_is_refused(folder):
    stored, _ = find_run(Store(folder / "store"), "A")
    del stored.record["files"]["texts.safetensors"]
    refused("no_signatures", signatures_of, stored)


@pytest.mark.long
def test_n_grams_that_are_fitted_again_give_the_stored_scores(folder):
    stored, _ = find_run(Store(folder / "store"), "tfidf_logit")
    corpus = load_corpus(folder / "corpus")
    logits = scorer_of(stored, "t", {"data": str(folder / "corpus")})
    titles, rows = corpus.part("test"), stored.predictions().part("test")
    at = {one: i for i, one in enumerate(rows.id)}
    np.testing.assert_allclose(
        logits(titles.texts), rows.scores[[at[one] for one in titles.ids]], atol=1e-2
    )
    refused("other_data", scorer_of, stored, "t", {"data": str(folder / "fresh")})


# -------------------------------------------------------------------------------------- label next


def pool_of(texts, p, language=None):
    n = len(texts)
    ids = pl.Series([f"r{i}" for i in range(n)])
    codes = np.array(language or ["en"] * n)
    return Pool(ids, pl.Series(texts, dtype=pl.String), codes, np.asarray(p), ("a", "b", "c"))


def test_unsure_texts_come_first_and_rare_languages_before():
    texts = [f"{w} {w} something else" for w in ("alpha", "bravo", "charlie", "delta", "echo")]
    p = [[0.5, 0.5, 0], [0.9, 0.1, 0], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.4, 0.35, 0.25]]
    pool = pool_of(texts, p, ["en", "en", "en", "it", "und"])
    actual = label_next("x", pool, {"en": 900, "it": 30, "und": 5}, None, 5).frame
    assert actual["id"].to_list() == ["r3", "r0", "r4", "r2", "r1"]
    assert "3.2 % of the labelled texts are in it" in actual["reason"][0]
    assert (actual["label"] == "").all()


def test_texts_like_labelled_ones_and_like_each_other_are_passed_over():
    texts = ["red running shoe size 40", "RED running shoe, size 40", "garden hose green 20 m",
             "silver ring with a stone", ""]  # fmt: skip
    p = np.tile([0.4, 0.3, 0.3], (5, 1))
    known = TextSignatures.of(pl.Series(["l"]), pl.Series(["silver ring with a stone!"]))
    actual = label_next("x", pool_of(texts, p), {"en": 9}, known, 10)
    assert actual.frame["id"].to_list() == ["r0", "r2"]
    assert (actual.near_labelled, actual.near_chosen, actual.n) == (1, 1, 5)
    sketch = TextSignatures.of(actual.frame["id"], actual.frame["text"]).sketch
    assert similarity(sketch[:1], sketch[1:]).max() < ALIKE


@pytest.mark.long
def test_a_run_and_its_bundle_propose(folder, tmp_path, capsys):
    fresh = load_corpus(folder / "fresh").part("train")
    table = pl.DataFrame({"offer": fresh.ids, "text": fresh.texts, "language": fresh.language})
    table.write_csv(tmp_path / "pool.csv")
    shutil.copytree(folder / "store", tmp_path / "store")
    code, out, err = call(
        capsys, "label-next", "A", "--store", tmp_path / "store", "--data", tmp_path / "pool.csv",
        "-n", 20, "--id-column", "offer", "--language-column", "language", "--device", "cpu",
        "--csv", tmp_path / "next.csv", "--json")  # fmt: skip
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert len(rows) == len(pl.read_csv(tmp_path / "next.csv")) == 20
    code, _, err = call(capsys, "finalize", "A", "--store", tmp_path / "store", "--data",
                        folder / "corpus", "--no-refit", "--out", tmp_path / "bundle")  # fmt: skip
    assert code == 0, err
    texts = Texts(str(tmp_path / "pool.csv"), (), "language", "offer")
    actual = propose(Store(tmp_path / "store"), str(tmp_path / "bundle"), texts, 20, device="cpu")
    assert actual.frame["id"].to_list() == [one["id"] for one in rows]
    refused("number", propose, Store(tmp_path / "store"), "A", texts, 0)
