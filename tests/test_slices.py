"""K classes per group: scores against scikit-learn, comparisons, temperatures, abstention."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, ndtr, softmax
from scipy.stats import binomtest
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from tests.evaluation.cases import compare_many, compare_slices
from trueness.errors import TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import checked_groups, group_units
from trueness.evaluation.calibration import expected_calibration_error
from trueness.evaluation.class_draws import atom_of, atom_weights, independent
from trueness.evaluation.clusters import basic_interval, cluster_weights, clustered_shares
from trueness.evaluation.group_calibration import (
    AbstentionThreshold,
    abstention_thresholds,
    accepted,
    fit_group_temperatures,
    guaranteed,
)
from trueness.evaluation.macro_f1 import selection_scores
from trueness.evaluation.slices import Slices, measure_slices
from trueness.evaluation.top_k import compare_tops, positions

CLASSES = ("audio", "books", "cables", "drills")
K = len(CLASSES)


def _corpus(n=1200, seed=0, skill=2.0):
    """Classes, logits, languages of unequal size and clusters of unequal size."""
    rng = np.random.default_rng(seed)
    y = rng.choice(K, n, p=[0.5, 0.3, 0.15, 0.05])
    logits = rng.normal(size=(n, K)) + skill * np.eye(K)[y]
    language = rng.choice(["en", "de", "fr", "fi", "und"], n, p=[0.6, 0.2, 0.15, 0.02, 0.03])
    return y, logits, language, rng.integers(0, n // 2, n)


def _noisy(rng, y, right):
    """Predictions of which so many are right and the others drawn at random."""
    return np.where(rng.random(len(y)) < right, y, rng.integers(0, K, len(y)))


def _clusters(cluster):
    return Blocks.of(len(cluster), cluster=cluster)


def _measure(data, **options):
    y, logits, group, cluster = data
    return measure_slices(
        y, logits, group, _clusters(cluster), classes=CLASSES,
        **{"draws": 200, "majority": "en", **options},
    )  # fmt: skip


def test_scores_are_those_of_scikit_learn_in_every_slice():
    y, logits, language, cluster = data = _corpus()
    actual, predicted, p = _measure(data), logits.argmax(axis=1), softmax(logits, axis=1)
    rest = ~np.isin(language, ["en", "de", "fr"])
    inside = {n: language == n for n in ("en", "de", "fr")} | {"other": rest}
    assert list(actual.groups) == ["en", "de", "fr", "other"]
    assert actual.pooled == {n: int((language == n).sum()) for n in ("und", "fi")}
    for name, rows in (*inside.items(), ("overall", np.ones(len(y), bool))):
        one = actual.overall if name == "overall" else actual.groups[name]
        yi, pi, every = y[rows], predicted[rows], range(K)
        assert (one.rows, one.blocks) == (rows.sum(), len(set(cluster[rows])))
        kinds = precision_recall_fscore_support(yi, pi, labels=every, zero_division=0)
        for c, scores in enumerate(one.by_class.values()):
            for what, values in zip(("precision", "recall", "f1"), kinds, strict=False):
                estimate = getattr(scores, what)
                assert (estimate.value or 0) == pytest.approx(values[c], abs=1e-12)
                assert estimate.low <= values[c] <= estimate.high
            assert scores.recall.n == kinds[3][c]
        own = [c for c in every if (yi == c).sum() >= 5 and len(set(cluster[rows][yi == c])) >= 2]
        assert (one.present, one.counted) == (len(set(yi)), len(own))
        assert one.macro_f1.value == pytest.approx(f1_score(yi, pi, labels=own, average="macro"))
        np.testing.assert_array_equal(one.confusion, confusion_matrix(yi, pi, labels=every))
        assert one.calibration["log_loss"].value == pytest.approx(
            log_loss(yi, p[rows], labels=every)
        )
        squared = ((p[rows] - np.eye(K)[yi]) ** 2).sum(axis=1).mean()
        assert one.calibration["brier"].value == pytest.approx(squared)
        error = expected_calibration_error(yi == pi, p[rows].max(axis=1), 10, "quantile")
        shown = one.calibration["calibration_error"]
        assert shown.low <= shown.value < error  # less the bias


def test_top_k_accuracy_is_that_of_scikit_learn():
    y, logits, language, _ = data = _corpus()
    actual = _measure(data)
    assert list(actual.overall.top_k) == ["top_1", "top_3"]  # of four classes
    for name, one in {**actual.own, "": actual.overall}.items():
        rows = language == name if name else np.ones(len(y), bool)
        for k in (1, 3):
            shown = one.top_k[f"top_{k}"]
            wanted = top_k_accuracy_score(y[rows], logits[rows], k=k, labels=range(K))
            assert shown.value == pytest.approx(wanted)
            assert shown.low < shown.value < shown.high
            assert (shown.n, shown.k) == (rows.sum(), round(wanted * rows.sum()))
    tied = np.zeros((len(y), K))
    np.testing.assert_array_equal(positions(y, tied), y)  # of equal ones the first is predicted
    many = measure_slices(y, np.pad(logits, ((0, 0), (0, 4))), None, classes=range(8), draws=100)
    assert list(many.overall.top_k) == ["top_1", "top_3", "top_5"]


def test_differences_of_top_k_accuracy_are_paired_and_know_of_clusters():
    y, logits, language, _ = _corpus(2000)
    rng, groups = np.random.default_rng(4), group_units(language, 2000, 100)
    first = positions(y, logits)
    second = positions(y, logits + rng.normal(0, 2, logits.shape))
    alone = compare_tops(first, second, K, groups, _clusters(np.arange(2000)), draws=400)
    copies = [np.tile(one, 3) for one in (first, second, language, np.arange(2000))]
    thrice = compare_tops(*copies[:2], K, group_units(copies[2], 6000, 300),
                          _clusters(copies[3]), draws=400)  # fmt: skip
    assert set(alone) == {"all", "en", "de", "fr", "other"}
    for name, tops in alone.items():
        for k, one in tops.items():
            contrast = one.difference
            assert contrast.pointwise.value == pytest.approx(one.first - one.second)
            assert contrast.simultaneous.low <= contrast.pointwise.low
            again = thrice[name][k].difference.pointwise  # copies bring nothing new
            assert again.low == pytest.approx(contrast.pointwise.low, abs=2e-3)
    assert alone["all"]["top_1"].difference.verdict == "better"
    own = compare_tops(first, first, K, groups, _clusters(np.arange(2000)), draws=50)
    assert all(one.difference.verdict == "tied" for tops in own.values() for one in tops.values())
    few = compare_tops(first, second, K, groups, _clusters(np.arange(2000) % 4), draws=50)
    assert few["all"]["top_1"].difference.verdict == "unknown"


def _estimates(content, path=""):
    """Every estimate inside plain types, with where it stands."""
    if isinstance(content, dict):
        if {"value", "low", "high"} <= content.keys():
            yield path, content
        for name, value in content.items():
            yield from _estimates(value, f"{path}/{name}")
    elif isinstance(content, list):
        for i, value in enumerate(content):
            yield from _estimates(value, f"{path}/{i}")


def outside(content):
    """Estimates that do not lie strictly inside their interval, unless at an end of the scale."""
    wrong = []
    for path, one in _estimates(content):
        low, value, high = one["low"], one["value"], one["high"]
        known = None not in (low, value, high)
        still = known and low == value == high  # no resample moves it
        if known and not low < value < high and value not in (0, 1) and not still:
            wrong.append((path, one))
    return wrong


@pytest.mark.parametrize("skill", [0.0, 0.7, 2.0, 6.0])
@pytest.mark.parametrize("n", [300, 1200])
def test_every_estimate_lies_inside_its_interval(n, skill):
    for seed in range(3):
        y, logits, language, cluster = _corpus(n, seed, skill)
        for scale in (0.2, 1.0, 4.0):
            data = y, scale * logits, language, cluster
            assert not outside(_measure(data, min_rows=30).to_dict())
        other = _noisy(np.random.default_rng(seed), y, 0.6)
        actual = compare_slices(y, logits.argmax(axis=1), other, language, _clusters(cluster),
                               n_classes=K, min_rows=30)  # fmt: skip
        assert not outside(actual.to_dict())
        methods = compare_many(
            y,
            {"a": logits.argmax(axis=1), "b": other},
            language,
            _clusters(cluster),
            n_classes=K,
            min_rows=30,
            reference="a",
        )
        assert not outside(methods.to_dict())


def test_summaries_are_over_languages_of_their_own():
    actual = _measure(_corpus())
    scores = {n: s.macro_f1.value for n, s in actual.groups.items() if n != "other"}
    values = np.array(list(scores.values()))
    assert actual.scores["mean_group"].value == pytest.approx(values.mean())
    assert actual.scores["worst_group"].value == pytest.approx(values.min())
    assert actual.scores["low_group"].value == pytest.approx(np.quantile(values, 0.2))
    assert actual.scores["majority_group"].value == pytest.approx(scores["en"])
    assert actual.worst == min(scores, key=scores.__getitem__)
    assert 0 < actual.worst_share <= 1


def test_classes_with_fewer_than_five_units_do_not_count_and_are_told():
    y, logits, language, cluster = _corpus()
    german = np.flatnonzero(language == "de")
    keep = np.setdiff1d(np.arange(len(y)), german[y[german] == 3][4:])
    actual = _measure((y[keep], logits[keep], language[keep], cluster[keep]))
    own, inside = actual.groups["de"], keep[language[keep] == "de"]
    assert (own.present, own.counted, actual.groups["en"].counted, actual.left_out) == (4, 3, 4, 1)
    expected = f1_score(y[inside], logits[inside].argmax(1), labels=range(3), average="macro")
    assert own.macro_f1.value == pytest.approx(expected)


def test_a_perfect_language_without_some_classes_is_not_the_worst():
    """Over all classes it could not exceed a half."""
    rng, language = np.random.default_rng(0), np.repeat(["en", "fi"], 300)
    y = np.where(language == "fi", rng.integers(0, 2, 600), rng.integers(0, K, 600))
    predicted = np.where(language == "fi", y, _noisy(rng, y, 0.6))
    actual = measure_slices(y, np.eye(K)[predicted], language, classes=CLASSES)
    assert (actual.worst, actual.groups["fi"].macro_f1.value) == ("en", 1.0)
    assert (actual.groups["fi"].counted, actual.groups["fi"].present) == (2, 2)


def test_languages_with_a_single_large_class_take_no_part_in_means_and_worst():
    y, logits, language, cluster = _corpus()
    some = (language != "fr") | (y == 0) | (np.cumsum((language == "fr") & (y == 1)) == 1)
    actual = _measure(tuple(one[some] for one in (y, logits, language, cluster)), min_rows=50)
    assert actual.groups["fr"].macro_f1.low is None
    own = [actual.groups[n].macro_f1.value for n in ("en", "de")]
    assert actual.scores["mean_group"].value == pytest.approx(np.mean(own))
    assert actual.worst in ("en", "de")


def test_the_worst_lies_between_the_worst_ends_of_intervals_that_hold_together():
    """Wider than the interval of each language, and never above the highest end of the worst."""
    actual = _measure(_corpus(), draws=2000)
    own = [actual.groups[n].macro_f1 for n in ("en", "de", "fr")]
    worst = actual.scores["worst_group"]
    assert worst.low < min(one.low for one in own)
    assert worst.value < worst.high <= min(one.high for one in own) + 0.1
    assert actual.scores["low_group"].low >= worst.low


@pytest.mark.parametrize("given_", ["cluster", "time", "both", "units"])
@pytest.mark.parametrize("length", [1, 3])
def test_atoms_are_drawn_as_their_units_are(monkeypatch, given_, length):
    rng = np.random.default_rng(1)
    time, cluster = np.sort(rng.integers(0, 30, 120)), rng.integers(0, 40, 120)
    known = {"cluster": {"cluster": cluster}, "time": {"time": time}, "units": {},
             "both": {"time": time, "cluster": cluster}}[given_]  # fmt: skip
    blocks = Blocks.of(120, length=length, **known)
    monkeypatch.setattr("trueness.evaluation.class_draws.WEIGHTS_AT_ONCE", 350)
    drawn = np.hstack(list(atom_weights(blocks, 20, seed=2)))
    np.testing.assert_array_equal(drawn[atom_of(blocks)], blocks.weights(20, seed=2)[:, 1:])
    assert len(np.unique(independent(blocks))) == blocks.count


def test_series_of_a_panel_stand_and_fall_by_their_days():
    """Three series of a panel: a day is one item, with all its rows."""
    rng = np.random.default_rng(3)
    times, series = np.repeat(np.arange(90), 3), np.tile(["a", "b", "c"], 90)
    y = np.repeat(rng.integers(0, K, 90), 3)
    noise = np.repeat(rng.normal(size=(90, K)), 3, axis=0)
    logits = noise + 0.1 * rng.normal(size=(270, K)) + 1.5 * np.eye(K)[y]
    blocks = Blocks.of(270, time=times, length=3)
    actual = measure_slices(y, logits, series, blocks, classes=CLASSES, min_rows=50)
    assert (actual.resampled, actual.overall.blocks, actual.groups["a"].blocks) == (
        "blocks",
        30,
        30,
    )
    alone = measure_slices(y, logits, series, Blocks.of(270), classes=CLASSES, min_rows=50)
    one, other = (some.scores["macro_f1"] for some in (actual, alone))
    assert one.value == other.value
    assert one.low < other.low


def test_times_that_are_few_give_no_intervals_at_all():
    rng, y = np.random.default_rng(5), np.arange(400) % K
    logits = rng.normal(size=(400, K)) + 2 * np.eye(K)[y]
    blocks = Blocks.of(400, time=np.arange(400) // 40, length=3)
    actual = measure_slices(y, logits, np.repeat(["a", "b"], 200), blocks, classes=CLASSES)
    for one in (*actual.scores.values(), actual.groups["a"].macro_f1):
        assert (one.low, one.high) == (None, None)
    assert (actual.worst in "ab", actual.worst_share) == (True, None)
    against = compare_slices(y, y, logits.argmax(1), None, blocks, n_classes=K)
    assert against.summaries["macro_f1"].verdict == "unknown"


def test_without_groups_there_is_macro_f1_alone():
    y, logits, _, _ = _corpus()
    actual = measure_slices(y, logits, None, classes=CLASSES, draws=100)
    assert list(actual.scores) == ["macro_f1"]
    assert (actual.groups, actual.own, actual.majority, actual.worst) == ({}, {}, "", "")
    assert actual.resampled == "units"
    compared = compare_many(
        y, {"a": logits.argmax(1), "b": y}, None, reference="a", target="macro_f1", n_classes=K,
        draws=100,
    )  # fmt: skip
    assert compared.methods["b"].majority_degraded == "unknown"
    assert compared.lifting == ["b"]


def test_scores_that_only_rank_have_no_calibration():
    actual = _measure(_corpus(), probabilities=False)
    assert actual.overall.calibration == {}
    assert actual.scores == _measure(_corpus()).scores


def test_the_majority_group_is_the_largest_unless_it_is_named():
    data = _corpus()
    largest, named, absent = (_measure(data, majority=name) for name in ("", "de", "xx"))
    assert (largest.majority, named.majority, absent.majority) == ("en", "de", "")
    assert named.scores["majority_group"].value == named.groups["de"].macro_f1.value
    assert "majority_group" not in absent.scores


def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    whole = np.hstack(list(cluster_weights(50, 30, seed=3)))
    monkeypatch.setattr("trueness.evaluation.clusters.WEIGHTS_AT_ONCE", 350)
    monkeypatch.setattr("trueness.evaluation.clusters.DRAWS_AT_ONCE", 4)
    np.testing.assert_array_equal(np.hstack(list(cluster_weights(50, 30, seed=3))), whole)
    np.testing.assert_array_equal(whole.sum(axis=0), 50)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=60))
def test_shares_of_single_rows_are_exact_ones(trials):
    hit, cell = (np.array(side) for side in zip(*trials, strict=True))
    k, n, low, high = clustered_shares(hit, cell, np.arange(len(hit)), 3)
    for c in range(3):
        inside = hit[cell == c]
        assert (k[c], n[c]) == (inside.sum(), len(inside))
        if len(inside):
            exact = binomtest(int(k[c]), int(n[c])).proportion_ci(0.95, "exact")
            assert (low[c], high[c]) == pytest.approx((exact.low, exact.high), abs=1e-6)
        else:
            assert (low[c], high[c]) == (0, 1)


def test_copies_of_rows_bring_nothing_new():
    rng = np.random.default_rng(0)
    hit, cluster = rng.random(60) < 0.8, np.arange(60)
    _, _, low, high = clustered_shares(hit, np.zeros(60, int), cluster, 1)
    twice = [np.tile(a, 2) for a in (hit, np.zeros(60, int), cluster)]
    _, n, again_low, again_high = clustered_shares(*twice, 1)
    assert n[0] == 120
    assert again_low[0] == pytest.approx(low[0], abs=0.01)
    assert again_high[0] == pytest.approx(high[0], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_shares_of_clusters_are_covered(share):
    """Rows of a cluster hit together three times out of four."""
    rng, missed, draws = np.random.default_rng(1), 0, 1000
    cluster = np.repeat(np.arange(80), rng.integers(1, 6, 80))
    for _ in range(draws):
        together, own = rng.random(80)[cluster] < share, rng.random(len(cluster)) < share
        hit = np.where((rng.random(80) < 0.75)[cluster], together, own)
        _, _, low, high = clustered_shares(hit, np.zeros(len(hit), int), cluster, 1)
        missed += not low[0] <= share <= high[0]
    assert missed / draws <= 0.06


def test_selection_scores_are_the_summaries():
    y, logits, language, _ = data = _corpus()
    plain, actual = selection_scores(y, logits.argmax(axis=1), language, K, 100), _measure(data)
    assert plain == pytest.approx({name: actual.scores[name].value for name in plain})


def test_json_and_back():
    actual = _measure(_corpus(), chosen_on="validation", measured_on="test")
    assert Slices.from_dict(json.loads(json.dumps(actual.to_dict()))) == actual
    assert actual.groups["de"].macro_f1.chosen_on == "validation"
    assert actual.overall.by_class["books"].f1.measured_on == "test"


def test_only_small_languages_have_no_summaries_over_languages():
    data = _corpus(80)
    actual = _measure(data)
    assert list(actual.scores) == ["macro_f1"]
    assert (actual.worst, actual.worst_share, list(actual.groups)) == ("", None, ["other"])
    with pytest.raises(TruenessError, match=r"no group has 100 units.*the largest, en") as caught:
        selection_scores(data[0], data[0], data[2], K, 100)
    assert caught.value.code == "small_groups"
    with pytest.raises(TruenessError, match=r"no language has 100 texts"):
        checked_groups(data[2], 100, ("text", "language"))
    with pytest.raises(TruenessError) as caught:
        checked_groups(["und"] * 50, 10)
    assert caught.value.code == "no_groups"


# ---------------------------------------------------------------------------------------- comparing


def test_a_run_against_itself_is_exactly_nothing():
    y, logits, language, cluster = _corpus()
    predicted = logits.argmax(axis=1)
    actual = compare_slices(y, predicted, predicted, language, _clusters(cluster), n_classes=K)
    for one in (*actual.groups.values(), *actual.summaries.values()):
        assert (one.simultaneous.value, one.simultaneous.low, one.simultaneous.high) == (0, 0, 0)
        assert one.verdict == "tied"


def test_a_better_language_is_found_and_turning_the_pair_around_turns_the_verdicts():
    rng = np.random.default_rng(4)
    y, _, language, cluster = _corpus(3000)
    base = _noisy(rng, y, 0.6)
    better = np.where((language == "de") & (rng.random(3000) < 0.6), y, base)
    pair = [
        compare_slices(y, *two, language, _clusters(cluster), n_classes=K)
        for two in ((better, base), (base, better))
    ]
    assert {n: c.verdict for n, c in pair[0].groups.items()} == {
        "en": "tied", "de": "better", "fr": "tied",
    }  # fmt: skip
    assert pair[1].groups["de"].verdict == "worse"
    here, there = (p.groups["de"].simultaneous for p in pair)
    assert (here.value, here.low, here.high) == pytest.approx(
        (-there.value, -there.high, -there.low)
    )
    assert pair[0].first["worst_group"] == pytest.approx(pair[1].second["worst_group"])


def _methods(n=6000):
    """Plain; one that lifts the others and leaves English; one that lifts and hurts; a copy."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, K, n)
    language = np.where(
        np.arange(n) < n // 2, "en", np.where(np.arange(n) < 3 * n // 4, "de", "fi")
    )
    right = np.where(language == "en", 0.9, 0.5)
    plain = np.array([_noisy(rng, y, right) for _ in range(2)])
    lifted = np.where((language != "en") & (rng.random(n) < 0.4), y, plain)
    hurt = np.where((language == "en") & (rng.random(n) < 0.3), (y + 1) % K, lifted)
    return (
        y,
        {"plain": plain, "lifts": lifted, "hurts": hurt, "copy": plain},
        language,
        None,
    )


def test_the_answer_is_what_lifts_without_degrading_the_majority_group():
    actual = compare_many(*_methods(), reference="plain", n_classes=K, draws=300)
    assert set(actual.lifting) == {"lifts", "hurts"}
    assert actual.answer == ["lifts"]
    assert {n: m.majority_degraded for n, m in actual.methods.items()} == {
        "plain": "no", "lifts": "no", "hurts": "yes", "copy": "no",
    }  # fmt: skip
    assert actual.leader == "lifts"
    assert actual.methods["lifts"].behind is None
    assert actual.methods["plain"].behind.verdict == "better"
    note = json.loads(json.dumps(actual.to_dict()))
    assert note["answer"] == ["lifts"]
    assert note["methods"]["copy"]["against"]["majority_group"]["verdict"] == "tied"


def test_seeds_are_averaged_and_told():
    y, runs, language, _ = _methods(2000)
    actual = compare_many(y, runs, language, reference="plain", n_classes=K, draws=100)
    plain = actual.methods["plain"]
    alone = [selection_scores(y, one, language, K, 100) for one in runs["plain"]]
    for name in ("macro_f1", "mean_group", "worst_group"):
        assert plain.per_seed[name] == pytest.approx([one[name] for one in alone])
        assert plain.values[name] == pytest.approx(np.mean(plain.per_seed[name]))


# -------------------------------------------------------------------------- temperatures and cuts


def _one_temperature(y, logits):
    def cost(log_t):
        return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(y)), y].sum()

    return np.exp(
        minimize_scalar(cost, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x
    )


def test_without_pull_each_language_is_fitted_alone_and_with_all_of_it_all_are_one():
    y, logits, language, _ = _corpus(skill=1.5)
    logits = logits * np.where(language == "de", 3.0, 0.7)[:, None]
    alone = fit_group_temperatures(y, logits, language, strength=0.0)
    for name in set(language):
        inside = language == name
        expected = _one_temperature(y[inside], logits[inside])
        assert alone.by_group[name] == pytest.approx(expected, rel=1e-4)
    whole = _one_temperature(y, logits)
    one = fit_group_temperatures(y, logits, language, strength=np.inf)
    assert set(one.by_group.values()) == {one.common}
    assert one.common == pytest.approx(whole, rel=1e-4)
    strong = fit_group_temperatures(y, logits, language, strength=1e7)
    assert list(strong.by_group.values()) == pytest.approx([whole] * 5, rel=1e-3)


def test_pull_shrinks_small_languages_most_and_predictions_stay():
    y, logits, language, _ = _corpus(skill=1.5)
    logits = logits * np.where(np.isin(language, ["de", "fi"]), 3.0, 0.7)[:, None]
    alone, pulled = (fit_group_temperatures(y, logits, language, strength=s) for s in (0.0, 30.0))
    moved = {
        n: abs(np.log(alone.by_group[n] / pulled.by_group[n])) for n in ("de", "fi")
    }  # fmt: skip
    assert moved["fi"] > 2 * moved["de"]
    given_names = np.append(language[:-1], "xx")
    after = pulled.apply(logits, given_names)
    np.testing.assert_array_equal(after.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_allclose(after[-1], logits[-1] / pulled.common)
    assert type(pulled).from_dict(json.loads(json.dumps(pulled.to_dict()))) == pulled


def test_cuts_take_what_keeps_the_promise():
    y, logits, language, cluster = _corpus(4000)
    p = softmax(logits, axis=1)
    certified, observed = (
        abstention_thresholds(y, p, language, _clusters(cluster), precision=0.9, confidence=c)
        for c in (0.95, None)
    )
    for name, one in certified.items():
        assert one.certified
        if one.threshold is not None:
            assert one.precision.low >= 0.9
            assert one.accepted.k <= observed[name].accepted.k
    right = p.argmax(axis=1) == y
    inside = (language == "en") & accepted(p, language, observed)
    assert observed["en"].precision.k == (right & inside).sum()
    assert observed["en"].accepted.k == inside.sum()
    assert observed["en"].precision.value >= 0.9
    again = {n: json.loads(json.dumps(one.to_dict())) for n, one in certified.items()}
    assert {n: AbstentionThreshold.from_dict(one) for n, one in again.items()} == certified


def test_a_precision_out_of_reach_takes_nothing():
    y, logits, language, cluster = _corpus(400)
    p = softmax(0 * logits, axis=1)
    thresholds = abstention_thresholds(y, p, language, _clusters(cluster), precision=0.99)
    assert all(one.threshold is None and one.precision.value is None for one in thresholds.values())
    assert not accepted(p, language, thresholds).any()


def test_thresholds_are_tried_in_an_order_that_no_label_enters():
    """Labels that are all wrong where the first test is stop the sequence."""
    rng = np.random.default_rng(1)
    top = np.sort(rng.uniform(0.6, 1, 400))[::-1]
    p = np.c_[top, 1 - top]
    right = abstention_thresholds(np.zeros(400, int), p, ["en"] * 400, precision=0.8)["en"]
    assert right.accepted.k == 400
    y = np.zeros(400, int)
    y[: 400 * 3 // 10] = 1
    assert abstention_thresholds(y, p, ["en"] * 400, precision=0.8)["en"].threshold is None


def test_own_und_and_pooled_thresholds_are_guaranteed_and_unseen_groups_are_not():
    y, logits, language, cluster = _corpus(4000)
    p, blocks = softmax(logits, axis=1), _clusters(cluster)

    def thresholds(**more):
        return abstention_thresholds(y, p, language, blocks, precision=0.7, **more)

    apart, pooled, few = thresholds(), thresholds(min_rows=100), thresholds(min_rows=300)
    assert list(apart) == ["en", "de", "fr", "und", "other"]
    assert apart["other"].pooled == ("fi",)
    assert not apart["other"].guaranteed  # 79 texts
    assert apart["und"].guaranteed
    assert not apart["und"].pooled
    assert pooled.keys() == apart.keys()
    assert few["other"].pooled == ("und", "fi")
    assert not few["other"].guaranteed
    together = thresholds(min_rows=150)
    assert together["other"].pooled == ("und", "fi")
    assert together["other"].guaranteed
    asked = ["en", "fi", "und", "other", "xx"]
    assert guaranteed(asked, together).tolist() == [True, True, True, False, False]
    assert guaranteed(asked, apart).tolist() == [True, False, True, False, False]
    assert not guaranteed(asked, thresholds(confidence=None)).any()


SHARES = {"fi": 0.2, "da": 0.2, "sv": 0.2, "und": 0.4}
"""Texts of languages too small for a threshold of their own, and of none, in the population."""
POWERS = {"fi": 1.0, "da": 1.6, "sv": 0.7, "und": 1.3}
"""A text of probability p is right with probability p to this power: too sure where above 1."""


def _pooled(rng, n, target):
    """Thresholds of the pooled languages and of none, and the precision that each truly has."""
    group = rng.choice(list(SHARES), n, p=list(SHARES.values()))
    top = 0.04 + 0.96 * expit(rng.normal(2, 1.3, n))
    right = rng.random(n) < top ** np.array([POWERS[one] for one in group])
    p = np.c_[top, np.repeat(((1 - top) / 23)[:, None], 23, axis=1)]
    thresholds = abstention_thresholds((~right).astype(int), p, group, precision=target)
    many = 0.04 + 0.96 * expit(np.random.default_rng(0).normal(2, 1.3, 20_000))
    true = {}
    for name, one in thresholds.items():
        some = one.pooled or (name,)
        weights = np.array([SHARES[g] for g in some]) / sum(SHARES[g] for g in some)
        if one.threshold is not None:
            kept = many[many >= one.threshold]
            true[name] = sum(w * (kept ** POWERS[g]).mean()
                             for w, g in zip(weights, some, strict=True))  # fmt: skip
    return true


def test_pooled_languages_and_none_keep_their_promise():
    """However wrong the probabilities are: broken in at most one of twenty samples."""
    rng, runs = np.random.default_rng(3), 300
    actual = [_pooled(rng, 400, 0.9) for _ in range(runs)]
    for name in ("other", "und"):
        assert sum(name in one for one in actual) / runs > 0.3
        assert sum(one.get(name, 1) < 0.9 for one in actual) / runs <= 0.05


def _abstained(rng, n, target, size=1):
    """A threshold for probabilities that are right, and the precision it truly has."""
    top = 0.04 + 0.96 * expit(rng.normal(1.5, 1.3, n))
    cluster = np.arange(n) // size
    shared, own = rng.normal(size=n)[cluster], rng.normal(size=n)
    latent = own if size == 1 else np.sqrt(0.4) * shared + np.sqrt(0.6) * own
    p = np.full((n, 24), ((1 - top) / 23)[:, None])
    p[:, 0] = top
    actual = abstention_thresholds(
        (ndtr(latent) > top).astype(int), p, ["en"] * n, _clusters(cluster), precision=target
    )["en"]
    many = 0.04 + 0.96 * expit(np.random.default_rng(0).normal(1.5, 1.3, 20_000))
    return actual, None if actual.threshold is None else many[many >= actual.threshold].mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "target", "size", "most_never"),
    [(100, 0.8, 1, 0.3), (300, 0.9, 1, 0.6), (1000, 0.9, 3, 0.2)],
)
def test_certified_thresholds_are_found_and_keep_their_promise(n, target, size, most_never):
    """With one in twenty errors for each of twenty thresholds there were none in 63, 83, 24 %."""
    rng, runs = np.random.default_rng(8), 300
    actual = [_abstained(rng, n, target, size) for _ in range(runs)]
    assert sum(one.threshold is None for one, _ in actual) / runs <= most_never
    assert sum(true is not None and true < target for _, true in actual) / runs <= 0.05


# --------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"y": np.array([0, 1, 4])}, "labels"),
        ({"y": np.array([0.0, 1, 2])}, "labels"),
        ({"y": np.array([], int), "logits": np.zeros((0, 4))}, "no_units"),
        ({"logits": np.zeros((3, 5))}, "logits"),
        ({"logits": np.full((3, 4), np.nan)}, "not_finite"),
        ({"group": ["en"] * 2}, "lengths"),
        ({"blocks": Blocks.of(4)}, "lengths"),
        ({"confidence": 1.0}, "range"),
        ({"min_rows": 0}, "number"),
        ({"draws": 0}, "number"),
    ],
)
def test_refusals(change, code):
    given_ = {"y": np.arange(3), "logits": np.eye(4)[:3], "group": ["en"] * 3}
    with pytest.raises(TruenessError) as caught:
        measure_slices(**{**given_, "classes": CLASSES, "min_rows": 1, **change})
    assert caught.value.code == code


def test_refusals_of_comparisons_temperatures_and_thresholds():
    y, runs, language, _ = _methods(400)
    given_ = {"reference": "plain", "n_classes": K}
    probabilities = np.ones((400, K)) / K

    def limits(p, precision):
        return abstention_thresholds(y, p, language, precision=precision)

    calls = [
        ("no_reference", lambda: compare_many(y, runs, language, **given_ | {"reference": "?"})),
        ("no_estimate", lambda: compare_many(y, runs, language, **given_, target="luck")),
        ("range", lambda: compare_many(y, runs, language, **given_, allowed_drop=-1)),
        ("range", lambda: fit_group_temperatures(y, probabilities, language, strength=-1.0)),
        ("probabilities", lambda: limits(K * probabilities, 0.9)),
        ("range", lambda: limits(probabilities, 1)),
        (
            "range",
            lambda: abstention_thresholds(
                y, probabilities, language, precision=0.9, confidence=0.4
            ),
        ),
    ]
    for code, call in calls:
        with pytest.raises(TruenessError) as caught:
            call()
        assert caught.value.code == code
    with pytest.raises(TruenessError, match="no estimate 'worst_group' for these units"):
        compare_many(y, runs, language, **given_, min_rows=1000)


def test_few_clusters_give_no_interval_and_take_none_from_others():
    rng = np.random.default_rng(9)
    y = rng.integers(0, K, 1200)
    language = np.repeat(["en", "de"], 600)
    cluster = np.where(language == "en", np.arange(1200), np.arange(1200) % 4)
    predicted, better = _noisy(rng, y, 0.3), _noisy(rng, y, 0.9)
    actual = _measure((y, np.eye(K)[predicted], language, cluster))
    assert actual.groups["de"].macro_f1.low is None
    assert actual.groups["en"].macro_f1.low is not None
    against = compare_slices(
        y, better, predicted, language, _clusters(cluster), n_classes=K, draws=200
    )
    assert {n: c.verdict for n, c in against.groups.items()} == {"en": "better", "de": "unknown"}


def test_an_interval_holds_its_value():
    """Draws far below the value, as those of a macro-F1 with rare classes are."""
    assert basic_interval(0.5, np.linspace(0.2, 0.4, 101), 0.95) == (0.5, pytest.approx(0.795))
    assert basic_interval(0.5, np.linspace(0.6, 0.8, 101), 0.95) == (pytest.approx(0.205), 0.5)


def test_draws_that_do_not_move_give_no_interval():
    assert basic_interval(1.0, np.ones(9), 0.95) == (None, None)
    assert basic_interval(0.5, np.array([0.1, np.nan]), 0.95) == (None, None)
