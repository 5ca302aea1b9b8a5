"""Bundles on titles: the winner is used, whatever it is, with its promise, and watched."""

import io
import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import log_softmax

import trueness
from tests.test_cli import call
from trueness.bundle.class_promise import class_promise_of
from trueness.bundle.classifying import ABSTAINS, ANSWERED, UNCERTIFIED
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.format import DESCRIPTION, open_bundle
from trueness.bundle.log import read_log
from trueness.bundle.predicting import load
from trueness.campaign import load_campaign
from trueness.errors import StoreError, TruenessError
from trueness.files import read_json, write_json
from trueness.judge.finding import find_run
from trueness.onnxfile import Session
from trueness.runner import run
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.inputs import input_texts
from trueness.text.synthetic import Catalogue
from trueness.text.tables import Columns, Table

ROOT = Path(__file__).parents[1]
CAMPAIGN = """\
campaign: use
data: corpus
reference: A
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 500}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, d_ff: 32, head: {kind: residual, hidden: 16}}
  recipe: {learning_rate: 0.01, batch_size: 64, epochs: 1, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: A}
  - {id: N, model: {kind: vectors, head: {kind: network, hidden: 16}}, recipe: {learning_rate: 0.003, warmup_steps: 0, epochs: 3}}
  - {id: B, recipe: {start: A, learning_rate: 0.001}, loss.teacher: {run: A}}
"""
KINDS = ("A", "majority", "tfidf_logit", "tfidf_svm", "wordllama", "N")
CERTIFIED = 0.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus and its store; read only."""
    folder = tmp_path_factory.mktemp("titles")
    build(
        Catalogue(rows=1500, english_share=0.7), folder / "corpus", Plan(validation=0.2, test=0.2)
    )
    (folder / "use.yaml").write_text(CAMPAIGN)
    summary = run(
        load_campaign(folder / "use.yaml"), Store(folder / "store"), device="cpu", workers=0
    )
    assert not summary.failed
    return folder


def _finalized(folder, kind, out, **how):
    return finalize_named(Store(folder / "store"), kind, {"data": folder / "corpus"}, out,
                          device="cpu", **how)  # fmt: skip


@pytest.fixture(scope="module")
def bundles(folder):
    """A bundle of every kind of model, and of the encoder as it was trained; read only."""
    actual = {}
    for kind in KINDS:
        actual[kind] = folder / "bundles" / kind
        _finalized(folder, kind, actual[kind], precision=CERTIFIED)
    actual["kept"] = folder / "bundles" / "kept"
    _finalized(folder, "A", actual["kept"], refit=False)
    return actual


# ------------------------------------------------------------------------------------------ finalize


@pytest.mark.long
def test_weights_that_were_judged_give_the_stored_scores(folder, bundles):
    part = find_run(Store(folder / "store"), "A")[0].predictions().part("validation")
    titles = load_corpus(folder / "corpus").part("validation")
    logits = load(bundles["kept"], device="cpu").logits(titles.texts)
    place = {one: i for i, one in enumerate(titles.ids)}
    rows = [place[one] for one in part.frame["id"]]
    np.testing.assert_allclose(logits[rows], part.scores, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_refit_is_trained_on_all_but_the_part_that_stops_it(folder, bundles, kind):
    corpus, bundle = load_corpus(folder / "corpus"), open_bundle(bundles[kind])
    sizes = {name: len(corpus.part(name)) for name in ("train", "validation", "test")}
    refit = bundle.description["refit"]
    assert refit["train"] == [sizes["train"] + sizes["test"]]
    assert refit["validation"] == [sizes["validation"]]
    assert not (folder / "store" / "checkpoints").exists() or not [
        *(folder / "store" / "checkpoints").glob("*refit*")
    ]


@pytest.mark.long
def test_more_texts_change_the_model_and_the_test_texts_are_known_to_it(folder, bundles):
    """The run never saw the test texts, its refit did."""
    test = load_corpus(folder / "corpus").part("test")
    store = Store(folder / "store")
    before = find_run(store, "tfidf_logit")[0].predictions().part("test").scores
    after = load(bundles["tfidf_logit"]).logits(test.texts)
    right = [(logits.argmax(axis=1) == test.y).mean() for logits in (before, after)]
    assert right[1] > right[0] + 0.05


@pytest.mark.long
def test_an_encoder_that_began_with_another_run_is_refitted_from_it(folder, tmp_path):
    made = _finalized(folder, "B", tmp_path / "b", seeds=2)
    assert len(made.bundle.members) == 2
    texts = pl.Series(["Damen Laufschuhe", "Roman"])
    one, two = (member.logits(texts) for member in load(tmp_path / "b", device="cpu").opened)
    assert not np.allclose(one, two)
    np.testing.assert_allclose(load(tmp_path / "b", device="cpu").logits(texts), (one + two) / 2)


@pytest.mark.long
def test_thresholds_are_those_that_the_validation_part_certifies(folder, bundles):
    promise = load(bundles["tfidf_logit"]).promise
    expected = class_promise_of(find_run(Store(folder / "store"), "tfidf_logit")[0], CERTIFIED)
    assert promise == expected
    assert promise.promised == CERTIFIED
    assert promise.thresholds["en"].threshold is not None
    whole = class_promise_of(find_run(Store(folder / "store"), "tfidf_logit")[0])
    assert whole.promised == whole.base_rate.low < whole.base_rate.value


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "how", "code"),
    [
        ("tfidf_svm", {"refit": False}, "no_weights"), ("A", {"refit": False, "seeds": 2}, "seeds"),
        ("A", {"precision": 1.0}, "range"), ("A", {"precision": float("nan")}, "range"),
        ("A", {"seeds": 0}, "seeds"),
    ],
)  # fmt: skip
def test_what_cannot_be_finalized_is_refused(folder, tmp_path, kind, how, code):
    with pytest.raises(TruenessError) as caught:
        _finalized(folder, kind, tmp_path / "b", **how)
    assert caught.value.code == code
    assert not (tmp_path / "b").exists()


@pytest.mark.long
def test_another_corpus_is_refused(folder, tmp_path):
    build(Catalogue(rows=700, seed=9), tmp_path / "other", Plan(validation=0.2, test=0.2))
    with pytest.raises(TruenessError) as caught:
        finalize_named(Store(folder / "store"), "A", {"data": tmp_path / "other"}, tmp_path / "b")
    assert caught.value.code == "other_corpus"


# ------------------------------------------------------------------------------------------- predict


@pytest.mark.long
@pytest.mark.parametrize("kind", [*KINDS, "kept"])
def test_answers_follow_from_probability_language_and_threshold(folder, bundles, kind):
    titles = load_corpus(folder / "corpus").part("validation")
    predictor = load(bundles[kind], device="cpu")
    promise = predictor.promise
    table = pl.DataFrame({"text": titles.texts, "language": titles.language})
    actual = predictor.predict(input_texts(table, language_column="language")).frame
    logits = predictor.logits(titles.texts)
    probabilities = promise.temperatures.probabilities(logits, titles.language)
    assert actual["label"].to_list() == [promise.classes[i] for i in logits.argmax(axis=1)]
    np.testing.assert_allclose(actual["calibrated"], probabilities.max(axis=1))
    for row, p in zip(actual.iter_rows(named=True), probabilities.max(axis=1), strict=True):
        own = promise.thresholds.get(row["language"], promise.thresholds.get("other"))
        if promise.precision is None:
            assert row["answer"] == ANSWERED
        elif own is None or own.threshold is None or p < own.threshold:
            assert row["answer"] == ABSTAINS
        else:
            sure = own.guaranteed and row["language"] in (own.pooled or promise.thresholds)
            assert row["answer"] == (ANSWERED if sure else UNCERTIFIED)


@pytest.mark.long
def test_further_classes_have_calibrated_probabilities(bundles):
    predictor = load(bundles["tfidf_logit"])
    inputs = input_texts(["red shoe", "Kochbuch", "gold ring", ""])
    first, every = predictor.predict(inputs).frame, predictor.predict(inputs, top=8).frame
    assert every.select(first.columns).equals(first)
    columns = ["label", *(f"label_{i}" for i in range(2, 9))]
    p = every.select("calibrated", *(f"calibrated_{i}" for i in range(2, 9))).to_numpy()
    assert (np.diff(p, axis=1) <= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for row, shares in zip(predictor.probabilities(inputs), p, strict=True):
        np.testing.assert_allclose(np.sort(row)[::-1], shares)
    assert all(sorted(row) == list(predictor.promise.classes)
               for row in every.select(columns).iter_rows())  # fmt: skip
    for top in (0, 9, 2.5):
        with pytest.raises(TruenessError) as caught:
            predictor.predict(inputs, top=top)
        assert caught.value.code == "number"


@pytest.mark.long
def test_further_classes_are_printed_and_written(bundles, tmp_path, capsys, monkeypatch):
    (tmp_path / "texts.txt").write_text("red shoe\ngold ring\n")
    files = [str(tmp_path / name) for name in ("a.csv", "a.parquet")]
    command = ["predict", str(bundles["tfidf_svm"]), "--data", str(tmp_path / "texts.txt"),
               "--no-log", "--top", "3"]  # fmt: skip
    code, out, _ = call(capsys, *command, "--csv", files[0], "--parquet", files[1])
    assert code == 0
    assert "class 3" in out
    written = pl.read_csv(files[0])
    assert {"label_2", "calibrated_2", "label_3", "calibrated_3"} <= set(written.columns)
    assert pl.read_parquet(files[1]).columns == written.columns
    rows = json.loads(call(capsys, *command, "--json")[1])["rows"]
    assert rows[0]["label_3"] == written["label_3"][0]


@pytest.mark.long
def test_languages_are_told_in_use_as_they_were_in_the_corpus(bundles, tmp_path):
    """By the n-grams of the corpus where they were given, by the detector alone where not."""
    predictor, inputs = load(bundles["tfidf_logit"]), input_texts(["Slim fit cotton shirt, navy"])
    assert predictor.language_model is not None
    assert predictor.predict(inputs).frame["language"].to_list() == ["en"]
    copy = tmp_path / "detected"
    shutil.copytree(bundles["tfidf_logit"], copy)
    content = read_json(copy / DESCRIPTION)
    content["data"]["gate"] = 0.5
    write_json(copy / DESCRIPTION, content)
    assert load(copy).predict(inputs).frame["language"].to_list() == ["und"]
    model = bundles["tfidf_logit"] / "languages" / "model.npz"
    other = tmp_path / "damaged"
    shutil.copytree(bundles["tfidf_logit"], other)
    (other / "languages" / "model.npz").write_bytes(model.read_bytes()[:-9])
    with pytest.raises(TruenessError) as caught:
        load(other).predict(inputs)
    assert caught.value.code == "damaged"


@pytest.mark.long
def test_texts_are_answered_in_portions_as_all_at_once(bundles, monkeypatch):
    predictor = load(bundles["tfidf_logit"])
    inputs = input_texts([f"red shoe {i}" for i in range(30)])
    whole = predictor.predict(inputs).frame
    monkeypatch.setattr("trueness.bundle.classifying.PORTION", 7)
    assert predictor.predict(inputs).frame.equals(whole)


@pytest.mark.long
def test_rows_without_a_text_abstain_and_unseen_languages_are_told(bundles):
    table = pl.DataFrame(
        {"text": ["red shoe", None, " \t", "Qapla"], "lang": ["en", "en", "de", "fi"]}
    )
    answer = trueness.load(bundles["tfidf_logit"]).predict(table, language_column="lang")
    frame = answer.to_frame()
    assert frame["odd"].to_list()[:3] == ["", "no text", "no text"]
    assert "fi" in frame["odd"][3]
    assert frame["answer"].to_list()[1:3] == [ABSTAINS, ABSTAINS]
    assert any("2 rows" in note for note in answer.to_dict()["notes"])


@pytest.fixture
def stdin(monkeypatch):
    def piped(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return piped


def _predicted(capsys, bundle, *words):
    code, out, err = call(capsys, "predict", bundle, "--no-log", "--json", *words)
    assert code == 0, err
    return json.loads(out)


@pytest.mark.long
def test_a_line_of_stdin_is_one_text_whatever_it_holds(bundles, stdin, capsys):
    stdin("\ufeffred\x0bshoe\r\nblue\u2028car\nlast\x85one".encode())
    rows = _predicted(capsys, bundles["tfidf_svm"], "--data", "-")["rows"]
    assert [row["text"] for row in rows] == ["red\x0bshoe", "blue\u2028car", "last\x85one"]


@pytest.mark.long
def test_white_space_does_not_change_a_prediction(bundles, stdin, capsys):
    stdin(b"red running shoe\n  red\t running\x01shoe \n")
    one, two = _predicted(capsys, bundles["kept"], "--data", "-")["rows"]
    assert [one[n] for n in ("id", "score", "language")] == [
        two[n] for n in ("id", "score", "language")
    ]


@pytest.mark.long
def test_columns_of_a_table_are_kept_as_they_are(bundles, tmp_path, capsys):
    file, out = tmp_path / "a.CSV", tmp_path / "b.parquet"
    file.write_text("text,label,language,code\n007,mine,pt_BR,0012\nred shoe,his,,1e3\n")
    _predicted(capsys, bundles["kept"], "--data", file, "--language-column", "language",
               "--parquet", out)  # fmt: skip
    answer = pl.read_parquet(out)
    assert answer["text"].to_list() == ["007", "red shoe"]
    assert answer["code"].to_list() == ["0012", "1e3"]
    assert answer["given_label"].to_list() == ["mine", "his"]
    assert answer["given_language"].to_list() == ["pt_BR", None]
    assert answer["language"].to_list() == ["pt", "und"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content", "words", "code"),
    [
        ("a.csv", b"", (), "empty"), ("a.csv", b"text\n", (), "no_text"),
        ("a.csv", b"title\nx\n", (), "missing_column"), ("a.csv", b"text\nx\n", ("--id-column", "id"), "missing_column"),
        ("a.csv", b"text\n\xff\xfe\n", (), None), ("a.parquet", b"PAR1", (), None),
        ("a.jsonl", b"{", (), None), ("a.jsonl", b'{"text": [1]}\n', (), "not_text"),
        ("a.txt", b"", (), "no_text"), ("a.txt", b"\xff", (), None),
        ("a.csv", b"text,label,given_label\na,b,c\n", (), "columns"),
        ("a.csv", b"text,id\na,1\nb,1\n", ("--id-column", "id"), "ids"),
        ("a.csv", b"text,id\na,1\nb,\n", ("--id-column", "id"), "ids"),
        ("a.csv", b"text,l\na,us\n", ("--language-column", "l"), "country"),
        ("a.csv", b"text\na\n", ("--since", "2020-01-01"), "since"),
        ("a.csv", b"text\na\n", ("--vix", "synthetic"), "no_source"),
    ],
)  # fmt: skip
def test_texts_that_cannot_be_used_are_refused(
    bundles, tmp_path, capsys, name, content, words, code
):
    (tmp_path / name).write_bytes(content)
    status, out, err = call(
        capsys, "predict", bundles["tfidf_logit"], "--data", tmp_path / name, *words
    )
    assert (status, out, err.count("\n")) == (2, "", 1)
    names = [one.removeprefix("--").replace("-", "_") for one in words[::2]]
    options, bundle = (
        dict(zip(names, words[1::2], strict=True)),
        trueness.load(bundles["tfidf_logit"]),
    )
    with pytest.raises(TruenessError) as caught:
        bundle.predict(tmp_path / name, **options)
    assert code is None or caught.value.code == code


@pytest.mark.long
def test_a_classifier_of_scikit_learn_gives_calibrated_probabilities(folder, bundles):
    titles = load_corpus(folder / "corpus").part("validation")
    classifier = trueness.load(bundles["tfidf_logit"]).as_estimator()
    texts = titles.texts.to_list()[:40]
    p = classifier.predict_proba(texts)
    assert p.shape == (40, len(classifier.classes_))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (
        classifier.predict(np.array(texts)).tolist()
        == classifier.classes_[p.argmax(axis=1)].tolist()
    )
    with pytest.raises(TruenessError) as caught:
        classifier.fit(texts)
    assert caught.value.code == "fitted"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["tfidf_logit", "N"])
def test_torch_is_not_loaded_for_n_grams_and_vectors(bundles, tmp_path, kind):
    import subprocess

    (tmp_path / "a.txt").write_text("red shoe\n")
    code = (
        "import sys, trueness; "
        f"trueness.load({str(bundles[kind])!r}).predict({str(tmp_path / 'a.txt')!r}); "
        "sys.exit(any(one in sys.modules for one in ('torch', 'wordllama')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# ------------------------------------------------------------------------------- what is given how


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.xlsx", b"PK\x03\x04rest", "suffix"), ("a.doc", b"red shoe\n", "suffix"),
        ("a.txt", b"PK\x03\x04rest", "unreadable"), ("a.txt", b"red\0shoe\n", "encoding"),
        ("a.txt", b"caf\xe9\n", "encoding"), ("-", b"red shoe\ncaf\xe9\n", "encoding"),
        ("-", b"PAR1\x15\x04", "unreadable"), ("-", b"id,text\n1,red shoe\n", "table"),
        ("-", b'"nr";"title"\n1;red shoe\n', "table"), ("a.txt", b"text\tlabel\na\tb\n", "table"),
        ("-", b'{"text": "red shoe"}\n', "table"),
    ],
)  # fmt: skip
def test_what_is_no_text_a_line_is_refused(bundles, stdin, tmp_path, capsys, name, content, code):
    stdin(content)
    if name != "-":
        (tmp_path / name).write_bytes(content)
    data = "-" if name == "-" else tmp_path / name
    status, out, err = call(capsys, "predict", bundles["majority"], "--data", data)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "codec" not in err
    stdin(content)
    with pytest.raises(TruenessError) as caught:
        input_texts(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "texts", "n_notes"),
    [
        (b"Jeans, blue, 32\n", ["Jeans, blue, 32"], 0), (b"title\nred shoe\n", ["title", "red shoe"], 1),
        (b"red shoe\n\ntext\n", ["red shoe", "", "text"], 0), (b"{red} shoe\n", ["{red} shoe"], 0),
        ("\ufeffred".encode("utf-16-le"), ["red"], 0), (b"", [], 0),
    ],
)  # fmt: skip
def test_lines_are_texts_and_a_name_of_a_column_is_told(stdin, content, texts, n_notes):
    stdin(content)
    if not texts:
        with pytest.raises(TruenessError) as caught:
            input_texts("-")
        assert caught.value.code == "no_text"
        return
    inputs = input_texts("-")
    assert (inputs.texts.to_list(), len(inputs.notes)) == (texts, n_notes)


def test_a_separator_of_no_table_is_refused(stdin):
    stdin(b"red shoe\n")
    with pytest.raises(TruenessError) as caught:
        input_texts("-", separator=";")
    assert caught.value.code == "no_option"


@pytest.mark.long
def test_what_is_no_language_is_told_with_counts_and_what_may_be_meant(bundles):
    values = ["de", "germany", "Germany", "zz", None, "und", " ", "xyz"]
    table = pl.DataFrame({"text": ["Damen Laufschuhe"] * len(values), "lang": values})
    answer = trueness.load(bundles["tfidf_logit"]).predict(table, language_column="lang")
    frame, (note,) = answer.to_frame(), [n for n in answer.to_dict()["notes"] if "no code" in n]
    assert frame["language"].to_list() == ["de", *["und"] * 6, "xyz"]
    assert note.startswith("3 rows")
    assert "'germany' (1; de?)" in note
    assert "'zz' (1)" in note


RECIPE = {
    "text": ["title", "more"],
    "label": "kind",
    "language": "lang",
    "cluster": None,
    "id": "nr",
}


@pytest.mark.long
def test_columns_of_the_corpus_are_taken_where_they_are_there(bundles):
    table = pl.DataFrame({"nr": [7, 8], "title": ["red", "rote"], "more": ["shoe", None],
                          "lang": ["en", "de"], "language": ["fr", "fr"]})  # fmt: skip
    inputs = input_texts(table, recipe=RECIPE)
    assert inputs.texts.to_list() == ["red shoe", "rote"]
    assert inputs.ids.tolist() == ["7", "8"]
    assert inputs.languages.tolist() == ["en", "de"]
    assert len(inputs.notes) == 3
    named = input_texts(
        table, ["more"], language_column="language", id_column="title", recipe=RECIPE
    )
    assert (named.texts.to_list(), named.ids.tolist()) == (["shoe", ""], ["red", "rote"])
    assert (named.languages.tolist(), named.notes) == (["fr", "fr"], ())


def test_a_column_of_languages_that_is_not_read_is_told_and_ids_that_repeat_name_nothing():
    table = pl.DataFrame({"nr": [7, 7], "text": ["red", "blue"], "language": ["en", "de"]})
    inputs = input_texts(table, recipe={**RECIPE, "language": None})
    assert inputs.languages is None
    assert inputs.ids is None
    assert ["language" in note or "nr" in note for note in inputs.notes] == [True, True]
    assert input_texts(table.drop("language")).notes == ()


def test_a_bundle_knows_the_columns_that_its_corpus_was_built_from(tmp_path, capsys):
    """From a table to a corpus to a bundle, whose records open what they were made on."""
    made = Catalogue(rows=700, english_share=0.6)
    (batch,) = [b for piece in made.pieces() for b in made.batches(piece)][:1]
    rows = batch.frame.select(nr="id", title="text", kind="label", lang="language", one="cluster")
    rows.write_csv(tmp_path / "offers.csv")
    columns = Columns(("title",), "kind", "lang", "one", "nr")
    build(
        Table(tmp_path / "offers.csv", columns),
        tmp_path / "deep" / "corpus",
        Plan(validation=0.2, test=0.2),
    )
    content = CAMPAIGN.partition("  - {id: B")[0].replace("data: corpus", "data: deep/corpus")
    (tmp_path / "c.yaml").write_text(content)
    run(load_campaign(tmp_path / "c.yaml"), Store(tmp_path / "s"), device="cpu", workers=0)
    finalize_named(Store(tmp_path / "s"), "tfidf_logit", {}, tmp_path / "b")
    read = _predicted(capsys, tmp_path / "b", "--data", tmp_path / "offers.csv")
    assert [row["id"] for row in read["rows"]] == rows["nr"].cast(pl.String).to_list()
    assert [row["language"] for row in read["rows"]] == rows["lang"].to_list()
    assert sum("as in the corpus" in note for note in read["notes"]) == 3


# ---------------------------------------------------------------------------------------- importance


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_of_any_kind_says_which_words_move_it(bundles, capsys, kind):
    predictor = load(bundles[kind], device="cpu")
    code, out, err = call(capsys, "importance", bundles[kind], "--text", "red shoe new", "--json")
    assert code == 0, err
    (_, actual, _) = json.loads(out)["text"]["words"]
    whole, without = log_softmax(predictor.logits(pl.Series(["red shoe new", "red new"])), axis=1)
    for k, name in enumerate(predictor.promise.classes):
        assert actual["effect"][name] == pytest.approx(whole[k] - without[k], abs=1e-4)


@pytest.mark.long
def test_a_bundle_is_asked_about_the_texts_of_a_file(folder, bundles, tmp_path, capsys):
    texts = load_corpus(folder / "corpus").part("validation").texts
    pl.DataFrame({"text": [*texts, None]}).write_csv(tmp_path / "new.csv")
    actual = trueness.importance(
        bundles["tfidf_logit"], data=tmp_path / "new.csv", texts=150
    ).to_dict()
    assert (actual["part"], actual["n"], actual["of"]) == ("given", 150, len(texts))
    assert any(one["moves"] for one in actual["effects"])
    assert trueness.importance(bundles["majority"], data=tmp_path / "new.csv", texts=30)


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "no_data"), (("--data", "new.csv", "--open-test"), "no_option"),
        (("--text", "a b", "--texts", 5), "no_option"), (("--text", "a b", "--seed", 1), "no_option"),
        (("--text", "a b", "--open-test"), "no_option"), (("--by", "column"), "no_option"),
    ],
)  # fmt: skip
def test_what_a_bundle_cannot_be_asked_is_refused(
    bundles, tmp_path, capsys, monkeypatch, words, code
):
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_text("text\nred shoe\n")
    status, out, err = call(capsys, "importance", bundles["tfidf_logit"], *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    if words[:1] != ("--by",):
        options = {"--text": "text", "--texts": "texts", "--seed": "seed", "--data": "data"}
        how = {options[w]: words[i + 1] for i, w in enumerate(words) if w in options}
        with pytest.raises(TruenessError) as caught:
            trueness.importance(bundles["tfidf_logit"], **how, open_test="--open-test" in words)
        assert caught.value.code == code


@pytest.mark.long
@pytest.mark.parametrize("name", ["notes.txt", "members/0/more.bin", "languages/link.npz"])
def test_a_file_that_nobody_vouches_for_is_refused(bundles, tmp_path, capsys, name):
    shutil.copytree(bundles["tfidf_logit"], tmp_path / "b")
    path = tmp_path / "b" / name
    if "link" in name:
        path.symlink_to(tmp_path / "b" / "languages" / "model.npz")
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    code, out, err = call(capsys, "predict", tmp_path / "b", "--data", "-")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(path) in err
    path.unlink()
    assert open_bundle(tmp_path / "b").name == "tfidf_logit"


# ------------------------------------------------------------------------------------------- monitor


def _logged(folder, tmp_path, kind="tfidf_logit", precision=CERTIFIED):
    out = tmp_path / "b"
    _finalized(folder, kind, out, precision=precision)
    validation = load_corpus(folder / "corpus").part("validation")
    table = pl.DataFrame({"text": validation.texts, "nr": validation.ids,
                          "lang": validation.language})  # fmt: skip
    bundle = trueness.load(out)
    answer = bundle.predict(table, id_column="nr", language_column="lang", log=True).to_frame()
    names = load_corpus(folder / "corpus").classes
    return (
        bundle,
        answer,
        pl.DataFrame({"id": validation.ids, "y": [names[i] for i in validation.y]}),
    )


@pytest.mark.long
def test_labels_of_texts_come_from_no_bars(folder, tmp_path):
    bundle, _, _ = _logged(folder, tmp_path)
    with pytest.raises(TruenessError) as caught:
        bundle.monitor()
    assert caught.value.code == "no_labels"
    assert "bars" not in str(caught.value)


@pytest.mark.long
def test_outcomes_are_held_against_answers_the_promise_speaks_of(folder, tmp_path):
    bundle, answer, labels = _logged(folder, tmp_path)
    actual = bundle.monitor(labels=labels).to_dict()
    joined = answer.join(labels, on="id")
    held = joined.filter(pl.col("answer") == ANSWERED)
    hits = int((held["label"] == held["y"]).sum())
    assert (actual["precision"]["k"], actual["precision"]["n"]) == (hits, len(held))
    assert actual["base_rate"]["k"] == int((joined["label"] == joined["y"]).sum())
    assert actual["refuted"] is None
    assert actual["promised"] == CERTIFIED


@pytest.mark.long
def test_a_promise_that_is_broken_is_refuted(folder, tmp_path, capsys):
    bundle, answer, labels = _logged(folder, tmp_path)
    other = "Shoes" if answer["label"][0] == "Clothing" else "Clothing"
    said = dict(zip(answer["id"], answer["label"], strict=True))
    wrong = labels.with_columns(
        y=pl.Series([other if said[one] != other else "no such class" for one in labels["id"]])
    )
    wrong.write_csv(tmp_path / "labels.csv")
    code, out, _ = call(
        capsys, "monitor", tmp_path / "b", "--labels", tmp_path / "labels.csv", "--json"
    )
    assert code == 1
    actual = json.loads(out)
    assert actual["refuted"] in answer["id"].to_list()
    assert any("no such class" in note for note in actual["notes"])
    with pytest.raises(TruenessError) as caught:
        bundle.monitor(labels=labels)
    assert caught.value.code == "contradiction"


@pytest.mark.long
def test_only_a_fall_is_said_to_drift(folder, tmp_path):
    bundle, answer, labels = _logged(folder, tmp_path)
    shutil.copytree(tmp_path / "b", tmp_path / "other")
    right = labels.select("id").join(answer.select("id", y="label"), on="id")
    note = " ".join(str(bundle.monitor(labels=right)).split())
    assert ": rose" in note
    assert "probabilities are too low" in note
    assert "drifts" not in note
    other = "Shoes" if answer["label"][0] == "Clothing" else "Clothing"
    wrong = right.with_columns(y=pl.when(pl.col("y") == other).then(pl.lit("Toys"))
                               .otherwise(pl.lit(other)))  # fmt: skip
    actual = trueness.load(tmp_path / "other").monitor(labels=wrong)
    assert "drifts, fell" in " ".join(str(actual).split())
    shown = actual.document().tables()[0]
    assert len(shown.rows) == 20
    assert f"{len(actual.judgement.alarms) - 20} more; --csv FILE has all" in shown.note


@pytest.mark.long
def test_repeated_texts_in_the_log_are_told(folder, tmp_path):
    _finalized(folder, "tfidf_logit", tmp_path / "b", precision=CERTIFIED)
    bundle = trueness.load(tmp_path / "b")
    table = pl.DataFrame({"text": ["Red shoes", "Blue bag"] * 15, "nr": range(30)})
    shown = bundle.predict(table, id_column="nr", log=True).document().tables()[0]
    assert len(shown.rows) == 20
    assert shown.note == "… 10 more; --csv FILE has all."
    labels = pl.DataFrame({"id": [str(i) for i in range(30)], "y": ["Shoes"] * 30})
    (note,) = bundle.monitor(labels=labels).judgement.notes
    assert note.startswith("28 of 30 texts")


@pytest.mark.long
def test_outcomes_count_in_the_order_in_which_they_came(folder, tmp_path):
    bundle, _, labels = _logged(folder, tmp_path)
    first = bundle.monitor(labels=labels.tail(40)).to_frame()
    second = bundle.monitor(labels=labels.head(60)).to_frame()
    assert second["id"].to_list()[:40] == first["id"].to_list() == labels["id"].to_list()[-40:]
    held = first["wealth"].drop_nulls().to_list()
    assert second["wealth"].drop_nulls().to_list()[: len(held)] == held


@pytest.mark.long
def test_equal_texts_are_one_line_of_the_log(folder, tmp_path):
    _finalized(folder, "tfidf_logit", tmp_path / "b")
    bundle = trueness.load(tmp_path / "b")
    for _ in range(2):
        bundle.predict(["red shoe", "blue shoe", "red shoe"], log=True)
    assert len(read_log(open_bundle(tmp_path / "b")).predictions) == 2
    assert Counter(
        line["label"] for line in read_log(open_bundle(tmp_path / "b")).predictions.values()
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({"id": ["zzz"], "y": ["Shoes"]}, "unknown_ids"), ({"id": ["zzz"]}, "missing_column"),
        ({"id": ["zzz"], "y": [None]}, "labels"), ({"id": ["zzz"], "y": ["shoes"]}, "labels"),
        ({"id": ["z", "a"], "y": ["Nonsense", "None"]}, "labels"), ({"id": ["z", "z"], "y": ["Shoes", "Toys"]}, "contradiction"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_used_are_refused(folder, bundles, tmp_path, labels, code):
    bundle, _, _ = _logged(folder, tmp_path)
    with pytest.raises(TruenessError) as caught:
        bundle.monitor(labels=pl.DataFrame(labels, schema_overrides={"y": pl.String}))
    assert caught.value.code == code


# ------------------------------------------------------------------------------------------- damage


@pytest.mark.long
@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content.update(task="table"), lambda content: content["promise"].pop("temperatures"),
        lambda content: content["promise"].update(classes=["one"]),
        lambda content: content["promise"]["temperatures"].update(common=0.0),
        lambda content: content["promise"]["classes"].append("more"),
        lambda content: content["members"][0].update(form="constant"),
        lambda content: content["members"][0]["settings"].clear(),
    ],
)  # fmt: skip
def test_a_changed_description_is_refused(bundles, tmp_path, harm):
    import shutil

    shutil.copytree(bundles["tfidf_logit"], tmp_path / "b")
    content = read_json(tmp_path / "b" / DESCRIPTION)
    harm(content)
    write_json(tmp_path / "b" / DESCRIPTION, content)
    with pytest.raises(TruenessError) as caught:
        trueness.load(tmp_path / "b").predict(["red shoe"])
    assert caught.value.code == "damaged"


@pytest.mark.long
def test_a_changed_file_is_refused(bundles, tmp_path):
    import shutil

    shutil.copytree(bundles["tfidf_logit"], tmp_path / "b")
    (file,) = (tmp_path / "b" / "members" / "0").iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(StoreError) as caught:
        trueness.load(tmp_path / "b").predict(["red shoe"])
    assert caught.value.code == "damaged"


# -------------------------------------------------------------------------------------------- ONNX


ODD = ("", " \t\x01", "  Red\u00a0 \x85SHOE\n", "cafe\u0301 \u0130stanbul \u00df", "犬用 首輪",
       "qjxz " * 400, "\U0001f45f", "<pad> [none]")  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kept", "wordllama", "N", "tfidf_logit", "tfidf_svm"])
def test_the_lines_of_the_page_answer_without_trueness(
    folder, bundles, tmp_path, monkeypatch, kind
):
    """Executed as they stand, where importing trueness would fail."""
    page = (ROOT / "docs" / "how-to" / "export-onnx.md").read_text()
    reads = "HashingVectorizer" if kind.startswith("tfidf") else "Tokenizer"
    lines = "".join(block for block in re.findall(r"```py\n(.*?)```", page, re.DOTALL)
                    if "temperatures" in block or f"import {reads}" in block)  # fmt: skip
    titles = load_corpus(folder / "corpus").part("validation")
    codes = ["en", "de", "und", "fi"] * 2
    table = pl.DataFrame({"text": [*ODD, *titles.texts], "language": [*codes, *titles.language]})
    bundle = trueness.load(bundles[kind])
    exported = bundle.export(tmp_path / "model.onnx", table).to_dict()
    compared = exported["compared"]
    assert compared["n"] == len(table)
    assert 0 <= compared["largest_difference"]["calibrated"] < 1e-5
    assert compared["labels_differ"] == compared["answers_differ"] == 0
    assert exported["bytes"] == (tmp_path / "model.onnx").stat().st_size
    said = bundle.predict(table, language_column="language").to_frame()
    names: dict = {}
    with monkeypatch.context() as where:
        where.chdir(tmp_path)
        where.setitem(sys.modules, "trueness", None)
        exec(compile(lines, "text", "exec"), names)
        answers = [names["answered"](*row) for row in table.iter_rows()]
    labels, p, sure = zip(*answers, strict=True)
    assert list(labels) == said["label"].to_list()
    np.testing.assert_allclose(p, said["calibrated"], atol=1e-5)
    assert [*sure] == (said["answer"] != ABSTAINS).to_list()
    assert 0 < sum(sure) < len(sure)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["A", "tfidf_svm"])
def test_seeds_are_averaged_in_the_graph(folder, tmp_path, kind):
    assert len(_finalized(folder, kind, tmp_path / "b", seeds=2).bundle.members) == 2
    actual = trueness.load(tmp_path / "b").export(tmp_path / "m.onnx").to_dict()
    assert actual["compared"]["largest_difference"]["logits"] < 1e-4
    session = Session(tmp_path / "m.onnx")
    assert session.outputs == ("logits", "probability", "calibrated")


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "words", "code"),
    [("majority", (), "no_converter"), ("kept", ("--rows", "rows.npz"), "no_rows"),
     ("kept", ("--data", "nowhere.csv"), None)],
)  # fmt: skip
def test_what_has_no_graph_is_refused(bundles, tmp_path, capsys, monkeypatch, kind, words, code):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, "export", bundles[kind], "m.onnx", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not list(tmp_path.iterdir())
    if code == "no_converter":
        with pytest.raises(TruenessError) as caught:
            trueness.load(bundles[kind]).export(tmp_path / "m.onnx")
        assert caught.value.code == code


@pytest.mark.long
def test_a_graph_that_answers_otherwise_is_not_kept(bundles, tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_text("an older one")
    monkeypatch.setattr("trueness.bundle.exporting_titles.BOUND", 0.0)
    with pytest.raises(TruenessError) as caught:
        trueness.load(bundles["tfidf_logit"]).export(tmp_path / "m.onnx")
    assert caught.value.code == "differs"
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "an older one"


@pytest.mark.long
def test_a_bundle_that_would_answer_nothing_says_so_first(folder, tmp_path):
    note = _finalized(folder, "majority", tmp_path / "none", precision=0.999)
    assert note.promise.abstains
    assert "abstains on every text" in note.document().parts[0].text
    most = note.promise.certifiable["en"]
    assert f"en (at most {100 * most:.0f} %)" in note.document().parts[0].text
    store = Store(folder / "store")
    run_ = find_run(store, "majority")[0]
    assert "en" not in class_promise_of(run_, most).abstaining
    assert "en" in class_promise_of(run_, most + 0.01).abstaining
    assert load(tmp_path / "none").promise.certifiable == note.promise.certifiable


@pytest.mark.long
def test_a_folder_that_is_taken_is_refused_before_anything_is_read(folder, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StoreError) as caught:
        finalize_named(Store(folder / "store"), "A", {"data": tmp_path / "none"}, tmp_path / "out")
    assert caught.value.code == "out"


@pytest.mark.long
def test_languages_that_abstain_are_named_first(folder, tmp_path):
    note = _finalized(folder, "tfidf_logit", tmp_path / "some", precision=0.8)
    lost = note.promise.abstaining
    assert lost
    assert not note.promise.abstains
    assert all(name in note.document().parts[0].text for name in lost)
