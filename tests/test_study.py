"""Tables of trials: published measures to the digit, intervals, coverage, refusals, the page."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tests.test_cli import call
from trueness.errors import DataError, TruenessError
from trueness.evaluation import Estimate
from trueness.evaluation.power import auc_standard_error
from trueness.evaluation.summaries import (
    auc_estimate,
    correlation_estimate,
    difference_estimate,
    mean_estimate,
    slope_estimate,
)
from trueness.judge.studies import (
    Coverages,
    Range,
    across,
    analyze,
    coverage,
    from_rows,
    read_study,
    study_folders,
)
from trueness.judge.studies.across import verdict
from trueness.judge.studies.figures import level_figures
from trueness.judge.studies.importance import additive_surrogate, between_share, departures
from trueness.judge.studies.levels import level_codes
from trueness.models.budgets import LABELS
from trueness.report import to_html, to_markdown

PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "spec" / "published" / "hpo"
NAMES = ("d_model", "n_layers", "n_heads", "d_ff_ratio", "learning_rate", "dropout", "weight_decay")

# value, then the parameters in the order of NAMES; trial 3 repeats trial 1, trial 0 is forced
TRIALS = [
    (0.70, 32, 2, 2, 4, 1e-4, 0.1, 0.0),
    (0.72, 48, 2, 4, 2, 1e-4, 0.3, 0.0),
    (0.71, 48, 3, 4, 2, 1e-5, 0.3, 1e-4),
    (0.72, 48, 2, 4, 2, 1e-4, 0.3, 0.0),
    (0.69, 32, 3, 2, 4, 1e-5, 0.1, 1e-4),
    (0.68, 32, 4, 4, 4, 1e-5, 0.1, 0.0),
    (0.72, 64, 4, 4, 4, 1e-4, 0.5, 0.0),
    (0.66, 64, 2, 2, 2, 1e-5, 0.1, 1e-4),
    (0.70, 32, 4, 2, 2, 1e-4, 0.5, 0.0),
    (0.71, 48, 4, 2, 2, 1e-4, 0.1, 1e-4),
]
SPACE = {
    "d_model": [32, 48, 64, 80], "n_layers": [2, 3, 4], "n_heads": [2, 4, 32], "d_ff_ratio": [2, 4],
    "learning_rate": [1e-5, 1e-4], "dropout": [0.1, 0.3, 0.5, 0.7], "weight_decay": [0.0, 1e-4],
}  # fmt: skip


def _published_form(trials=TRIALS):
    rows = []
    for number, (value, *levels) in enumerate(trials):
        params, attributes = dict(zip(NAMES, levels, strict=True)), {"forced_extreme": False}
        if number == 0:
            attributes = {"forced_extreme": True, "extreme_type": "min_d_model",
                          **{f"forced_{k}": v for k, v in params.items()}}  # fmt: skip
            params = {}
        rows.append({"number": number, "value": value, "state": "TrialState.COMPLETE",
                     "params": params, "user_attrs": attributes})  # fmt: skip
    return rows


@pytest.fixture
def folder(tmp_path):
    """A study as published, with a table of sizes and score ranges."""
    folder = tmp_path / "a50_2m_forced"
    folder.mkdir()
    (folder / "all_trials.json").write_text(json.dumps(_published_form()))
    about = {"tier": "a50", "budget_label": "2M", "kind": "forced", "search_space": SPACE,
             "published_best_params": {}}  # fmt: skip
    (folder / "study.json").write_text(json.dumps(about))
    lines = ["trial,auc,recall,pred_min,pred_max,duration_sec,param_count"]
    lines += [f"{i},{t[0]},{0 if i < 2 else ''},{0.1 if i < 4 else ''},{0.2 if i < 3 else 0.9 if i < 4 else ''},1.5,{1000 * t[1]}"
              for i, t in enumerate(TRIALS)]  # fmt: skip
    (folder / "trial_metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def _rows(trials=TRIALS):
    return [{"number": i, "value": v, "params": dict(zip(NAMES, levels, strict=True))}
            for i, (v, *levels) in enumerate(trials)]  # fmt: skip


# ------------------------------------------------------------------------------ published, exactly


def _agrees(expected, actual, where):
    if isinstance(expected, dict):
        assert set(expected) <= set(actual), where
        for key, value in expected.items():
            _agrees(value, actual[key], f"{where} {key}")
    elif isinstance(expected, float) and math.isnan(expected):
        assert actual is None, where
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, abs=1e-6), where
    else:
        assert actual == expected, where


def test_all_published_studies_are_reproduced(capsys):
    if not PUBLISHED.exists():
        pytest.skip("the published studies are not here")
    expected = json.loads((PUBLISHED / "expected_analysis.json").read_text())
    code, out, _ = call(capsys, "search", "analyze", "--import", PUBLISHED, "--all", "--json")
    content = json.loads(out)
    actual = {one["study"]: one for one in content["studies"]}
    assert (code, set(actual)) == (0, set(expected))
    assert len(actual) == 12
    for name, wanted in expected.items():
        _agrees(wanted, actual[name], name)
        about = json.loads((PUBLISHED / name / "study.json").read_text())
        assert actual[name]["best"]["trial"] == about["best_trial"]
        assert actual[name]["best"]["params"] == about["best_params"]
    assert all(group["published_verdict"] == "VIOLATED" for group in content["groups"])
    assert not any(group["supported"] for group in content["groups"])
    assert content["sentences"][0].startswith(
        "No difference between budgets exceeds its error in 12"
    )


def test_published_spaces_are_those_of_the_labels():
    if not PUBLISHED.exists():
        pytest.skip("the published studies are not here")
    for one in study_folders(PUBLISHED):
        study = read_study(one)
        levels = LABELS[study.budget][:3]
        assert tuple(study.space[n] for n in NAMES[:3]) == levels


def test_a_small_study_by_hand(folder):
    actual = analyze(read_study(folder)).to_dict()
    assert actual["best"]["trial"] == 1  # the first of three equal ones
    assert (actual["n_trials"], actual["unique_configs"], actual["repeated_configs"]) == (10, 9, 1)
    assert (actual["wasted_trials"], actual["max_repeat"], actual["distinct_auc_values"]) == (
        1,
        2,
        6,
    )
    values = [t[0] for t in TRIALS]
    assert actual["mean_auc"] == pytest.approx(np.mean(values))
    assert actual["std_auc"] == pytest.approx(np.std(values, ddof=1))
    assert actual["arch_combos"] == {"total": 36, "total_valid": 30, "tested": 9}
    assert actual["training_combos"] == {"total": 16, "tested": 7}
    width = [t[1] * t[4] for t in TRIALS]
    ratio = [w / t[2] for w, t in zip(width, TRIALS, strict=True)]
    for name, x in (
        ("width", width),
        ("depth", [t[2] for t in TRIALS]),
        ("width_over_depth", ratio),
    ):
        assert actual["correlation_with_auc"][name] == pytest.approx(np.corrcoef(x, values)[0, 1])
    groups = {32: [0.70, 0.69, 0.68, 0.70], 48: [0.72, 0.71, 0.72, 0.71], 64: [0.72, 0.66]}
    between = sum(len(g) * (np.mean(g) - np.mean(values)) ** 2 for g in groups.values()) / 10
    assert actual["importance"]["d_model"] == pytest.approx(between / np.var(values, ddof=1))
    by_value = actual["by_value"]["d_model"]
    assert list(by_value) == ["32", "48", "64"]
    assert by_value["48"]["count"] == 4
    assert by_value["48"]["mean"] == pytest.approx(0.715)
    assert by_value["48"]["std"] == pytest.approx(np.std(groups[48], ddof=1))
    estimate = by_value["48"]["estimate"]  # the repeated trial counts once
    assert (estimate["n"], estimate["value"]) == (3, pytest.approx(np.mean([0.72, 0.71, 0.71])))
    assert actual["trends"]["d_model"]["word"] == "flat"
    assert actual["trends"]["learning_rate"]["word"] == "increasing"
    rate = actual["trends"]["learning_rate"]["estimate"]
    welch = scipy.stats.ttest_ind([0.70, 0.72, 0.72, 0.70, 0.71], [0.71, 0.69, 0.68, 0.66], equal_var=False).confidence_interval()  # fmt: skip
    assert (rate["low"], rate["high"]) == pytest.approx((welch.low, welch.high))
    assert not actual["trends"]["learning_rate"]["supported"]
    assert actual["convergence"] == pytest.approx(list(np.maximum.accumulate(values)))
    assert actual["forced"][0]["type"] == "min_d_model"
    assert actual["forced"][0]["params"]["d_model"] == 32
    assert actual["ranges"] == {"known": 4, "collapsed": 3, "mean_width": pytest.approx(0.275),
                               "recalls": 2, "no_recall": 2}  # fmt: skip
    assert any("forced trial won" in note for note in actual["notes"])
    best = actual["best"]["estimate"]
    assert (best["n"], best["n_candidates"]) == (422, 9)
    half = 1.96 * auc_standard_error(0.72, 76, 346)
    assert best["high"] - best["value"] == pytest.approx(half, rel=1e-3)


def test_forced_trials_count_as_what_was_carried_out(folder):
    study = read_study(folder)
    assert study.trials[0].params == dict(zip(NAMES, TRIALS[0][1:], strict=True))
    assert study.trials[0].parameters == 32_000
    assert [t.forced for t in study.trials[:2]] == ["min_d_model", None]


def test_a_folder_with_trials_alone_is_enough(tmp_path):
    folder = tmp_path / "a100_20m_tpe"
    folder.mkdir()
    (folder / "all_trials.json").write_text(json.dumps(_published_form()))
    study = read_study(folder)
    assert (study.tier, study.budget, study.budget_size) == ("a100", "20M", 20e6)
    assert study.space["n_heads"] == (2, 4)
    assert study.trials[0].parameters is None
    assert analyze(study).to_dict()["ranges"]["known"] == 0


# ------------------------------------------------------------------------------------- coverage


def test_only_architectures_whose_heads_divide_the_width_can_be_untested(folder):
    grid = coverage(read_study(folder)).architectures
    assert len(grid.counts) == 30  # 32 heads divide 32 and 64, not 48 and 80
    assert all(d % k == 0 for d, _, k in grid.counts)
    assert grid.tested == len({(t[1], t[2], t[3]) for t in TRIALS}) == 9
    assert sum(grid.counts.values()) == 10
    assert len(grid.untested) == 21


def test_gaps_lie_on_the_scale_that_spaces_levels_evenly(folder):
    actual = {p.name: p for p in coverage(read_study(folder)).parameters}
    assert actual["d_model"].counts == {32: 4, 48: 4, 64: 2, 80: 0}
    assert actual["d_model"].configurations == {32: 4, 48: 3, 64: 2, 80: 0}
    assert actual["d_model"].untested == [80]
    gap = actual["n_heads"].gap
    assert (gap.low, gap.high, gap.share, gap.scale) == (4, 32, 0.75, "log")
    assert actual["n_layers"].gap is None
    space = {"learning_rate": Range(1e-5, 1e-1, log=True)}
    (one,) = coverage(from_rows("x", _rows()), space).parameters
    assert (one.gap.low, one.gap.high, one.gap.share) == (1e-4, 1e-1, 0.75)
    rank = coverage(from_rows("x", _rows()), {"weight_decay": (0.0, 1e-5, 1e-4, 1e-3)}).parameters[
        0
    ]
    assert (rank.gap.low, rank.gap.high, rank.gap.scale) == (0.0, 1e-4, "rank")
    assert rank.gap.share == pytest.approx(2 / 3)


@given(st.lists(st.tuples(*(st.integers(0, 2),) * 3), min_size=1, max_size=30))
def test_counts_of_a_grid_are_those_of_the_trials(points):
    levels = {"a": (0, 1, 2), "b": (0, 1, 2), "c": (0, 1, 2)}
    rows = [{"number": i, "value": 0.5, "params": dict(zip("abc", p, strict=True))}
            for i, p in enumerate(points)]  # fmt: skip
    actual = coverage(from_rows("x", rows, levels))
    assert len(actual.pairs) == 3
    for grid in actual.pairs:
        assert sum(grid.counts.values()) == len(points)
        assert grid.tested + len(grid.untested) == len(grid.counts) == 9
    for one in actual.parameters:
        assert sum(one.counts.values()) == len(points)
        assert sum(one.configurations.values()) == len(set(points))


# ------------------------------------------------------------------------------------ importance


def _planted(n, seed, effect=0.02, noise=0.004):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, k, n) for k in (4, 3, 2)]
    return codes, 0.7 + effect * codes[0] + noise * rng.standard_normal(n)


def test_the_parameter_that_was_planted_has_the_importance():
    codes, y = _planted(60, 0)
    rows = [{"number": i, "value": float(v), "params": {"a": int(a), "b": int(b), "c": int(c), "i": i % 30}}
            for i, (v, a, b, c) in enumerate(zip(y, *codes, strict=True))]  # fmt: skip
    actual = analyze(from_rows("planted", rows))
    one = {i.name: i for i in actual.importance}
    assert one["a"].additive.low > 0.9
    assert one["a"].top.value > one["a"].top_chance
    assert max(one["b"].additive.value, one["c"].additive.value) < 0.05
    assert sum(i.additive.value for i in actual.importance) == pytest.approx(1)
    assert actual.surrogate.explained > 0.8
    assert one["a"].effect == pytest.approx(0.02 * np.std(range(4)), rel=0.1)
    for i in actual.importance:
        assert i.additive.low <= i.additive.value <= i.additive.high
        assert i.published == pytest.approx(between_share(*_as_codes(actual, i.name)))


def _as_codes(actual, name):
    study = actual.study
    return level_codes(study, name, study.completed), np.array([t.value for t in study.completed])


def test_a_companion_does_not_take_the_credit():
    """Where b was sampled with a, marginal means credit it; effects fitted together do not."""
    rng = np.random.default_rng(5)
    a = rng.integers(0, 2, 80)
    b = np.where(rng.random(80) < 0.85, a, 1 - a)
    y = 0.7 + 0.02 * a + 0.004 * rng.standard_normal(80)
    fitted = additive_surrogate([a, b], y)
    assert between_share(b, y) > 0.3
    assert fitted.effects[1].var() / fitted.effects[0].var() < 0.05


def test_noise_is_not_explained_and_chance_is_what_noise_gives():
    shares, explained = [], []
    for seed in range(40):
        codes, y = _planted(40, seed, effect=0.0)
        shares.append(between_share(codes[0], y))
        explained.append(additive_surrogate(codes, y).explained)
    assert np.mean(shares) == pytest.approx(3 / 40, abs=0.025)
    assert np.mean(explained) < 0.1


def test_ridge_without_a_penalty_is_least_squares():
    from trueness.judge.studies.importance import _design, _ridge, _split

    codes, y = _planted(50, 1)
    weights = np.bincount(np.random.default_rng(0).integers(0, 50, 50), minlength=50)
    beta = _ridge(_design(codes), y[None], weights[None].astype(float), 1e-9)[0]
    dummies = np.column_stack([np.ones(50), *(np.eye(c.max() + 1)[c][:, 1:] for c in codes)])
    root = np.sqrt(weights)
    plain = np.linalg.lstsq(dummies * root[:, None], y * root, rcond=None)[0]
    first = _split(codes, beta)[0]
    np.testing.assert_allclose(np.diff(first), np.diff([0, *plain[1:4]]), atol=1e-6)


def test_departure_is_pearsons_divergence():
    codes, top = [np.array([[0, 0, 1, 1]])], np.array([[True, True, False, False]])
    assert departures(codes, top)[0] == pytest.approx([0.5 * (2 - 1) ** 2 + 0.5 * (0 - 1) ** 2])


def test_numbers_with_many_levels_are_grouped():
    rows = [{"number": i, "value": 0.7 + i / 1e4, "params": {"learning_rate": 1e-5 * 1.1**i, "k": "ab"[i % 2]}}
            for i in range(40)]  # fmt: skip
    actual = analyze(from_rows("many", rows, {"learning_rate": Range(1e-5, 1e-3, log=True)}))
    assert len(actual.by_value["learning_rate"]) == 5
    assert sum(r.count for r in actual.by_value["learning_rate"]) == 40
    assert actual.trends["learning_rate"].word == "flat"
    assert "k" not in actual.trends
    assert "1e-05 to" in _text(across([actual]))


# ------------------------------------------------------------------------------------- summaries


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 99))
def test_intervals_are_those_of_the_textbooks(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal(n), 2 * rng.standard_normal(m)
    low, high = scipy.stats.ttest_1samp(a, 0).confidence_interval()
    assert (mean_estimate(a).low, mean_estimate(a).high) == pytest.approx((low, high))
    welch = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    actual = difference_estimate(a, b)
    assert (actual.low, actual.high) == pytest.approx((welch.low, welch.high))
    if n > 3:
        x = rng.standard_normal(n)
        r = scipy.stats.pearsonr(x, a)
        actual = correlation_estimate(x, a)
        assert (actual.value, actual.low, actual.high) == pytest.approx(
            (r.statistic, *r.confidence_interval())
        )
        line, actual = scipy.stats.linregress(x, a), slope_estimate(x, a)
        half = scipy.stats.t.ppf(0.975, n - 2) * line.stderr
        assert (actual.value, actual.high - actual.value) == pytest.approx((line.slope, half))


def test_summaries_without_a_spread_have_no_interval():
    assert mean_estimate([0.7]) == Estimate(0.7, None, None, 1)
    assert mean_estimate([]).value is None
    assert difference_estimate([0.7], [0.6, 0.5]).low is None
    assert difference_estimate([], [0.6]).value is None
    assert difference_estimate([0.5, 0.5], [0.25, 0.25]).low == 0.25
    assert correlation_estimate([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]).value is None
    assert correlation_estimate([1, 2], [1, 2]).low is None
    assert slope_estimate([1, 1], [1, 2]).value is None


def test_error_of_an_auc_is_that_of_hanley_and_mcneil():
    """Exact where the scores of both classes are exponential, which is their model."""
    assert auc_estimate(1.0, 5, 5).high == 1
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(2000):
        positive, negative = 2.7 * rng.exponential(size=76), rng.exponential(size=346)
        draws.append((positive[:, None] > negative).mean())
    assert np.std(draws) == pytest.approx(auc_standard_error(2.7 / 3.7, 76, 346), rel=0.05)
    for wrong in ((1.1, 5, 5), (0.5, 0, 5), (0.5, 5, 0)):
        with pytest.raises(TruenessError):
            auc_standard_error(*wrong)


# ---------------------------------------------------------------------------------------- across


def _three(gap, positives=76, examples=422):
    studies = []
    for i, budget in enumerate(("2M", "20M", "200M")):
        rows = [{**r, "value": r["value"] + gap * i, "parameters": 10 ** (5 + i) + r["number"]}
                for r in _rows()]  # fmt: skip
        studies.append(from_rows(f"s{i}", rows, budget=budget, tier="a50", kind="tpe",
                                 positives=positives, examples=examples))  # fmt: skip
    return across([analyze(s) for s in reversed(studies)])


def test_budgets_that_differ_less_than_their_error_support_no_verdict():
    actual = _three(0.005)
    (group,) = actual.groups
    assert [m.study.budget for m in group.members] == ["2M", "20M", "200M"]
    assert (group.verdict, group.is_supported, group.sizes_rise) == ("HOLDS", False, True)
    assert (
        "No difference between budgets exceeds its error in 3 comparisons" in actual.sentences()[0]
    )
    best = next(d for d in group.differences if (d.one, d.two) == ("s0", "s2"))
    error = np.hypot(auc_standard_error(0.72, 76, 346), auc_standard_error(0.73, 76, 346))
    assert best.best.value == pytest.approx(-0.01)
    assert best.best.high - best.best.value == pytest.approx(1.96 * error, rel=1e-3)
    r = best.correlation_needed
    a, b = auc_standard_error(0.72, 76, 346), auc_standard_error(0.73, 76, 346)
    assert math.sqrt(a * a + b * b - 2 * r * a * b) == pytest.approx(0.01 / 1.959964)
    assert group.slope.value == pytest.approx(0.005, abs=1e-4)
    assert group.agreement["dropout"] == [0.3, 0.3, 0.3]


def test_budgets_that_differ_more_are_said_to():
    actual = _three(0.005, positives=400_000, examples=2_000_000)
    assert actual.groups[0].is_supported
    assert actual.sentences()[0].startswith("3 of 3 comparisons of budgets exceed their error")
    unknown = _three(0.005, positives=None, examples=None)
    assert unknown.sentences()[0].startswith("Nothing is said about size")
    assert "is unknown, as positives are not known" in _text(unknown)
    assert verdict([0.1, 0.2]) is None


def _text(actual):
    return to_markdown(actual.document())


def test_studies_of_other_kinds_are_not_compared():
    one = analyze(from_rows("one", _rows(), budget="2M", tier="a50", kind="tpe"))
    two = analyze(from_rows("two", _rows(), budget="2M", tier="a100", kind="tpe"))
    assert across([one, two]).groups == []


# ------------------------------------------------------------------------------------ command line


def test_one_study_is_printed_and_written(folder, tmp_path, capsys):
    page, text = tmp_path / "s.html", tmp_path / "s.md"
    code, out, err = call(
        capsys, "search", "analyze", "--import", folder, "--markdown", text, "--report", page
    )
    assert code == 0, err
    assert "Trial 1: AUC 0.720 (0.651–0.789), the best of 9 configurations" in out
    assert "9 of 30 (30 %) valid combinations tested" in out
    assert "9 configurations, 1 of them repeated: 1 of 10 (10 %) trials are repeats." in out
    written = text.read_text()
    for part in ("# Search analysis: a50_2m_forced", "## Importance", "## Forced trials"):
        assert part in written
    assert re.search(r"^\| 0 \| min_d_model", re.sub(r" +", " ", written), re.MULTILINE)
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert re.search(r"<script[^>]*src=.http", page.read_text()) is None


def test_everything_about_a_study_is_in_its_document(folder):
    actual = across([analyze(read_study(folder))])
    document = actual.document()
    titles = [table.title for table in document.tables()]
    assert [t.partition(":")[0] for t in titles if t.partition(":")[0] in NAMES] == list(NAMES)
    assert len(document.figures()) == 3 + len(NAMES)  # trials twice, importance, one per parameter
    trials, means = (
        next(t for t in document.tables() if t.title == f"{what} of d_model (rows) × n_heads")
        for what in ("Trials", "Mean")
    )
    assert [c.title for c in trials.columns] == ["d_model", "2", "4", "32"]
    rows = {row[0]: row[1:] for row in trials.rows}
    assert [cell and (cell.text, cell.value) for cell in rows["48"]] == [
        ("1", 1), ("3", 3), ("×", None)]  # fmt: skip
    assert rows["80"][0] is None  # not tried
    assert trials.note == "×, grey: invalid; empty, white: untested"
    assert means.rows[1][2].value == pytest.approx(np.mean([0.72, 0.71, 0.72]))
    frame = actual.to_frame()
    assert frame.filter(parameter="dropout", level="0.1")["trials"].to_list() == [5]
    coverage_ = Coverages([coverage(read_study(folder))])
    assert "9 of 30 (30 %)" in to_markdown(coverage_.document())
    assert coverage_.to_frame().filter(parameter="d_model", level="80")["trials"].to_list() == [0]


def test_several_studies_are_compared(folder, tmp_path, capsys):
    other = tmp_path / "a50_20m_forced"
    other.mkdir()
    (other / "all_trials.json").write_text((folder / "all_trials.json").read_text())
    (other / "study.json").write_text(
        json.dumps({"tier": "a50", "budget_label": "20M", "kind": "forced"})
    )
    page = tmp_path / "all.html"
    code, out, _ = call(
        capsys, "search", "analyze", "--import", tmp_path, "--all", "--report", page
    )
    assert code == 0
    assert "No difference between budgets exceeds its error in 1 comparison of budgets" in out
    for part in ("Scaling: a50 forced", "Agreement of the best", "Study by study"):
        assert part in page.read_text()
    twice = call(capsys, "search", "analyze", "--import", folder, "--import", folder, "--json")
    assert len(json.loads(twice[1])["studies"]) == 1


def test_coverage_is_printed(folder, tmp_path, capsys):
    text = tmp_path / "c.md"
    code, out, _ = call(capsys, "search", "coverage", "--import", folder, "--markdown", text)
    assert code == 0
    assert "9 of 30" in out
    assert "9 of 30" in text.read_text()
    code, out, _ = call(capsys, "search", "coverage", "--import", folder, "--json")
    (one,) = json.loads(out)["studies"]
    assert one["architectures"]["valid"] == 30
    assert one["parameters"]["d_model"]["untested"] == [80]


def test_shapes_are_listed(capsys):
    code, out, _ = call(capsys, "search", "shapes", "2M", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert all(abs(row["parameters"] / 2e6 - 1) <= 0.1 for row in rows)
    code, out, _ = call(capsys, "search", "shapes", "label:2M")
    assert "is a name, not a size" in out


ALL = "all_trials.json"
GOOD = json.dumps(_published_form())
REFUSED = {
    "no folder": (None, "no_folder"),
    "no trials": ({}, "no_study"),
    "broken": ({ALL: "[{"}, "unreadable"),
    "bytes": ({ALL: b"\xff\xfe\x00"}, "unreadable"),
    "object": ({ALL: "{}"}, "no_list"),
    "empty": ({ALL: "[]"}, "no_trials"),
    "unfinished": ({ALL: json.dumps([{"number": 0, "state": "TrialState.PRUNED", "params": {}, "value": None}])}, "no_trials"),
    "without values": ({ALL: json.dumps([{"number": 0, "state": 1, "params": {"a": 1}, "value": None}])}, "no_trials"),
    "no such state": ({ALL: GOOD.replace('"TrialState.COMPLETE"', "9", 1)}, "trial_state"),
    "two objectives": ({ALL: json.dumps([{"number": 0, "values": [0.1, 0.2], "state": "COMPLETE", "params": {"lr": 0.1}}])}, "multi_objective"),
    "minimised": ({ALL: GOOD, "study.json": '{"direction": "MINIMIZE"}'}, "minimised"),
    "text": ({ALL: GOOD.replace("0.68,", '"high",')}, "not_finite"),
    "twice": ({ALL: GOOD.replace('"number": 4', '"number": 3')}, "duplicate_trial"),
    "nameless": ({ALL: GOOD.replace('"number": 4', '"number": null')}, "trial_number"),
    "no params": ({ALL: json.dumps([{"number": 0, "value": 0.7, "state": "COMPLETE", "params": {}}])}, "params"),
    "odd level": ({ALL: GOOD.replace('"dropout": 0.5', '"dropout": [0.5]')}, "level"),
    "nan level": ({ALL: GOOD.replace('"dropout": 0.5', '"dropout": NaN')}, "not_finite"),
    "params list": ({ALL: GOOD.replace('"params": {}', '"params": [1]')}, "params"),
    "attributes": ({ALL: GOOD.replace('"user_attrs": {', '"user_attrs": 3, "x": {', 1)}, "params"),
    "odd study": ({ALL: GOOD, "study.json": "[]"}, "no_object"),
    "odd space": ({ALL: GOOD, "study.json": '{"search_space": {"dropout": 0.1}}'}, "space"),
    "odd positives": ({ALL: GOOD, "study.json": '{"n_positives": 500}'}, "counts"),
    "odd words": ({ALL: GOOD, "study.json": '{"n_positives": "many"}'}, "counts"),
    "odd size": ({ALL: GOOD, "trial_metrics.csv": "trial,param_count\n3,big\n"}, "number"),
    "value above one": ({ALL: GOOD.replace("0.68,", "1.68,")}, "range"),
}  # fmt: skip


def _written(folder, files):
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_study_is_refused_in_one_line(tmp_path, capsys, case):
    files, error_code = REFUSED[case]
    folder = _written(tmp_path / "study", files)
    with pytest.raises(DataError) as refusal:
        read_study(folder)
    assert refusal.value.code == error_code
    for verb in ("analyze", "coverage"):
        code, out, err = call(capsys, "search", verb, "--import", folder)
        assert (code, out, err) == (2, "", f"trueness: {refusal.value}\n")


def test_other_mistakes_are_refused(folder, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    for words, message in (
        ((), "give names of studies, --all, or --import FOLDER"),
        (("mine",), "no study of that name, 'mine'"),
        (("mine", "--import", folder), "not both"),
        (("mine", "--all"), "not both"),
        (("--import", tmp_path), "it holds 1 studies, --all reads them"),
        (("--import", tmp_path / "none", "--all"), "no study inside"),
        (("--import", folder, "--markdown", tmp_path / "x" / "y.md"), "cannot be written"),
    ):
        code, _, err = call(capsys, "search", "analyze", *words)
        assert (code, message in err, err.count("\n")) == (2, True, 1), err
    for words in (
        ("2X",),
        ("label:3M",),
        ("2M", "--features", "0"),
        ("2M", "--batch", "0"),
        ("10", "--context", "5"),
    ):
        assert call(capsys, "search", "shapes", *words)[0] == 2


def test_rows_of_our_own_studies_are_checked():
    rows = [{"number": 0, "value": 0.7, "params": {"d_model": 8}, "key": "0123", "parameters": 10,
             "scores": (0.1, 0.9), "recall": 0.5, "state": "complete"},
            {"number": 1, "value": None, "params": {"d_model": 16}, "state": "pruned"}]  # fmt: skip
    study = from_rows("ours", rows, {"d_model": (8, 16, 24)})
    assert (len(study.trials), len(study.completed)) == (2, 1)
    actual = analyze(study).to_dict()
    assert actual["states"] == {"complete": 1, "pruned": 1}
    assert actual["best"]["estimate"]["low"] is None
    assert actual["std_auc"] is None
    assert actual["surrogate_explains"] is None
    json.dumps(actual, allow_nan=False)
    with pytest.raises(DataError, match="scores"):
        from_rows("ours", [{**rows[0], "scores": (0.1, math.nan)}])
    write = across([analyze(study)])
    assert "Run `0123` in the store." in _text(write)


def test_a_page_of_one_trial_can_be_drawn():
    one = from_rows("one", [{"number": 3, "value": 0.7, "params": {"loss": "bce"}}])
    html = to_html(across([analyze(one)]).document())
    assert "Not recorded for any of 1 trial." in html
    assert "1 configuration, no duplicates." in html


# ----------------------------------------------------------------------------- odd but right inputs


def test_states_are_names_or_numbers_and_what_has_no_value_is_counted_and_left_out():
    params = {"lr": 0.1}
    rows = [
        {"number": 0, "value": 0.7, "state": 1, "params": params},
        {"number": 1, "value": None, "state": 0, "params": params},
        {"number": 2, "value": None, "state": "TrialState.PRUNED", "params": params},
        {"number": 3, "value": float("nan"), "state": "COMPLETE", "params": params},
        {"number": 4, "values": [0.6], "state": "complete", "params": {"lr": 0.2}},
        {"number": 5, "value": math.inf, "state": "COMPLETE", "params": params},
    ]
    study = from_rows("odd", rows)
    assert [t.number for t in study.completed] == [0, 4]
    assert study.uncounted == {"no value": 2, "pruned": 1, "running": 1}
    assert "Not counted: 2 without a value, 1 pruned, 1 running." in _text(across([analyze(study)]))


def test_none_is_a_level():
    rows = [{"number": 0, "value": 0.7, "params": {"class_weight": None}},
            {"number": 1, "value": 0.6, "params": {"class_weight": "balanced"}}]  # fmt: skip
    assert from_rows("none", rows).space == {"class_weight": ("None", "balanced")}


def test_intervals_of_level_means_of_shares_stay_inside_0_and_1():
    rows = [{"number": i, "value": v, "params": {"a": 0}} for i, v in enumerate((0.99, 0.9, 0.99))]
    for measure, inside in (("AUC", True), ("macro_f1", False)):
        actual = analyze(from_rows("high", [{**r, "params": {"a": 0, "i": r["number"]}} for r in rows],
                                  measure=measure))  # fmt: skip
        (row,) = actual.by_value["a"]
        assert (row.estimate.high <= 1) == inside
        assert row.estimate.value == pytest.approx(0.96)


def test_a_setting_below_a_choice_pairs_with_its_own_branch_only():
    space = {"loss": ("bce", "focal", "asl"), "loss:focal.alpha": (0.25, 0.5, 0.75),
             "loss:asl.clip": (0, 0.05)}  # fmt: skip
    rows = [{"number": i, "value": 0.7, "params": {"loss": "focal", "loss:focal.alpha": a}}
            for i, a in enumerate((0.25, 0.5))]  # fmt: skip
    actual = {grid.names: grid for grid in coverage(from_rows("below", rows, space)).pairs}
    alpha = actual["loss", "loss:focal.alpha"]
    assert (alpha.tested, len(alpha.counts)) == (2, 3)
    assert len(actual["loss", "loss:asl.clip"].counts) == 2
    assert ("loss:focal.alpha", "loss:asl.clip") not in actual


def test_a_coverage_map_is_drawn_where_only_other_pairs_are_discrete():
    rows = [{"number": i, "value": 0.7 + i / 100, "params": {"loss": "ab"[i % 2], "tier": "a20"}}
            for i in range(4)]  # fmt: skip
    titles = [t.title for t in across([analyze(from_rows("x", rows))]).document().tables()]
    assert "Trials of loss (rows) × tier" in titles


def test_labels_of_levels_do_not_share_a_place_and_axes_are_the_same(folder):
    figures = level_figures(analyze(read_study(folder)))
    assert len({tuple(f.layout["xaxis"]["range"]) for f in figures}) == 1
    for figure in figures:
        axis = figure.layout["yaxis"]
        assert len(axis["tickvals"]) == len(set(axis["ticktext"]))
        assert figure.layout["height"] >= 30 * len(axis["tickvals"])
