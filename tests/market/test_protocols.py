"""Protocols by time: what trains never knows what is measured, on one series and on a panel."""

import dataclasses
import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.market.cases import examples_of
from tests.test_cli import call
from trueness.engines.recorded import predictions_of
from trueness.examples import PARTS
from trueness.market import Panel, synthetic_bars
from trueness.market.protocols import Reach, parts_of
from trueness.spec.evaluation import Combinatorial, Holdout, PurgedKFold, WalkForward
from trueness.spec.task import MarketTask

NONE, TRAIN, VALIDATION, TEST, OOF = range(len(PARTS))
START = np.datetime64("2001-01-01")


def reach_of(masks, context, horizon):
    """Windows of series whose calendars are those days of a span that a mask holds."""
    times, series, first = [], [], []
    for i, mask in enumerate(masks):
        days = START + np.flatnonzero(mask)
        n = max(0, len(days) - context - horizon + 1)
        times.append(days)
        series += [i] * n
        first += range(n)
    first = np.array(first, np.int64)
    return Reach(tuple(times), np.array(series), first, first + context - 1, horizon)


@st.composite
def reaches(draw, series=3):
    """One series without holes, or some with calendars that differ."""
    n = draw(st.integers(500, 900))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    some = draw(st.integers(1, series))
    masks = [rng.random(n) < (1.0 if some == 1 else draw(st.sampled_from([0.6, 0.95, 1.0])))
             for _ in range(some)]  # fmt: skip
    return reach_of(masks, draw(st.integers(1, 20)), draw(st.integers(1, 8)))


def times_of_labels(reach, i):
    """Times of the bars that a label looks at, and of the decision before them."""
    times = reach.times[reach.series[i]]
    last = reach.last[i]
    return times[last : last + reach.horizon + 1]


def check_nothing_overlaps(part, reach, embargo, *, later):
    """By a double loop: labels of train and inner validation share no time with those of others."""
    train, inner, out = (np.flatnonzero(part == p) for p in (TRAIN, VALIDATION, OOF))
    assert len(out)
    for some, others in ((train, inner), (train, out), (inner, out)):
        if not len(others):
            continue
        spans = [times_of_labels(reach, j) for j in others]
        low, high = np.array([s[0] for s in spans]), np.array([s[-1] for s in spans])
        for i in some:
            mine = times_of_labels(reach, i)
            assert not ((low <= mine[-1]) & (mine[0] <= high)).any()
            after = mine[0] > high
            assert later or not (others is out and after.any())
            if embargo and later and others is out and after.any():
                # bars of the measured series that lie between the end of its label and the train day
                j = others[after][high[after].argmax()]
                calendar = reach.times[reach.series[j]]
                last = reach.last[j] + reach.horizon
                between = int((calendar < mine[0]).sum()) - last - 1
                assert between >= embargo


@given(reaches(), st.integers(0, 20), st.sampled_from([None, 1]), st.floats(5, 60))
@settings(max_examples=25)
def test_walk_forward_trains_on_the_past_alone(reach, embargo, years, inner):
    rule = WalkForward(
        protocol="walk_forward", start="2002-01-01", embargo=embargo, train_years=years,
        inner_pct=inner,
    )  # fmt: skip
    parts = parts_of(rule, reach)
    for part in parts:
        check_nothing_overlaps(part, reach, embargo, later=False)
        out = reach.day[part == OOF]
        trained = reach.day[np.isin(part, (TRAIN, VALIDATION))]
        if years and len(trained):
            oldest = np.datetime64(f"{out.min().astype(object).year - years}-01-01")
            assert trained.min() >= oldest
    predicted = (parts == OOF).sum(axis=0)
    assert (predicted == (reach.day >= np.datetime64("2002-01-01"))).all()


@given(reaches(), st.integers(2, 6), st.integers(0, 30), st.floats(5, 60))
@settings(max_examples=25)
def test_purged_folds_predict_every_unit_once(reach, folds, embargo, inner):
    rule = PurgedKFold(protocol="purged_kfold", n_folds=folds, embargo=embargo, inner_pct=inner)
    parts = parts_of(rule, reach)
    assert len(parts) == folds
    assert ((parts == OOF).sum(axis=0) == 1).all()
    for part in parts:
        check_nothing_overlaps(part, reach, embargo, later=True)


@given(reaches(2), st.sampled_from([(3, 1), (4, 2), (5, 2), (6, 3)]), st.integers(0, 30))
@settings(max_examples=15)
def test_combinations_predict_every_unit_equally_often(reach, groups, embargo):
    n, k = groups
    rule = Combinatorial(protocol="combinatorial", n_groups=n, n_test_groups=k, embargo=embargo)
    parts = parts_of(rule, reach)
    chosen = list(combinations(range(n), k))
    assert len(parts) == len(chosen)
    often = sum(0 in some for some in chosen)
    assert ((parts == OOF).sum(axis=0) == often).all()
    for part in parts:
        check_nothing_overlaps(part, reach, embargo, later=True)


def test_series_of_a_panel_are_divided_at_the_same_times():
    rng = np.random.default_rng(4)
    reach = reach_of([rng.random(700) < 0.7 for _ in range(3)], 5, 3)
    for rule in (PurgedKFold(protocol="purged_kfold"), Combinatorial(protocol="combinatorial")):
        for part in parts_of(rule, reach):
            both = set(reach.day[part == OOF]) & set(reach.day[part != OOF])
            assert not both


def expanding(days, last, horizon, rule):
    """Train, inner validation and out-of-fold days of each block, as a loop over the bars of one series."""
    folds, year = [], rule.start.year
    while True:
        begin = np.datetime64(f"{year}-01-01")
        end = np.datetime64(f"{year + rule.block_years}-01-01")
        if begin > days[last[-1]]:
            return folds
        out = [t for t in last if begin <= days[t] < end]
        first_row = next(t for t in range(len(days)) if days[t] >= begin)
        before = [t for t in last if t + horizon + rule.embargo < first_row]
        n = max(1, round(len(before) * rule.inner_pct / 100))
        inner = before[-n:]
        train = [t for t in before if t + horizon + rule.embargo < inner[0]]
        folds.append((train, inner, out))
        year += rule.block_years


@pytest.mark.parametrize("embargo", [0, 7])
def test_expanding_walk_forward_equals_a_double_loop(embargo):
    bars = synthetic_bars(1800)
    rule = WalkForward(
        protocol="walk_forward", start="1993-01-01", block_years=2, embargo=embargo, inner_pct=15
    )
    task = MarketTask(kind="market", bars=bars.digest, context=20, horizon=3)
    examples = examples_of(task, rule, bars)
    offset = len(bars) - len(examples.series)
    last = examples.start + 19 + offset
    actual = [
        tuple(last[examples.members(p, f)].tolist() for p in ("train", "validation", "oof"))
        for f in range(examples.n_folds)
    ]
    expected = expanding(bars.dates, last.tolist(), 3, rule)
    assert actual == [tuple(fold) for fold in expected]


def test_a_rolling_window_forgets_what_is_older():
    bars = synthetic_bars(2600)
    task = MarketTask(kind="market", bars=bars.digest, context=20)
    rule = {"protocol": "walk_forward", "start": "1995-01-01"}
    all_years = examples_of(task, WalkForward(**rule), bars)
    rolling = examples_of(task, WalkForward(**rule, train_years=2), bars)
    assert rolling.n_folds == all_years.n_folds
    for fold in range(rolling.n_folds):
        one, other = (x.members("oof", fold) for x in (all_years, rolling))
        np.testing.assert_array_equal(one, other)
        when = rolling.when[rolling.members("train", fold)]
        block = rolling.when[other].min().astype("datetime64[Y]")
        assert when.min().astype("datetime64[Y]") == block - 2
    assert all_years.when[all_years.members("train", 2)].min() < np.datetime64("1992-01-01")


def test_the_published_split_purges_series_by_their_own_bars():
    rng = np.random.default_rng(1)
    reach = reach_of([rng.random(900) < 0.5, np.ones(900, bool)], 10, 5)
    rule = Holdout(protocol="holdout", val_start="2002-03-01", test_start="2002-09-01")
    (part,) = parts_of(rule, reach)
    validation, test = np.datetime64("2002-03-01"), np.datetime64("2002-09-01")
    for i in range(len(part)):
        times = reach.times[reach.series[i]]
        begin, end = times[reach.first[i]], times[reach.last[i] + 5]
        inside = (
            TRAIN if end < validation
            else VALIDATION if begin >= validation and end < test
            else TEST if begin >= test else NONE
        )  # fmt: skip
        assert part[i] == inside


def test_scores_of_several_folds_are_averaged_as_logits():
    panel = Panel.of(
        [dataclasses.replace(synthetic_bars(700, seed=s), name=f"S{s}") for s in range(2)]
    )
    task = MarketTask(kind="market", bars=panel.digest, context=10)
    rule = Combinatorial(protocol="combinatorial", n_groups=4)
    examples = examples_of(task, rule, panel)
    n = len(examples.y)
    rng = np.random.default_rng(0)
    best, last = rng.standard_normal((2, examples.n_folds, n)).astype(np.float32)
    made = predictions_of(examples, best, last)
    out = made.part("oof")
    assert len(out) == n
    assert len(set(out.frame["id"].to_list())) == n
    place = {name: i for i, name in enumerate(examples.columns()["id"])}
    for row in out.frame.sample(50, seed=1).iter_rows(named=True):
        i = place[row["id"]]
        folds = np.flatnonzero(examples.parts[:, i] == OOF)
        assert len(folds) == 3
        assert row["score"] == pytest.approx(best[folds, i].mean(), abs=1e-6)
        assert row["score_last"] == pytest.approx(last[folds, i].mean(), abs=1e-6)
        assert row["fold"] == folds[0]
    assert (made.part("train").frame.height) == (examples.parts == TRAIN).sum()


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        (Combinatorial, {"protocol": "combinatorial", "n_groups": 6, "n_test_groups": 4}),
        (Combinatorial, {"protocol": "combinatorial", "n_groups": 20, "n_test_groups": 10}),
        (PurgedKFold, {"protocol": "purged_kfold", "n_folds": 1}),
        (WalkForward, {"protocol": "walk_forward", "start": "2001-01-01", "train_years": 0}),
    ],
)
def test_protocols_that_cannot_be_meant(rule, content):
    with pytest.raises(ValidationError):
        rule(**content)


CAMPAIGN = """\
campaign: across
title: Across time
data: bars.csv
defaults:
  task: {context: 10}
  evaluation: {protocol: PROTOCOL}
  model: {kind: logit}
experiments:
  - {id: A-1, model.C: 0.1}
  - {id: A-2, model.C: 1.0}
"""


@pytest.mark.parametrize("protocol", ["purged_kfold, n_folds: 3", "combinatorial, n_groups: 4"])
def test_every_table_says_what_such_folds_may_not_claim(tmp_path, capsys, protocol):
    synthetic_bars(1300).frame().write_csv(tmp_path / "bars.csv")
    (tmp_path / "c.yaml").write_text(CAMPAIGN.replace("PROTOCOL", protocol))
    store = ("--store", tmp_path / "store")
    code, out, err = call(capsys, "run", tmp_path / "c.yaml", "--workers", 0, *store)
    assert code == 0, err
    for words in (
        ("leaderboard",), ("show", "A-1"), ("compare", "A-1", "A-2"), ("thresholds", "A-1"),
        ("calibrate", "A-1"), ("certify", "A-1", "--precision", "0.3", "--yes"),
    ):  # fmt: skip
        code, out, err = call(capsys, *words, *store)
        assert code in (0, 1), err  # 1: nothing could be certified
        assert "trains on later times as well" in " ".join(out.split()), words
    code, out, _ = call(capsys, "show", "A-1", *store, "--json")
    shown = json.loads(out)
    assert "TRU017" not in shown["not_applicable"]
    assert "TRU017" not in {one["code"] for one in shown["findings"]}
