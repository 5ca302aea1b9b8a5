"""Two runs on the same units: differences, where they differ, which alarms only one raised."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from tests.golden import expected, named
from trueness.errors import TruenessError
from trueness.evaluation.metrics import roc_auc
from trueness.judge.compare import compare
from trueness.judge.comparison import statistics
from trueness.judge.external import judge_table
from trueness.judge.tables import Columns, Reading, score_table
from trueness.store import MemoryStore, Store
from trueness.store.ledger import Ledger

N = 900


@pytest.fixture(scope="module")
def store():
    """A good model, one that is good in the first year only, one that knows nothing."""
    rng = np.random.default_rng(0)
    y = (rng.random(N) < 0.2).astype(int)
    early = np.arange(N) < 365
    noise = rng.standard_normal((3, N))
    days = pl.date_range(dt.date(2021, 1, 1), dt.date(2021, 1, 1) + dt.timedelta(N - 1), eager=True)
    frame = pl.DataFrame({
        "date": days, "y": y, "side": ["left", "right"] * (N // 2), "good": 2 * y + noise[0],
        "early": 2 * y * early + noise[1], "coin": noise[2],
    })  # fmt: skip
    kept = MemoryStore()
    table = score_table(frame, Columns("y", time="date", group="side"), Reading(scale="logit"))
    judge_table(table, store=kept)
    return kept


def test_the_better_one_is_better(store):
    actual = compare(store, "good", "coin")
    auc, precision = actual.measures
    assert auc.contrast.verdict == precision.contrast.verdict == "better"
    assert auc.contrast.p < 0.05
    assert (actual.n, actual.budget) == (N, 30)
    back = compare(store, "coin", "good").measures[0]
    assert back.contrast.verdict == "worse"
    assert back.contrast.simultaneous.value == -auc.contrast.simultaneous.value


def test_measures_are_those_of_the_leaderboard(golden_market):
    keys = {name: key for key, name in named(golden_market).items()}
    actual = compare(golden_market, keys["deep16"], keys["forest"])
    known, _ = statistics(golden_market, [actual.first.run, actual.second.run])
    for place, run in ((0, actual.first.run), (1, actual.second.run)):
        auc, precision = known[run.key].auc, known[run.key].precision
        one = [(m.first, m.second)[place].value for m in actual.measures]
        assert one == [auc.value, precision.value]
    wanted = expected()["market"]["arena"]["minus_best_baseline"]["deep16"]
    for measure, what in zip(actual.measures, ("auc", "precision"), strict=True):
        value = measure.contrast.pointwise.value
        assert value == pytest.approx(measure.first.value - measure.second.value)
        if what == "auc":
            assert value == pytest.approx(wanted[what]["pointwise"]["value"], abs=1e-11)
        assert measure.contrast.pointwise.low < value < measure.contrast.pointwise.high


def test_it_finds_the_year_in_which_they_differ(store):
    years = {s.name: s for s in compare(store, "good", "early").slices if s.of == "year"}
    assert list(years) == ["2021", "2022", "2023"]
    assert years["2021"].contrast.verdict == "tied"
    assert years["2022"].contrast.verdict == "better"
    assert years["2022"].base_rate.n == 365
    run = store.run(next(k for k, r in store.runs_by_key.items() if r.spec.label() == "good"))
    part = run.predictions().part("evaluation")
    inside = part.time.astype("datetime64[Y]").astype(str) == "2022"
    assert years["2022"].first == pytest.approx(roc_auc(part.y[inside], part.score[inside]))


def test_slices_hold_every_unit_and_every_alarm_once(store):
    actual = compare(store, "good", "early")
    for of in ("year", "group"):
        slices = [s for s in actual.slices if s.of == of]
        assert sum(s.base_rate.n for s in slices) == N
        assert sum(s.base_rate.k for s in slices) == actual.positives
        for place in (0, 1):
            assert sum(s.alarms[place].n for s in slices) == actual.budget


def test_text_columns_are_slices(golden_market):
    keys = {name: key for key, name in named(golden_market).items()}
    kinds = {s.of for s in compare(golden_market, keys["deep16"], keys["forest"]).slices}
    assert "regime" in kinds


def test_alarms_that_only_one_raised(store):
    actual = compare(store, "good", "early")
    counts = {who: actual.hits[who] for who in ("both", "first", "second")}
    assert counts["both"].n + counts["first"].n == actual.budget
    assert counts["both"].n + counts["second"].n == actual.budget
    only = actual.alarms.filter(pl.col("raised") == "first")
    assert (only["rank_first"] <= actual.budget).all()
    assert (only["rank_second"] > actual.budget).all()
    assert only["time"].is_sorted()
    assert {"id", "time", "group", "y"} <= set(actual.to_frame().columns)


def test_few_units_of_a_class_have_no_auc():
    frame = pl.DataFrame({
        "y": [0, 1] * 40, "g": ["a"] * 70 + ["b"] * 10, "p": np.linspace(0.1, 0.9, 80),
        "q": np.linspace(0.9, 0.1, 80),
    })  # fmt: skip
    kept = MemoryStore()
    judge_table(score_table(frame, Columns("y", group="g")), store=kept)
    small = compare(kept, "p", "q").slices[1]
    assert (small.name, small.first, small.second, small.contrast) == ("b", None, None, None)
    assert small.base_rate.n == 10


def test_json_and_document_hold_it_all(store):
    actual = compare(store, "good", "early")
    content = json.loads(json.dumps(actual.to_dict(), allow_nan=False))
    assert content["schema"] == 1
    assert content["measures"]["auc"]["difference"]["verdict"] == "better"
    assert len(content["alarms"]["units"]) == len(actual.alarms)
    document = actual.document()
    heads = [c.title for t in document.tables() for c in t.columns]
    assert "raised by" in heads
    assert document.figures()
    assert any("good is better than early" in text for text in document.sentences())


@pytest.mark.parametrize(
    ("code", "pair", "options"),
    [
        ("same_run", ("good", "good"), {}),
        ("no_run", ("good", "none"), {}),
        ("no_part", ("good", "coin"), {"part": "test"}),
    ],
)
def test_what_is_refused(store, code, pair, options):
    with pytest.raises(TruenessError) as error:
        compare(store, *pair, **options)
    assert error.value.code == code


def test_runs_on_other_units_cannot_be_paired(tmp_path):
    store = Store(tmp_path / "store")
    rng = np.random.default_rng(0)
    for name, n in (("a", 100), ("b", 120)):
        table = pl.DataFrame({"y": [0, 1] * (n // 2), name: rng.random(n)})
        judge_table(score_table(table, Columns("y")), store=store, name=name)
    with pytest.raises(TruenessError) as error:
        compare(store, "a", "b")
    assert error.value.code == "other_units"


def test_the_ledger_is_told(tmp_path):
    store = Store(tmp_path / "store")
    table = {"y": [0, 1] * 60, "a": np.linspace(0.1, 0.8, 120), "b": np.linspace(0.9, 0.2, 120)}
    judge_table(score_table(table, Columns("y")), store=store)
    compare(store, "a", "b", access=("compare", ""))
    assert [one.verb for one in Ledger(store).accesses()] == ["judge", "compare"]


def test_classes_are_compared_by_group(golden_titles):
    keys = {name: key for key, name in named(golden_titles, "golden-titles").items()}
    actual = compare(golden_titles, keys["dro"], keys["plain"])
    wanted = compare(golden_titles, keys["dro"], keys["plain"], part="test", opened=True)
    assert wanted.part == "test"
    assert actual.to_dict()["schema"] == 1
    assert set(actual.to_frame()["what"]) == {"group", "summary", "top_1", "top_3"}
    assert actual.document().tables()
    with pytest.raises(TruenessError) as error:
        compare(golden_titles, keys["dro"], keys["plain"], part="test", access=("compare", ""))
    assert error.value.code == "sealed"
