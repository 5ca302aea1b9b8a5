"""Audits of labels: cross-fitting, planted noise, contradictions, the corrected copy, the verb."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from benchmarks.audit_labels import planted, probabilities
from tests.test_cli import call
from trueness.baselines import ngrams, titles
from trueness.baselines.cross_fitting import cluster_folds, cross_fitted
from trueness.errors import TruenessError
from trueness.evaluation.label_noise import LabelNoise
from trueness.labels.accepting import accepted
from trueness.labels.audit import FEWEST, LabelledRows, contradictions_of
from trueness.labels.auditing import audit_labels, audit_of, audited
from trueness.spec.titles import LinearBaseline, TitlesSpec, TitlesTask
from trueness.store import MemoryStore, Store
from trueness.text.building import Plan, build
from trueness.text.corpus import PARTS, Titles, load_corpus
from trueness.text.correcting import LOG, Change, corrected
from trueness.text.synthetic import Catalogue
from trueness.text.tables import Table


@pytest.fixture(scope="module", autouse=True)
def _small_buckets():
    """Fewer buckets and penalties: the same steps in a fraction of the time."""
    patch = pytest.MonkeyPatch()
    patch.setattr(ngrams, "NGRAMS", tuple({**kind, "n_features": 2**15} for kind in ngrams.NGRAMS))
    patch.setattr(titles, "PENALTIES", (1e-5,))
    yield
    patch.undo()


# ----------------------------------------------------------------------------------- cross-fitting


@given(hn.arrays(np.int64, st.integers(1, 80), elements=st.integers(0, 30)), st.integers(2, 6),
       st.integers(0, 100))  # fmt: skip
def test_folds_separate_no_cluster_and_are_of_one_size(cluster, folds, seed):
    y = cluster % 3
    actual = cluster_folds(cluster, y, folds, seed)
    for one in np.unique(cluster):
        assert len(set(actual[cluster == one])) == 1
    sizes = np.bincount([actual[cluster == one][0] for one in np.unique(cluster)], minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for k in range(3):
        mine = [actual[cluster == one][0] for one in np.unique(cluster[y == k])]
        sizes = np.bincount(np.array(mine, int), minlength=folds)
        assert sizes.max() - sizes.min() <= 1


def test_no_row_is_scored_by_a_model_that_saw_its_cluster(monkeypatch):
    """A model that only remembers clusters knows nothing of those that it scores."""
    seen = []

    def remember(spec, corpus, score):
        parts = {name: set(corpus.part(name).cluster) for name in PARTS}
        seen.append(parts)
        n = len(corpus.part("test"))
        return SimpleNamespace(logits={"test": np.full((n, 2), len(seen), np.float32)})

    monkeypatch.setattr("trueness.baselines.cross_fitting.fit_titles_baseline", remember)
    n = 200
    cluster = np.arange(n) // 2
    rows = Titles(pl.Series(map(str, range(n))), pl.Series(["x"] * n), cluster % 2,
                  np.full(n, "en"), np.ones(n, np.float32), cluster)  # fmt: skip
    spec = TitlesSpec(task=TitlesTask(kind="titles", corpus="c"),
                      model=LinearBaseline(kind="tfidf_svm"))  # fmt: skip
    logits = cross_fitted(rows, ("a", "b"), spec, lambda *_: 0.0)
    assert len(seen) == 5
    assert (logits[:, 0] >= 1).all()
    for k, parts in enumerate(seen, 1):
        assert not parts["test"] & (parts["train"] | parts["validation"])
        assert not parts["train"] & parts["validation"]
        assert parts["validation"]
        assert set(cluster[logits[:, 0] == k]) == parts["test"]


# ----------------------------------------------------------------------------------- planted noise


@pytest.fixture(scope="module")
def noisy():
    """2,500 offers of which 5 % have another label, and out-of-fold probabilities."""
    rows, classes, wrong = planted(2500, 0.05, 0.1, 0)
    return rows, classes, wrong, probabilities(rows, classes, "tfidf_svm", 4)


def test_planted_labels_are_ranked_first(noisy):
    rows, _, wrong, p = noisy
    actual = LabelNoise.of(rows.y, p)
    ranked = actual.ranked()
    assert wrong[ranked[:50]].mean() >= 0.7 > 10 * wrong.mean()
    by_margin = np.argsort(-actual.margin, kind="stable")[: actual.number]
    assert wrong[by_margin].sum() / wrong.sum() >= 0.75
    assert actual.number < 4 * wrong.sum()


def test_an_audit_lists_them_and_says_how_many(noisy):
    rows, classes, wrong, p = noisy
    part = np.where(np.arange(len(wrong)) % 4, "train", "validation")
    about = SimpleNamespace(name="c", label="tfidf_svm", corpus=SimpleNamespace(digest="d"))
    actual = audit_of(about, LabelledRows(rows, part, classes), p, 4, 10)
    frame = actual.frame
    at = {one: i for i, one in enumerate(rows.ids)}
    place = [at[one] for one in frame["id"]]
    assert frame["given"].to_list() == [classes[rows.y[i]] for i in place]
    assert frame["part"].to_list() == part[place].tolist()
    assert (frame["given"] != frame["suggested"]).all()
    assert frame["margin"].is_sorted(descending=True)
    assert wrong[place][:50].mean() >= 0.7
    assert actual.suspicion.low < actual.suspicion.value < actual.suspicion.high
    assert sum(one.k for one in actual.by_class.values()) == actual.suspicion.k
    assert sum(one.n for one in actual.by_language.values()) == actual.suspicion.n
    assert actual.in_clusters.noise.low < wrong.mean() < actual.in_clusters.noise.high
    mixed = {one.cluster for one in actual.contradictions}
    by_cluster = frame.filter(pl.col("reason").str.contains("cluster"))
    assert set(by_cluster["cluster"]) <= mixed
    assert json.loads(json.dumps(actual.to_dict(), default=str))["kind"] == "label_audit"


def test_clusters_that_disagree_are_told(noisy):
    rows, classes, _, _ = noisy
    actual = contradictions_of(LabelledRows(rows, np.full(len(rows), "train"), classes))
    labels = {}
    for cluster, y in zip(rows.cluster.tolist(), rows.y.tolist(), strict=True):
        labels.setdefault(cluster, []).append(classes[y])
    mixed = {cluster for cluster, some in labels.items() if len(set(some)) > 1}
    assert {one.cluster for one in actual} == mixed
    for one in actual:
        some = labels[one.cluster]
        assert one.labels == {name: some.count(name) for name in one.labels}
        assert one.majority is None or some.count(one.majority) > len(some) / 2
    assert contradictions_of(LabelledRows(rows, np.full(len(rows), "train"), classes)) == actual


def test_classes_of_few_clusters_are_not_judged(noisy):
    rows, classes, _, p = noisy
    y, rare = rows.y.copy(), len(classes)
    y[:FEWEST] = rare
    few = replace(rows, y=y)
    many = np.hstack([p, np.zeros((len(p), 1))])
    about = SimpleNamespace(name="c", label="x", corpus=SimpleNamespace(digest="d"))
    labelled = LabelledRows(few, np.full(len(y), "train"), (*classes, "rare"))
    actual = audit_of(about, labelled, many, 4, 5)
    assert len(np.unique(rows.cluster[:FEWEST])) < FEWEST, "products have several rows"
    assert actual.unjudged == {"rare": FEWEST}
    assert not set(rows.ids[:FEWEST]) & set(actual.frame["id"])


# ---------------------------------------------------------------------------------- corrected copy


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "corpus"
    return build(Catalogue(rows=900, english_share=0.6, noise=0.05), folder,
                 Plan(0.2, 0.2, full=True))  # fmt: skip


def refused(code, call, *arguments, **how):
    with pytest.raises(TruenessError) as error:
        call(*arguments, **how)
    assert error.value.code == code, error.value


def changes_of(corpus, n, part="train"):
    rows = corpus.part(part)
    classes = corpus.classes
    return [Change(part, rows.ids[i], classes[rows.y[i]], classes[(rows.y[i] + 1) % len(classes)],
                   "model") for i in range(n)]  # fmt: skip


def test_a_corrected_copy_differs_in_the_accepted_labels_alone(corpus, tmp_path):
    changes = [*changes_of(corpus, 4), *changes_of(corpus, 2, "test")]
    made = corrected(corpus, changes, tmp_path / "fixed")
    made.verify()
    assert made.digest != corpus.digest
    new = {(one.part, one.id): one.new for one in changes}
    for part in (*PARTS, "full"):
        if part == "full":
            before, after = (pl.read_parquet(one.folder / "full.parquet").sort("id")
                             for one in (corpus, made))  # fmt: skip
            assert (before["label"] != after["label"]).sum() == len(changes)
            continue
        before, after = corpus.frame(part), made.frame(part)
        assert before.drop("label").equals(after.drop("label"))
        expected = [new.get((part, id_), label) for id_, label in before["id", "label"].iter_rows()]
        assert after["label"].to_list() == expected
    counts = corpus.statistics["classes"]
    moved = sum(abs(n - counts[name]["test"]) for name, n in
                ((name, one["test"]) for name, one in made.statistics["classes"].items()))  # fmt: skip
    assert moved > 0
    for name in ("rows", "languages"):
        assert made.statistics[name] == corpus.statistics[name]
    log = pl.read_csv(made.folder / LOG)
    assert log["id"].to_list() == [one.id for one in changes]
    assert set(log["source"]) == {corpus.digest}


def test_corrections_of_corrections_keep_the_whole_log(corpus, tmp_path):
    first, second = changes_of(corpus, 2), changes_of(corpus, 5)[2:]
    once = corrected(corpus, first, tmp_path / "once")
    twice = corrected(once, second, tmp_path / "twice")
    log = pl.read_csv(twice.folder / LOG)
    assert log["source"].to_list() == [corpus.digest] * 2 + [once.digest] * 3
    assert [one["source"] for one in twice.provenance["corrected"]] == [corpus.digest, once.digest]
    back = [Change(one.part, one.id, one.new, one.old, "") for one in first + second]
    assert corrected(twice, back, tmp_path / "back").digest == corpus.digest
    (once.folder / LOG).unlink()
    refused("damaged", corrected, load_corpus(once.folder), second, tmp_path / "lost")
    assert not (tmp_path / "lost").exists()


@pytest.mark.parametrize(("field", "value", "code"), [
    ("id", "nobody", "no_row"), ("part", "full", "no_row"), ("old", "Books?", "other_label"),
    ("new", "Hats", "no_class"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_written(corpus, tmp_path, field, value, code):
    (one,) = changes_of(corpus, 1)
    wrong = Change(**{**vars(one), field: value})
    refused(code, corrected, corpus, [wrong], tmp_path / "x")
    assert not (tmp_path / "x").exists()
    refused("no_row", corrected, corpus, [one, one], tmp_path / "x")
    refused("nothing_accepted", corrected, corpus, [], tmp_path / "x")
    refused("same_folder", corrected, corpus, [one], corpus.folder)


def test_a_class_keeps_a_training_text(corpus, tmp_path):
    rows = corpus.part("train")
    mine = [i for i in range(len(rows)) if corpus.classes[rows.y[i]] == "Baby"]
    every = [Change("train", rows.ids[i], "Baby", "Books", "") for i in mine]
    refused("empty_class", corrected, corpus, every, tmp_path / "x")


def suspects(corpus, tmp_path, answers, **more):
    rows = [{"part": one.part, "id": one.id, "given": one.old, "suggested": one.new, "reason": "m",
             "accept": answer, **more}
            for one, answer in zip(changes_of(corpus, len(answers)), answers, strict=True)]  # fmt: skip
    pl.DataFrame(rows).write_csv(tmp_path / "s.csv")
    return tmp_path / "s.csv"


def test_only_what_is_accepted_is_changed(corpus, tmp_path):
    answers = ["yes", "no", "", "YES ", None, "No"]
    actual = accepted(corpus, suspects(corpus, tmp_path, answers), tmp_path / "out")
    expected = [one for one, answer in zip(changes_of(corpus, 6), answers, strict=True)
                if answer in ("yes", "YES ")]  # fmt: skip
    assert [one.id for one in actual.changes] == [one.id for one in expected]
    assert (actual.refused, actual.open_) == (2, 2)
    assert actual.to_frame()["id"].to_list() == [one.id for one in expected]
    refused("accept", accepted, corpus, suspects(corpus, tmp_path, ["maybe"]), tmp_path / "x")
    refused("nothing_accepted", accepted, corpus, suspects(corpus, tmp_path, ["", "no"]),
            tmp_path / "x")  # fmt: skip
    pl.DataFrame({"id": ["a"]}).write_csv(tmp_path / "t.csv")
    refused("missing_column", accepted, corpus, tmp_path / "t.csv", tmp_path / "x")


# ---------------------------------------------------------------------------------------- the verb


def test_the_verb_audits_and_corrects(corpus, tmp_path, capsys):
    actual = tmp_path / "suspects.csv"
    words = ("audit-labels", corpus.folder, "--store", tmp_path / "store", "--folds", 3)
    code, out, err = call(capsys, *words, "--csv", actual, "--json")
    assert code == 0, err
    answer, table = json.loads(out), pl.read_csv(actual)
    assert answer["kind"] == "label_audit"
    assert len(table) == len(answer["suspects"]) > 0
    assert set(table["part"]) <= {"train", "validation"}
    assert "test" not in answer["rows"]
    assert any("no store" in note for note in answer["notes"])
    accept = pl.Series("accept", ["yes"] * 2 + [""] * (len(table) - 2))
    table.with_columns(accept).write_csv(actual)
    code, out, err = call(capsys, *words[:2], "--accept", actual, "--out", tmp_path / "fixed",
                          "--json")  # fmt: skip
    assert code == 0, err
    made = json.loads(out)
    assert (made["kind"], made["accepted"], made["source"]) == ("corrected_corpus", 2,
                                                                corpus.digest)  # fmt: skip
    assert load_corpus(tmp_path / "fixed").digest == made["digest"]


def test_the_test_part_is_looked_at_only_where_it_is_opened(corpus, tmp_path, capsys):
    Store(tmp_path / "store").prepare()
    words = ("audit-labels", corpus.folder, "--store", tmp_path / "store", "--folds", 2, "--json")
    for option in ((), ("--open-test",)):
        code, out, err = call(capsys, *words, *option)
        assert code == 0, err
        assert ("test" in json.loads(out)["rows"]) == bool(option)
    lines = (tmp_path / "store" / "ledger.jsonl").read_text().splitlines()
    notes = [json.loads(one) for one in lines]
    assert [(one["part"], one["opened"], one["data"]) for one in notes] == [
        ("validation", False, corpus.digest), ("test", True, corpus.digest)]  # fmt: skip


def test_what_cannot_be_audited_is_refused(corpus, tmp_path):
    refused("number", audit_labels, MemoryStore(), str(corpus.folder), {}, folds=1)
    refused("number", audit_labels, MemoryStore(), str(corpus.folder), {}, top=0)
    about = audited(MemoryStore(), str(corpus.folder), {})
    assert (about.label, about.key) == ("tfidf_svm", "")
    with pytest.raises(TruenessError):
        audited(MemoryStore(), str(tmp_path / "nobody"), {})


@pytest.mark.parametrize("words", [("--accept", "x.csv"), ("--out", "y"), ("--folds", "1"),
                                   ("--top", "0")])  # fmt: skip
def test_mistakes_are_one_line(corpus, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, "audit-labels", corpus.folder, *words)
    assert (status, out, len(err.strip().splitlines())) == (2, "", 1), err


def test_few_clusters_are_refused(tmp_path):
    rows = pl.DataFrame({"text": [f"text {i} of some" for i in range(12)], "label": ["a", "b"] * 6})
    rows.write_csv(tmp_path / "few.csv")
    build(Table(tmp_path / "few.csv"), tmp_path / "few",
          Plan(0.2, 0.2, detect=False, threshold=None))  # fmt: skip
    refused("few_clusters", audit_labels, MemoryStore(), str(tmp_path / "few"), {})
