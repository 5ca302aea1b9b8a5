"""Classes that are paths: built, measured per level, backed off to the parent with a promise."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.special import softmax

from tests.test_cli import call
from trueness.bundle.class_promise import class_promise_of
from trueness.bundle.classifying import ABSTAINS, ANSWERED
from trueness.campaign import load_campaign
from trueness.errors import DataError, TruenessError
from trueness.evaluation.backing_off import (
    Asked,
    Units,
    _chain,
    _share,
    backing_off_thresholds,
)
from trueness.evaluation.group_calibration import RankedUnits, abstention_thresholds
from trueness.evaluation.levels import levels_of
from trueness.judge.finding import find_run
from trueness.runner import run
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.paths import check_single
from trueness.text.tables import Columns, Table

CAMPAIGN = """\
campaign: paths
data: corpus
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 500}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, d_ff: 32, head: {kind: plain}}
  recipe: {learning_rate: 0.01, batch_size: 64, epochs: 1, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: A}
"""
PRECISION = 0.8


NOUNS = {"Home": ("lamp", "chair", "shelf"), "Play": ("ball", "doll", "puzzle")}
ROWS = 2_000


def _offers():
    """Titles that name their department; two of three name the leaf as well, one of ten nothing."""
    rng = np.random.default_rng(11)
    rows = []
    for i in range(ROWS):
        department = ("Home", "Play")[i % 2]
        leaf, known = NOUNS[department][rng.integers(3)], rng.random()
        words = [f"w{n}" for n in rng.integers(40, size=3)]
        words += [department.lower()] if known < 0.9 else []
        words += [leaf] if known < 0.6 else []
        language = "en" if rng.random() < 0.7 else "de"
        rows.append((" ".join(rng.permutation(words)), leaf, department, language))
    frame = pl.DataFrame(rows, ["text", "label", "department", "language"], orient="row")
    return frame.with_columns(path=pl.concat_str("department", "label", separator="/"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus whose classes lie in two departments, and its store; read only."""
    folder = tmp_path_factory.mktemp("paths")
    _offers().write_parquet(folder / "offers.parquet")
    build(_table(folder, parents=("department",)), folder / "corpus", _plan())
    (folder / "paths.yaml").write_text(CAMPAIGN)
    assert not run(load_campaign(folder / "paths.yaml"), Store(folder / "store"), device="cpu",
                   workers=0).failed  # fmt: skip
    return folder


def _plan():
    return Plan(validation=0.3, test=0.2, threshold=None)


def _table(folder, **columns):
    return Table(folder / "offers.parquet", Columns(("text",), **{"label": "label", **columns}))


# ------------------------------------------------------------------------------------------ corpora


@pytest.mark.long
def test_a_path_in_one_column_and_levels_in_several_are_one_corpus(folder, tmp_path):
    other = build(_table(folder, label="path", hierarchy="/"), tmp_path / "c", _plan())
    corpus = load_corpus(folder / "corpus")
    assert other.digest == corpus.digest
    assert corpus.joiner == other.joiner == " > "
    assert {name.split(" > ")[0] for name in corpus.classes} == {"Home", "Play"}


@pytest.mark.long
def test_paths_are_never_guessed(folder, tmp_path):
    corpus = build(_table(folder, label="path"), tmp_path / "c", _plan())
    assert corpus.joiner is None


@pytest.mark.parametrize(
    ("labels", "columns", "code"),
    [
        (["A > x", "A > y", "A"], {"hierarchy": ">"}, "hierarchy"),  # a class and a parent
        (["A", "B", "B"], {"hierarchy": ">"}, "hierarchy"),  # no path at all
        (["A/x > y", "A/z", "B/z"], {"hierarchy": "/"}, "hierarchy"),  # which is the mark?
        (["A>x > y", "A > z", "B > z"], {"hierarchy": " > "}, "hierarchy"),
        (["A|B", "A", "B"], {}, "several_labels"),
        (["A; B", "B;C", "A ;C"], {}, "several_labels"),
        (["A, B", "A", "B"], {}, "several_labels"),
        (["A/B", "A", "B"], {}, "several_labels"),
        (["['A', 'B']", "A", "B"], {}, "several_labels"),
        ([["A"], ["B"], ["A", "B"]], {}, "column_type"),
    ],
)
def test_labels_that_are_no_tree_or_several_are_refused(tmp_path, labels, columns, code):
    pl.DataFrame({"text": [f"t {i}" for i in range(60)], "label": labels * 20}).write_parquet(
        tmp_path / "t.parquet"
    )
    source = Table(tmp_path / "t.parquet", Columns(("text",), "label", **columns))
    with pytest.raises(DataError) as caught:
        build(source, tmp_path / "c", Plan(detect=False, threshold=None))
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mark", [", ", "/", " / "])
def test_commas_and_slashes_join_classes_only_where_most_do(mark):
    joined = {f"A{mark}B": 2, f"B{mark}C": 1, f"Home{mark}Garden": 5}
    with pytest.raises(DataError) as caught:
        check_single({**joined, "A": 1, "B": 1, "C": 1})
    assert caught.value.code == "several_labels"
    assert f"'A{mark}B'" in str(caught.value)
    check_single({f"Home{mark}Garden": 5, f"Food{mark}Drink": 2, f"A{mark}B": 2, "A": 1, "B": 3})
    check_single({**joined, "Home": 3, "A": 4})


def test_a_joined_name_of_one_class_alone_is_a_name(tmp_path):
    labels = ["Audio|Video", "Books, Maps", "Home; Garden"] * 20
    pl.DataFrame({"text": [f"t {i}" for i in range(60)], "label": labels}).write_parquet(
        tmp_path / "t.parquet"
    )
    source = Table(tmp_path / "t.parquet", Columns(("text",), "label"))
    corpus = build(source, tmp_path / "c", Plan(detect=False, threshold=None, test=0.2))
    assert corpus.classes == ("Audio|Video", "Books, Maps", "Home; Garden")


def test_a_path_with_an_empty_level_is_counted_as_no_label(tmp_path):
    labels = ["A > x", "B > y", " > y", "A > > x"] * 15
    pl.DataFrame({"text": [f"t {i}" for i in range(60)], "label": labels}).write_parquet(
        tmp_path / "t.parquet"
    )
    source = Table(tmp_path / "t.parquet", Columns(("text",), "label", hierarchy=">"))
    corpus = build(source, tmp_path / "c", Plan(detect=False, threshold=None, test=0.2))
    assert corpus.classes == ("A > x", "B > y")
    assert corpus.reports["skipped"] == {"no label": 30}


def test_a_blank_separator_is_refused():
    with pytest.raises(TruenessError) as caught:
        Columns(hierarchy=" ")
    assert caught.value.code == "hierarchy"


# ------------------------------------------------------------------------------------------- levels


def test_parents_are_sums_of_their_leaves_at_every_level():
    names = ["A > x > 1", "A > x > 2", "A > y", "B", "C > z > 1", "C > z > 2"]
    levels = levels_of(names, " > ")
    assert [one.classes for one in levels] == [("A > x", "A > y", "B", "C > z"), ("A", "B", "C")]
    p = np.random.default_rng(0).dirichlet(np.ones(6), 40)
    np.testing.assert_allclose(levels[0].summed(p)[:, 0], p[:, 0] + p[:, 1])
    np.testing.assert_allclose(levels[1].summed(p)[:, 0], p[:, :3].sum(axis=1))
    assert levels_of(names, None) == levels_of(["A > x", "A > y"], " > ") == ()


@pytest.mark.long
def test_a_record_has_macro_f1_of_every_level_as_scikit_learn_computes_it(folder):
    from sklearn.metrics import f1_score

    one, _ = find_run(Store(folder / "store"), "tfidf_logit")
    part = one.predictions().part("validation")
    (level,) = levels_of(part.classes, " > ")
    leaf, above = one.record["levels"]["validation"]
    assert (leaf["depth"], above["depth"], above["classes"]) == (2, 1, 2)
    parents = level.summed(softmax(part.scores.astype(float), axis=1)).argmax(axis=1)
    truth = level.of[part.y]
    assert above["right"]["k"] == (parents == truth).sum()
    assert leaf["right"]["k"] == (part.scores.argmax(axis=1) == part.y).sum()
    expected = f1_score(truth, parents, average="macro")
    assert above["scores"]["macro_f1"]["value"] == pytest.approx(expected)
    assert leaf["scores"]["macro_f1"] == one.record["estimates"]["macro_f1"]


@pytest.mark.long
def test_levels_are_shown_of_a_run_and_of_the_leaderboard(folder, capsys):
    for verb in (("show", "tfidf_logit"), ("leaderboard", "paths")):
        code, out, _ = call(capsys, *verb, "--store", folder / "store")
        assert code == 0
        assert "Levels of the classes" in out, verb


# ------------------------------------------------------------------------------------- backing off


def test_without_levels_cuts_are_those_of_abstention():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(4, 0.15), 800)
    y = np.array([rng.choice(4, p=row) for row in p])
    group = np.array(["en"] * 500 + ["de"] * 280 + ["fi"] * 20)
    expected = abstention_thresholds(y, p, group, precision=0.8)
    actual = backing_off_thresholds(y, p, group, precision=0.8)
    assert actual == {name: (one,) for name, one in expected.items()}
    assert any(one.threshold is not None for one in expected.values())


def test_shares_of_the_error_add_up_over_all_cuts_that_could_be_chosen():
    rng = np.random.default_rng(1)
    top = rng.beta(4, 2, 300)
    units = RankedUnits(rng.random(300) < top, top, np.arange(300))
    places = [*units.thresholds, None]
    shares = [_share(units, one, 0.9, 0.025) for one in places]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0
    flipped = RankedUnits(~units.hit, top, units.block)  # labels have no say
    assert [_share(flipped, one, 0.9, 0.025) for one in places] == shares


def test_certified_cuts_of_all_levels_hold_together():
    """Leaves and parents right with exactly the wanted precision: every cut would break it."""
    rng, broken, trials = np.random.default_rng(5), 0, 150
    for _ in range(trials):
        top = rng.beta(4, 2, 400)
        hits = rng.random(400) < 0.9
        tops = np.array([top, np.clip(top + 0.1 * rng.random(400), 0, 1)])
        chain = _chain(Units(np.array([hits, hits]), tops, np.arange(400)), Asked(0.9, 0.05))
        broken += any(one.threshold is not None for one in chain)
    assert broken / trials <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / trials)


@pytest.mark.long
def test_what_leaves_leave_open_is_answered_by_parents_at_their_own_cut(folder):
    one, _ = find_run(Store(folder / "store"), "tfidf_logit")
    promise = class_promise_of(one, PRECISION)
    part = one.predictions().part("validation")
    p = promise.probabilities(part.scores, part.group)
    level, names, top = promise.backed_off(p, part.group)
    leaves, parents = promise.thresholds["en"], promise.parents[0]["en"]
    assert leaves.threshold is not None
    assert parents.threshold is not None
    english = part.group == "en"
    sums = promise.levels[0].summed(p)
    open_ = english & (p.max(axis=1) < leaves.threshold)
    assert (level[english & ~open_] == 0).all()
    assert (level[open_] == np.where(sums[open_].max(axis=1) >= parents.threshold, 1, -1)).all()
    backed = open_ & (level == 1)
    assert set(names[backed]) <= {"Home", "Play"}
    np.testing.assert_allclose(top[backed], sums[backed].max(axis=1))
    truth = np.array(part.classes)[part.y]
    right = [promise.is_right(a, b) for a, b in zip(names[backed], truth[backed], strict=True)]
    assert (sum(right), len(right)) == (parents.precision.k, parents.precision.n)
    assert parents.precision.low >= PRECISION
    assert parents.accepted.n == english.sum()


@pytest.mark.long
def test_a_bundle_answers_by_parents_and_monitor_takes_them_as_right(folder, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    base = ("--store", folder / "store")
    code, _, err = call(capsys, "finalize", "tfidf_logit", "--data", folder / "corpus",
                        "--precision", PRECISION, "--out", bundle, *base)  # fmt: skip
    assert code == 0, err
    test = load_corpus(folder / "corpus").part("validation")
    data = tmp_path / "texts.parquet"
    pl.DataFrame({"text": test.texts, "lang": test.language, "key": test.ids}).write_parquet(data)
    code, out, _ = call(capsys, "predict", bundle, "--data", data, "--language-column", "lang",
                        "--id-column", "key", "--json")  # fmt: skip
    rows = json.loads(out)["rows"]
    answered = [row for row in rows if row["answer"] == ANSWERED]
    parents = [row for row in answered if row["label"] in ("Home", "Play")]
    assert (code, bool(parents)) == (0, True)
    assert all(" %, " in row["odd"] for row in parents)  # why it is no leaf
    assert not any(" %, " in row["odd"] for row in answered if row not in parents)
    assert all(0 < row["score"] <= 1 and 0 < row["calibrated"] <= 1 for row in rows)
    assert any(row["answer"] == ABSTAINS for row in rows)
    truth = dict(zip(test.ids, np.array(load_corpus(folder / "corpus").classes)[test.y],
                     strict=True))  # fmt: skip
    labels = tmp_path / "labels.csv"
    pl.DataFrame({"id": list(truth), "y": list(truth.values())}).write_csv(labels)
    code, out, _ = call(capsys, "monitor", bundle, "--labels", labels, "--json")
    actual = json.loads(out)["precision"]
    right = sum(truth[row["id"]].startswith(row["label"]) for row in answered)
    assert (actual["k"], actual["n"]) == (right, len(answered))


@pytest.mark.long
def test_the_promise_says_what_parents_promise_and_reads_itself(folder):
    from trueness.bundle.class_promise import ClassPromise

    one, _ = find_run(Store(folder / "store"), "tfidf_logit")
    promise = class_promise_of(one, PRECISION)
    assert ClassPromise.from_dict(json.loads(json.dumps(promise.to_dict()))) == promise
    assert any("class of level 1" in line for line in promise.summary())
    assert class_promise_of(one).parents == ()  # without a precision every leaf is answered
