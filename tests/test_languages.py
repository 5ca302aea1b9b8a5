"""Classifiers of K classes as they are judged and shown: what is said is what was measured."""

import io
import json

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from tests.evaluation.cases import compare_many, compare_slices
from tests.golden import named, titles_predictions
from trueness.document import Document, Section, Shaded, numbers
from trueness.errors import StoreError, TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import group_units
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.slices import measure_slices
from trueness.evaluation.top_k import compare_tops, positions
from trueness.judge.languages import TwoCompared, compare_two, slices_of
from trueness.judge.languages_figures import confusion_table, difference_table, score_dots
from trueness.judge.languages_group import class_group
from trueness.judge.languages_tables import (
    ClassRun,
    class_run,
    class_run_sections,
    class_table,
    compare_sections,
    group_table,
)
from trueness.judge.languages_words import (
    Words,
    comparison_verdict,
    left_out_note,
    methods_plan,
    methods_verdict,
    slices_verdict,
    words_of,
)
from trueness.judge.leaderboard import leaderboard
from trueness.judge.measured import measured
from trueness.judge.verdict import Verdict
from trueness.predictions import Predictions
from trueness.report import show, to_html
from trueness.report.progress import ProgressCallback
from trueness.spec.external import ExternalSpec
from trueness.spec.titles import TitlesSpec
from trueness.store import MemoryRun, MemoryStore, Store

CLASSES = ("audio & video", "<books>", "cables")
TEXTS = Words("text", "language", "English")


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 3000)
    language = np.repeat(["en", "de", "fi", "ja"], [1500, 900, 540, 60])
    plain = np.where(rng.random(3000) < np.where(language == "en", 0.9, 0.5), y, (y + 1) % 3)
    lifted = np.where((language != "en") & (rng.random(3000) < 0.4), y, plain)
    hurt = np.where((language == "en") & (rng.random(3000) < 0.3), (y + 1) % 3, lifted)
    blocks = Blocks.of(3000, cluster=np.arange(3000) // 2)
    return y, {"plain": plain, "lifted": lifted, "hurt": hurt}, language, blocks


@pytest.fixture(scope="module")
def runs(texts):
    y, predicted, language, blocks = texts
    return {
        name: measure_slices(y, 3.0 * np.eye(3)[p], language, blocks, classes=CLASSES, draws=100)
        for name, p in predicted.items()
    }


@pytest.fixture(scope="module")
def methods(texts):
    return compare_many(*texts, reference="plain", n_classes=3, draws=200)


def _printed(*parts):
    console = Console(file=io.StringIO(), width=200)
    show(Document("texts", parts), console)
    return console.file.getvalue()


# ------------------------------------------------------------------------------------------ sentences


def test_the_answer_is_one_sentence(methods):
    text = methods_verdict(methods, TEXTS)
    gain = methods.methods["lifted"].against["worst_group"].simultaneous
    value, low, high = (numbers.decimal(x, signed=True) for x in (gain.value, gain.low, gain.high))
    assert text.startswith(f"lifted ({value}, {low} to {high}) lifts the worst language")
    assert "English loses less than 1.0 points" in text
    assert "hurt lifts it but degrades English" in text
    assert "Best of all methods is lifted" in text
    plan = methods_plan(methods, TEXTS)
    lift = np.median([m.detectable_lift for n, m in methods.methods.items() if n != "plain"])
    assert f"found from {numbers.decimal(100 * lift, 1)} points on" in plan
    assert f"about {numbers.count(methods.planned['majority'])} texts of it" in plan


def test_what_a_language_has_too_little_of_is_told(texts):
    y, runs, language, _ = texts
    few = (language != "fi") | (y == 0) | (np.cumsum((language == "fi") & (y == 1)) <= 4)
    actual = measure_slices(
        y[few], np.eye(3)[runs["plain"][few]], language[few], Blocks.of(int(few.sum())),
        classes=CLASSES, min_rows=50,
    )  # fmt: skip
    assert "Too few texts for means and the worst: fi" in left_out_note(actual, TEXTS)
    assert left_out_note(measure_slices(y, np.eye(3)[y], None, classes=CLASSES), TEXTS) == ""


def test_no_answer_is_told_as_well(texts):
    y, runs, language, blocks = texts
    pair = {name: runs[name] for name in ("plain", "hurt")}
    actual = compare_many(y, pair, language, blocks, reference="plain", n_classes=3, draws=200)
    assert methods_verdict(actual, TEXTS).startswith(
        "No method is shown to lift the worst language"
    )


def test_other_groups_have_other_words(texts, runs):
    y, predicted, _, blocks = texts
    words = words_of(ExternalSpec.model_validate(EXTERNAL).estimands, runs["plain"].majority)
    assert "as the mean of groups" in slices_verdict("a", runs["plain"], words)
    assert "; en 0." in slices_verdict("a", runs["plain"], words)
    actual = compare_many(
        y, predicted, None, blocks, reference="plain", target="macro_f1", n_classes=3, draws=200
    )
    text = methods_verdict(actual, words)
    assert "macro-F1 of all units against plain" in text
    assert "loses less" not in text
    assert "degrades" not in text


def test_a_single_language_is_no_mean_of_languages(texts):
    y, _, language, _ = texts
    one = language == "en"
    actual = measure_slices(y[one], np.eye(3)[y[one]], language[one], classes=CLASSES)
    assert "in en, the only language" in slices_verdict("run", actual, TEXTS)
    assert "worst" not in slices_verdict("run", actual, TEXTS)


def test_without_a_language_of_its_own_that_is_told(texts):
    y, runs, language, blocks = texts
    actual = measure_slices(
        y, np.eye(3)[runs["plain"]], language, blocks, classes=CLASSES, draws=20, min_rows=5000
    )
    assert "no language has 5,000 texts" in slices_verdict("plain", actual, TEXTS)
    whole = measure_slices(y, np.eye(3)[runs["plain"]], None, blocks, classes=CLASSES, draws=20)
    assert "language" not in slices_verdict("plain", whole, TEXTS)
    document = ClassRun("plain", "k", "svm", "test", whole, TEXTS).document()
    assert not document.figures()
    assert len(group_table(whole, TEXTS).rows) == 1


def test_a_stored_run_without_a_language_of_its_own_is_told():
    out = io.StringIO()
    estimate = Estimate.proportion(3, 4).to_dict()
    ProgressCallback(Console(file=out, width=200)).on_run_stored(
        ["A-1"], {"label": "encoder", "estimates": {"macro_f1": estimate}, "seconds": 1.0}
    )
    assert "macro-F1 0.750 (" in out.getvalue()
    assert "mean of languages" not in out.getvalue()
    ProgressCallback(Console(file=out, width=200)).on_run_stored(
        ["A-2"], {"label": "encoder", "estimates": {"mean_group": estimate}, "seconds": 1.0}
    )
    assert "mean of languages 0.750 (" in out.getvalue()


def test_two_runs_are_told_by_language(texts):
    y, runs, language, blocks = texts
    actual = compare_slices(
        y, runs["lifted"], runs["plain"], language, blocks, n_classes=3, draws=200
    )
    text = comparison_verdict("lifted", "plain", actual, TEXTS)
    assert text.startswith("lifted against plain: better in de and fi, not distinguishable in en;")
    assert "English +0.000 (+0.000 to +0.000), not distinguishable" in text
    places = [positions(y, np.eye(3)[runs[name]]) for name in ("lifted", "plain")]
    tops = compare_tops(*places, 3, group_units(language, len(y), 100), blocks, draws=200)
    printed = _printed(*compare_sections("lifted", "plain", TwoCompared(actual, tops), TEXTS))
    assert "top-1" in printed
    assert "the same resamples of 3,000 texts" in printed
    assert "worst language" in printed


def test_with_one_language_the_answer_speaks_of_that_alone(texts):
    y, plain = texts[0][:1500], texts[1]["plain"][:1500]
    better, english = np.where(np.arange(1500) % 3 > 0, y, plain), ["en"] * 1500
    actual = compare_many(y, {"plain": plain, "better": better}, english, reference="plain",
                         n_classes=3, draws=200, target="worst_group")  # fmt: skip
    assert (actual.judged, actual.answer) == (1, ["better"])
    words = words_of(TitlesSpec.model_validate(
        {"task": {"kind": "titles", "corpus": "x"}}).estimands, "en", ("en",))  # fmt: skip
    text = methods_verdict(actual, words)
    assert "lifts English against plain." in text
    assert not [word for word in ("worst", "loses less") if word in text]
    assert words.distinct(actual.methods["plain"].values) == ["macro_f1", "mean_group"]
    pair = compare_slices(y, better, plain, english, n_classes=3, draws=200)
    assert "worst" not in comparison_verdict("a", "b", pair, words)


# --------------------------------------------------------------------------------- tables and figures


def test_tables_hold_the_estimates(runs):
    actual = runs["plain"]
    table = group_table(actual, TEXTS)
    titles = [column.title for column in table.columns]
    assert titles[:4] == ["language", "texts", "clusters", "macro-F1"]  # no class is absent
    assert [row[0] for row in table.rows] == ["en", "de", "fi", "other", "all texts"]
    assert table.rows[2][3] == actual.groups["fi"].macro_f1
    assert table.styles[-1] == "total"
    row = next(row for row in class_table(actual.overall, TEXTS).rows if row[0] == "<books>")
    assert row[2] == actual.overall.by_class["<books>"].precision


def test_absent_classes_have_a_column_of_their_own(texts):
    y, _, language, _ = texts
    some = y < 2
    actual = measure_slices(
        y[some], np.eye(3)[y[some]], language[some], Blocks.of(int(some.sum())), classes=CLASSES,
        draws=50,
    )  # fmt: skip
    titles = [column.title for column in group_table(actual, TEXTS).columns]
    assert group_table(actual, TEXTS).rows[0][titles.index("classes")] == "2 of 3"
    note = left_out_note(actual, TEXTS)
    assert "en 0.667 (2 of 3)" in note
    assert "ranked over the classes that count" in note
    assert class_table(actual.overall, TEXTS).rows[2][2:] == ["none predicted", "none", None]
    assert confusion_table(actual.overall, CLASSES, "x", TEXTS).rows[2][2] == Shaded("", None)


def test_pictures_hold_the_numbers(runs, methods):
    dots = score_dots(runs, TEXTS).data[0]
    actual = runs["plain"].groups
    np.testing.assert_allclose(dots["y"], [one.macro_f1.value for one in actual.values()])
    low = np.array(dots["y"]) - np.array(dots["error_y"]["arrayminus"])
    np.testing.assert_allclose(low, [one.macro_f1.low for one in actual.values()])
    confusion = confusion_table(runs["plain"].overall, CLASSES, "all texts", TEXTS)
    for row, counts in zip(confusion.rows, runs["plain"].overall.confusion, strict=True):
        assert [cell.value for cell in row[2:]] == pytest.approx(np.array(counts) / sum(counts))
        assert row[1] == sum(counts)
    cells = difference_table(methods, TEXTS)
    assert [row[0] for row in cells.rows] == [n for n in methods.ranked if n != "plain"]
    at = [column.title for column in cells.columns].index("fi")
    expected = methods.methods[cells.rows[0][0]].groups_against["fi"]
    assert cells.rows[0][at].value == pytest.approx(expected.pointwise.value)
    assert ("▲" in cells.rows[0][at].text) == (expected.verdict == "better")
    verdicts = {
        (row[0], column.title): methods.methods[row[0]].groups_against[column.title]
        for row in cells.rows for column in cells.columns[1:]
    }  # fmt: skip
    for row in cells.rows:
        for column, cell in zip(cells.columns[1:], row[1:], strict=True):
            contrast = verdicts[row[0], column.title]
            shown = contrast.verdict in ("better", "worse")
            assert cell.value == (contrast.pointwise.value if shown else 0)  # colours by verdict
    most = max(abs(cell.value) for row in cells.rows for cell in row[1:])
    assert cells.columns[1].limits[1] < most  # more is as dark, which the note says
    assert "full colour from 10.0 points on" in cells.note


def test_rows_of_few_texts_are_faded_and_hold_counts(texts):
    y, predicted, _, _ = texts
    some = np.r_[np.flatnonzero(y == 0)[:7], np.flatnonzero(y == 1)[:60]]
    actual = measure_slices(y[some], np.eye(3)[predicted["plain"][some]], None, classes=CLASSES,
                           draws=100)  # fmt: skip
    table = confusion_table(actual.overall, CLASSES, "few", TEXTS)
    assert list(table.styles) == ["muted", "", "muted"]
    assert "fewer than 20 texts" in table.note
    counts = actual.overall.confusion[0]
    assert [cell.text for cell in table.rows[0][2:]] == [f"{n}/7" if n else "" for n in counts]
    assert [cell.value for cell in table.rows[0][2:]] == pytest.approx(np.array(counts) / 7)
    assert all(cell.text.isdigit() or not cell.text for cell in table.rows[1][2:])


def test_a_run_is_json_a_frame_and_a_page(runs):
    actual = ClassRun("A & B", "0123", "svm", "test", runs["plain"], TEXTS)
    content = json.loads(json.dumps(actual.to_dict()))
    assert content["schema"] == 1
    assert content["groups"]["fi"]["macro_f1"] == runs["plain"].groups["fi"].macro_f1.to_dict()
    frame = actual.to_frame()
    one = frame.filter(group="fi", estimate="macro_f1")
    assert one["value"].item() == runs["plain"].groups["fi"].macro_f1.value
    f1 = frame.filter(pl.col("class") == "<books>", group="", estimate="f1")
    assert f1["high"].item() == runs["plain"].overall.by_class["<books>"].f1.high
    html = to_html(actual.document())
    assert "A &amp; B" in html
    assert "<books>" not in html.replace("\\u003cbooks\\u003e", "")


# --------------------------------------------------------------------------- runs of a comparison group


@pytest.fixture
def stored(golden_titles):
    names = named(golden_titles, "golden-titles")
    return (
        golden_titles,
        [golden_titles.run(key) for key in names],
        {k: [n] for k, n in names.items()},
    )


def test_methods_are_candidates_with_their_seeds(stored):
    store, runs, ids = stored
    actual = class_group(store, runs, ids, reference="plain")
    assert set(actual.methods) == {"tfidf", "plain", "adjusted_1", "dro"}
    assert [run.spec.seed for run in actual.methods["adjusted_1"]] == [42, 43]
    assert (actual.best_baseline, actual.leader, actual.target) == ("tfidf", "dro", "worst_group")
    assert actual.n_candidates == 3
    key = next(key for key, name in ids.items() if name == ["dro"])
    assert actual.estimates(key)["macro_f1"].n_candidates == 3
    minus = actual.difference(key)
    values = actual.comparison.methods
    assert minus.value == pytest.approx(
        values["dro"].values["worst_group"] - values["tfidf"].values["worst_group"]
    )
    assert actual.difference(next(k for k, n in ids.items() if n == ["tfidf"])) is None
    own, theirs = (values[name].values["mean_group"] for name in ("dro", "tfidf"))
    assert actual.whole_difference(key).value == pytest.approx(own - theirs)
    assert actual.comparison.reference == "plain"
    assert class_group(store, runs, ids).comparison.reference == "tfidf"
    assert json.loads(json.dumps(actual.to_dict()))["methods"]["plain"]


def test_the_verdict_of_a_leader(stored):
    store, runs, ids = stored
    answers = class_group(store, runs, ids, part="test").verdicts
    assert {name: one.answer for name, one in answers.items()} == {
        "better_than_chance": "yes", "better_than_siblings": "not_shown",
        "better_than_best_baseline": "yes",
    }  # fmt: skip
    assert answers["better_than_best_baseline"].p <= 0.05
    assert "against 0.200" in answers["better_than_chance"].text
    assert "better than 1 of 2" in answers["better_than_siblings"].text
    alike = class_group(store, runs, ids, target="macro_f1").verdicts
    assert alike["better_than_siblings"].answer == "not_shown"
    assert alike["better_than_siblings"].p > 0.05
    alone = [run for run in runs if not run.spec.is_baseline][:1]
    only = class_group(store, alone, ids).verdicts
    assert only["better_than_siblings"].answer == only["better_than_best_baseline"].answer == (
        "too_few")  # fmt: skip
    baselines = [run for run in runs if run.spec.is_baseline]
    assert class_group(store, baselines, ids).verdicts == {}


def test_what_is_shown_to_be_worse_is_said_first():
    rng = np.random.default_rng(2)
    y, right = rng.choice(4, 400), rng.random(400) < 0.1
    guess = np.where(right, y, (y + 1) % 4)
    answers = class_group(None, [_guesser(y, guess, "wrong")], {}).verdicts
    assert answers["better_than_chance"].answer == "worse"
    assert answers["better_than_chance"].p <= 0.05
    verdict = Verdict("wrong", **answers)
    assert verdict.short.startswith("wrong leads: worse than chance")
    assert verdict.lines[0].startswith("Better than chance? No, worse.")


@pytest.mark.parametrize("prior", [[0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]])
def test_no_blind_guess_has_a_larger_macro_f1_than_one_of_the_number_of_classes(prior):
    rng, p = np.random.default_rng(0), np.array(prior)
    guesses = [p, np.eye(4)[0], *rng.dirichlet(np.ones(4), 200)]
    f1 = [(2 * p * q / (p + q)).mean() for q in guesses]
    assert f1[0] == pytest.approx(1 / 4)
    assert max(f1) <= 1 / 4 + 1e-12


@pytest.mark.slow
def test_blind_guesses_are_seldom_better_than_chance():
    """Guesses at the frequencies of the classes; nearly all beat the most frequent class."""
    rng, wrong, times = np.random.default_rng(1), 0, 200
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    for _ in range(times):
        y = rng.choice(4, 400, p=prior)
        runs = [_guesser(y, rng.choice(4, 400, p=prior), str(i)) for i in range(3)]
        verdicts = class_group(None, runs, {}).verdicts
        wrong += verdicts["better_than_chance"].answer == "yes"
    assert wrong / times <= 0.06


def _guesser(y, guess, name):
    n = len(y)
    frame = pl.DataFrame({
        "split": "evaluation", "fold": 0, "id": [f"{i:05}" for i in range(n)], "y": y,
        "scores": pl.Series(np.eye(4)[guess], dtype=pl.Array(pl.Float64, 4)),
    })  # fmt: skip
    return _external(name, Predictions(frame, classes=tuple("abcd")), draws=200)


def test_draws_are_kept_and_a_damaged_index_is_made_again(stored, tmp_path):
    import shutil

    _, runs, ids = stored
    shutil.copytree(stored[0].root, tmp_path / "store")
    store = Store(tmp_path / "store")
    shutil.rmtree(store.root / "index", ignore_errors=True)
    fresh = class_group(store, runs[:2], ids).to_dict()
    (kept,) = (store.root / "index").glob("classes-*")
    all_of_them = class_group(store, runs, ids).to_dict()
    assert all_of_them == class_group(None, runs, ids).to_dict() == (
        class_group(store, runs, ids).to_dict())  # fmt: skip
    assert class_group(store, runs[:2], ids).to_dict() == fresh
    kept.write_bytes(b"x")
    assert class_group(store, runs, ids).to_dict() == all_of_them


def test_runs_that_cannot_be_read_are_left_out(stored, tmp_path):
    import shutil

    shutil.copytree(stored[0].root, tmp_path / "store")
    store = Store(tmp_path / "store")
    runs = [store.run(run.key) for run in stored[1]]
    path = runs[0].folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    shutil.rmtree(store.root / "index", ignore_errors=True)
    actual = class_group(store, runs, stored[2])
    assert [problem.name for problem in actual.problems] == [runs[0].key]
    assert runs[0].key not in actual.ranked
    with pytest.raises(StoreError) as caught:
        class_group(store, runs[:1], stored[2])
    assert caught.value.code == "damaged"


def test_wrong_names_are_refused(stored):
    store, runs, ids = stored
    for options, code in (
        ({"target": "auc"}, "no_estimate"), ({"reference": "nobody"}, "no_reference"),
        ({"part": "train"}, "no_part"),
    ):  # fmt: skip
        with pytest.raises(TruenessError) as caught:
            class_group(store, runs, ids, **options)
        assert caught.value.code == code


def test_a_reference_that_is_measured_elsewhere_is_none_here(stored):
    """A campaign may hold several evaluations; its reference stands in one of them."""
    store, runs, ids = stored
    others = {**ids, "abc": ["elsewhere"]}
    actual = class_group(store, runs, others, reference="elsewhere")
    assert actual.comparison.reference == "tfidf"


def test_the_document_of_a_leaderboard_holds_methods_and_languages(stored):
    store, _, _ = stored
    board = leaderboard(store, "golden-titles", reference="plain")
    document = board.document()
    titles = [table.title for table in document.tables()]
    assert "Macro-F1 per language" in titles
    assert "Points of macro-F1 against plain, per language" in titles
    assert any("lifts the worst language against plain" in text for text in document.sentences())
    folded = [s for s in _sections(document.parts) if s.folded]
    assert {"dro in detail", "tfidf in detail", "plain in detail"} <= {s.title for s in folded}
    assert len(document.figures()) >= 2
    html = to_html(document)
    assert "Points of macro-F1 against plain" in html
    opened = leaderboard(store, "golden-titles", part="test", opened=True)
    assert "480 texts (test part)" in opened.groups[0].title
    with pytest.raises(TruenessError) as caught:
        leaderboard(store, "golden-titles", part="test", access=("leaderboard", ""))
    assert caught.value.code == "sealed"


def _sections(parts):
    for part in parts:
        if isinstance(part, Section):
            yield part
            yield from _sections(part.parts)


def test_a_stored_run_is_shown(stored):
    _, runs, ids = stored
    run = next(run for run in runs if ids[run.key] == ["dro"])
    printed = _printed(*class_run_sections("dro", run, "test"))
    assert "Classes, all texts" in printed
    assert class_run("dro", run, "test").slices.overall.rows == 480
    with pytest.raises(StoreError) as caught:
        class_run("dro", run, "train")
    assert caught.value.code == "no_part"


# ------------------------------------------------------------------------------- runs from elsewhere

EXTERNAL = {
    "task": {"kind": "external", "units": "u", "classes": ["a", "b", "c", "d", "e"]},
    "model": {"kind": "scores", "name": "mine", "digest": "1"},
}


def _external(name, predictions, draws=1000, **model):
    content = {"kind": "scores", "name": name, "digest": name, **model}
    task = {**EXTERNAL["task"], "classes": predictions.classes}
    spec = ExternalSpec.model_validate(
        {"task": task, "model": content, "evaluation": {"draws": draws}}
    )
    record = {
        "notes": [], "seconds": 0.0, "device": "", "precision": "", "parameters": 0, "key": spec.key,
        "data": {"digest": "u"}, "files": {"predictions.parquet": {"sha256": name * 12, "bytes": 0}},
    } | measured(spec, predictions)  # fmt: skip
    return MemoryRun(spec.key, spec, record, None, predictions.frame)


def _validation(name, drop=()):
    frame = titles_predictions(name).frame.filter(split="validation")
    frame = frame.with_columns(pl.lit("evaluation").alias("split")).drop(*drop)
    return Predictions(frame, classes=("a", "b", "c", "d", "e"))


def test_scores_from_elsewhere_are_judged_alike(stored):
    _, runs, ids = stored
    theirs = {n: _external(n, _validation(n)) for n in ("plain", "dro")}
    ours = {ids[r.key][0]: r for r in runs if ids[r.key][0] in theirs}
    actual, same = (
        class_group(
            None, list(some.values()), {r.key: [n] for n, r in some.items()}, part=part,
            target="worst_group", reference="plain",
        ).comparison
        for some, part in ((theirs, "evaluation"), (ours, "validation"))
    )  # fmt: skip
    assert actual.to_dict() == same.to_dict()


def test_scores_without_groups_and_clusters(stored):
    runs = [_external(n, _validation(n, ("group", "cluster")), baseline=n == "tfidf")
            for n in ("tfidf", "plain", "dro")]  # fmt: skip
    store = MemoryStore()
    store.add(runs, {r.spec.model.name: r.key for r in runs})
    actual = class_group(store, runs, {r.key: [r.spec.model.name] for r in runs})
    assert actual.target == "macro_f1"
    assert list(actual.estimates(runs[0].key)) == ["macro_f1"]
    assert actual.title == "5 classes"
    group = leaderboard(store).groups[0]
    assert group.verdict.better_than_chance.answer == "yes"
    document = leaderboard(store).document()
    assert not any("language" in text for text in document.sentences())
    assert not any("per group" in table.title for table in document.tables())


def test_groups_of_one_run_serve_those_without(stored):
    with_, without = _external("plain", _validation("plain")), _external(
        "dro", _validation("dro", ("group",)))  # fmt: skip
    actual = compare_two(without, with_, "evaluation")
    assert set(actual.macro_f1.groups) == {"en", "de", "fr", "ja"}
    assert {"all", "en", "de", "fr", "ja"} <= set(actual.top_k)


def test_runs_on_other_units_are_refused(stored):
    one = _external("plain", _validation("plain"))
    cut = _validation("dro")
    fewer = _external("dro", Predictions(cut.frame.head(400), classes=cut.classes))
    with pytest.raises(TruenessError) as caught:
        compare_two(one, fewer, "evaluation")
    assert caught.value.code == "other_units"


def test_series_of_a_panel_are_groups(stored):
    """Units with a time: days are drawn, the series of a day together."""
    rng = np.random.default_rng(2)
    n, y = 1200, rng.integers(0, 3, 1200)
    frame = pl.DataFrame({
        "split": "evaluation", "fold": 0, "id": [f"{i:05}" for i in range(n)],
        "time": np.datetime64("2020-01-01") + np.arange(n) // 4,
        "group": np.tile(["AAPL", "MSFT", "NVDA", "AMZN"], n // 4), "y": y,
        "scores": pl.Series(rng.normal(size=(n, 3)) + np.eye(3)[y], dtype=pl.Array(pl.Float64, 3)),
    })  # fmt: skip
    part = Predictions(frame, classes=("down", "flat", "up"))
    spec = ExternalSpec.model_validate(EXTERNAL)
    actual = slices_of(part, spec.estimands, "evaluation")
    assert (actual.resampled, actual.overall.blocks) == ("blocks", 15)  # 300 days in twenties
    assert actual.groups["AAPL"].macro_f1.low is not None
    words = words_of(spec.estimands, actual.majority)
    assert words.majority in actual.groups
    assert [c.title for c in group_table(actual, words).columns][:3] == ["group", "units", "blocks"]


def test_a_run_alone_is_compared_with_the_baselines_of_its_units(stored):
    store, runs, ids = stored
    key = next(run.key for run in runs if ids[run.key] == ["dro"])
    (group,) = leaderboard(store, keys={key}).groups
    (model,) = group.models
    assert model.reference.spec.is_baseline
    assert model.difference.value > 0.3
