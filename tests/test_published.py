"""Published results beside measured ones: reading, flags, expected maximum, refusals, the page."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from tests.test_cli import call
from trueness.errors import DataError
from trueness.evaluation import Estimate, clopper_pearson, mean_of
from trueness.judge.comparison import draws_of_runs
from trueness.judge.published import (
    PublishedResult,
    compare_published,
    expected_maximum,
    read_published,
)
from trueness.store import Store
from trueness.store.ledger import Ledger, data_of

PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "spec" / "published"

RESULTS = """\
exp_id,source,precision,recall,auc,tp,fp,fn,n_pred_pos,comment
A-1,"a, b",0.857143,0.078947,0.725,6,1,70,7,best
A-2,c,0.384,,0.71,5,8,,13,
A-3,d,,,0.7,,,,,"no counts
over two lines"
A-4,e,0,0,0.69,0,0,76,0,no alarms
A-5,f,0.4,0.1,,,,,,
"""


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(RESULTS)
    return path


def test_numbers_that_are_given_are_read_and_others_stay_unknown(results):
    rows = {row.id: row for row in read_published(results)}
    assert list(rows) == ["A-1", "A-2", "A-3", "A-4", "A-5"]
    assert rows["A-1"].values["n_pred_pos"] == 7
    assert rows["A-3"].values == {"auc": 0.7}
    alarms = rows["A-1"].alarms
    assert (alarms.k, alarms.n) == (6, 7)
    assert (alarms.low, alarms.high) == clopper_pearson(6, 7)
    assert rows["A-4"].alarms.value is None
    assert rows["A-5"].alarms is None


def test_alarms_are_hits_and_false_ones_if_not_given(tmp_path):
    (tmp_path / "r.csv").write_text("\ufeffexp_id , tp,fp\nX,3,4\n", encoding="utf-8")
    (row,) = read_published(tmp_path / "r.csv")
    assert (row.alarms.k, row.alarms.n) == (3, 7)


REFUSED = {
    "no id column": ("id,auc\nA,0.7\n", "missing_column"),
    "no measure": ("exp_id,f1\nA,0.7\n", "missing_column"),
    "empty file": ("", "empty"),
    "header only": ("exp_id,auc\n", "empty"),
    "text": ("exp_id,auc\nA,0.7\nB,high\n", "number"),
    "underscore": ("exp_id,tp\nA,7\nB,1_0\n", "number"),
    "full width": ("exp_id,auc\nA,0.7\nB,\uff10.5\n", "number"),
    "percent": ("exp_id,precision\nA,85.7\n", "share"),
    "negative": ("exp_id,tp\nA,-1\n", "count"),
    "infinite": ("exp_id,tp\nA,inf\n", "count"),
    "fraction": ("exp_id,tp\nA,1.5\n", "count"),
    "more hits than alarms": ("exp_id,tp,n_pred_pos\nA,8,7\n", "counts"),
    "too many false": ("exp_id,tp,fp,n_pred_pos\nA,5,3,7\n", "counts"),
    "twice": ("exp_id,auc\nA,0.7\nA,0.7\n", "duplicate_id"),
    "few false": ("exp_id,tp,fp,n_pred_pos\nA,5,1,7\n", "counts"),
    "other share": ("exp_id,precision,tp,n_pred_pos\nA,0.9,1,10\n", "counts"),
    "turned": ("exp_id,precision_ci95_low,precision_ci95_high\nA,0.8,0.2\n", "interval"),
    "two columns": ("exp_id,auc,auc\nA,0.7,0.8\n", "doubled_column"),
    "astronomical": ("exp_id,tp,n_pred_pos\nA,1e25,1e26\n", "count"),
    "escape": ("exp_id,auc\n\x1b[31mA,0.7\n", "no_id"),
    "nameless": ("exp_id,auc\n,0.7\n", "no_id"),
    "long line": ("exp_id,auc\nA,0.7,3\n", "row_length"),
    "short line": ("auc,exp_id\n0.7\n", "row_length"),
    "bytes": (b'exp_id,auc\n\xff\xfe,0.7\n', "encoding"),
    "quote": ('exp_id,auc\n"A,0.7\n', "quotes"),
    "interval without its precision": (
        "exp_id,precision_ci95_low,precision_ci95_high,precision,tp,fp\nA,0.7,0.9,0.6,6,4\n", "interval"),
    "interval without its counts": ("exp_id,precision_ci95_high,tp,fp\nA,0.5,6,4\n", "interval"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_right_is_refused(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    content, error_code = REFUSED[case]
    Path("r.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as refusal:
        read_published("r.csv")
    assert refusal.value.code == error_code
    code, out, err = call(capsys, "compare-published", "r.csv")
    assert (code, out, err) == (2, "", f"trueness: {refusal.value}\n")


def test_a_refusal_names_the_line_and_the_next_move(tmp_path):
    (tmp_path / "r.csv").write_text("exp_id,seed,tp,fp\nA,1,6,4\nA,2,5,5\n")
    with pytest.raises(DataError) as refusal:
        read_published(tmp_path / "r.csv")
    assert str(refusal.value).endswith(
        "r.csv:3: A stands twice, first in line 2; name seeds A@1, A@2"
    )


def test_nan_is_as_unknown_as_an_empty_cell(tmp_path):
    (tmp_path / "r.csv").write_text("exp_id,precision,recall,auc,tp\nB,NaN,0.0,nan,0\n")
    (row,) = read_published(tmp_path / "r.csv")
    assert row.values == {"recall": 0.0, "tp": 0.0}


def test_huge_counts_take_no_time(tmp_path):
    (tmp_path / "r.csv").write_text(
        "exp_id,tp,fp\na,1000000000,1000000000\nb,1000000,3000000\nc,6,4\n"
    )
    began = time.process_time()
    actual = compare_published(read_published(tmp_path / "r.csv"), Store(tmp_path / "s"), "x")
    assert time.process_time() - began < 2
    by_id = {row.published.id: row.shrunk for row in actual.rows}
    assert by_id["b"].value == pytest.approx(0.25, abs=1e-3)
    assert by_id["a"].low <= 0.5 <= by_id["a"].high
    assert actual.expected_maximum.p > 0.1


def test_gamma_functions_give_what_sums_over_alarms_give():
    from trueness.evaluation import shrinkage

    k, n = np.array([6.0, 4, 5, 3, 4, 30]), np.array([7.0, 12, 13, 9, 10, 50])
    sums, gammas = (shrinkage._Likelihood.of(k, n, most) for most in (10**6, 0))
    for rate in (0.02, 0.3, 0.9):
        for scatter in (0.0, 1e-4, 0.1, 10.0):
            assert gammas(rate, scatter) == pytest.approx(sums(rate, scatter), abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["."], "is a folder"),
        (["results.csv", "--limit", "0"], "at least 1 row"),
        (["results.csv", "--report", "nowhere/r.html"], "cannot be written there"),
        (["results.csv", "--store", "results.csv"], "is a file"),
    ],
)
def test_bad_arguments(results, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(results.parent)
    code, out, err = call(capsys, "compare-published", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_without_any_run_the_counts_and_the_expected_maximum_remain(results, monkeypatch, capsys):
    monkeypatch.chdir(results.parent)
    code, out, err = call(capsys, "compare-published", "results.csv")
    assert (code, err) == (0, "")
    assert "86 % (42–100) · 6/7" in out
    assert "5 published experiments, 3 with counts, 0 measured" in out
    assert "Shrunk towards the model mean " in out
    assert re.search(r"A-1 is at \d+\.\d % \(.*\): not distinguishable from its siblings\.", out)
    assert "the store has no campaign 'precision'" in out
    assert "measured" not in out.split("Every experiment")[1]
    code, out, _ = call(capsys, "compare-published", "results.csv", "--json")
    content = json.loads(out)
    assert (content["schema"], content["kind"]) == (1, "published_comparison")
    assert content["summary"]["with_counts"] == 3
    assert content["experiments"][0]["published_precision"]["k"] == 6
    assert content["experiments"][4]["published_precision"] is None
    assert content["experiments"][4]["shrunk_precision"] is None
    assert content["experiments"][0]["shrunk_precision"]["n"] == 7
    best = content["expected_maximum"]
    assert best["distinguishable"] is (best["p"] <= 0.05)
    assert 0.4 < content["common_precision"]["value"] < 0.6
    assert sorted(p.name for p in results.parent.iterdir()) == ["results.csv"]


def test_a_published_interval_is_shown_where_counts_are_missing(tmp_path):
    (tmp_path / "r.csv").write_text(
        "exp_id,precision,precision_ci95_low,precision_ci95_high,tp,fn\nA,0.4,0.3,0.5,,\nB,,,,4,6\n"
    )
    first, second = read_published(tmp_path / "r.csv")
    assert (first.precision.value, first.precision.low, first.precision.high) == (0.4, 0.3, 0.5)
    assert second.precision is None
    assert (second.recall.k, second.recall.n) == (4, 10)
    assert (first.recall, second.auc) == (None, None)


def _counted(*pairs):
    return [
        PublishedResult(f"R-{i}", i, {"tp": k, "n_pred_pos": n}) for i, (k, n) in enumerate(pairs)
    ]


def test_the_probability_of_the_best_of_n_is_exact():
    counts = [(6, 7), (3, 12), (10, 30), (2, 5), (0, 9), (4, 4), (0, 0)]
    actual = expected_maximum(_counted(*counts))
    pooled = sum(k for k, _ in counts) / sum(n for _, n in counts)
    enough = [n for _, n in counts if n >= 5]
    exact = 1 - np.prod([binom.cdf(np.ceil(6 * n / 7 - 1e-9) - 1, n, pooled) for n in enough])
    assert (actual.best.id, actual.n_candidates, actual.pooled.value) == (
        "R-0", 5, pytest.approx(pooled))  # fmt: skip
    assert actual.p == pytest.approx(exact)
    assert actual == expected_maximum(_counted(*counts))
    assert expected_maximum(_counted((4, 4), (0, 0))) is None
    assert expected_maximum(_counted((0, 9), (0, 5))).p == 1.0


def test_the_expected_maximum_is_that_of_equally_good_models():
    counts = [(6, 7), (3, 12), (10, 30), (2, 5), (0, 9)]
    actual = expected_maximum(_counted(*counts))
    alarms = np.array([n for _, n in counts])
    draws = np.random.default_rng(0).binomial(alarms, actual.pooled.value, (40_000, 5)) / alarms
    assert actual.value == pytest.approx(draws.max(axis=1).mean(), abs=0.004)
    assert actual.p == pytest.approx((draws.max(axis=1) >= 6 / 7).mean(), abs=0.004)


def test_the_best_of_the_published_campaign_is_not_distinguishable():
    if not PUBLISHED.exists():
        pytest.skip("the published results are not here")
    rows = read_published(PUBLISHED / "campaign" / "results.csv")
    actual = compare_published(rows, Store("none"), "precision")
    best = actual.expected_maximum
    assert actual.counts()["published"] == 152
    assert actual.counts()["with_counts"] == 149
    assert (best.best.id, best.pooled.k, best.pooled.n) == ("LF-40", 1760, 4584)
    assert best.p == pytest.approx(0.113, abs=0.005)
    (row,) = [row for row in actual.rows if row.published.id == "LF-40"]
    assert str(row.published.alarms) == "86 % (42–100) · 6/7"
    assert (row.shrunk.value, row.shrunk.n) == (pytest.approx(0.409, abs=0.001), 7)
    assert not best.is_distinguishable
    assert actual.document().sentences()[2] == (
        "Shrunk towards the model mean 39.4 % (37.8–41.8), between-model SD 3.3 points, LF-40 is at "
        "40.9 % (34.4–51.4): not distinguishable from its siblings."
    )
    silent = [row.shrunk for row in actual.rows if row.published.values.get("n_pred_pos") == 0]
    assert silent == [None] * 12


# ------------------------------------------------------------------------------------ beside runs


@pytest.fixture(scope="module")
def published_with_runs(campaign_folder, tmp_path_factory):
    """Published values around what the store measured: inside, outside, unknown id."""
    store = Store(campaign_folder / "store")
    ids = store.campaigns()["judged"]
    measured = {
        id_: store.run(keys[-1]) for id_, keys in ids.items() if id_.startswith(("LF", "FE"))
    }
    auc = {id_: run.record["estimates"]["auc"]["value"] for id_, run in measured.items()}
    lines = [
        "exp_id,precision,recall,auc,tp,fn",
        f"LF-1,,,{(auc['LF-1'] + auc['LF-1@43']) / 2:.3f},,",
        "LF-2,0.01,0.99,0.01,2,9",
        f"FE-1@43,,,{auc['FE-1@43']:.3f},,",
        "XX-9,0.5,0.5,0.5,,",
    ]
    path = tmp_path_factory.mktemp("beside") / "p.csv"
    path.write_text("\n".join(lines))
    return path, store, measured


def test_values_outside_of_the_measured_interval_are_flagged(published_with_runs):
    path, store, _ = published_with_runs
    actual = compare_published(read_published(path), store, "judged")
    rows = {row.published.id: row for row in actual.rows}
    assert rows["LF-1"].outside == []
    assert "auc" in rows["LF-2"].outside
    assert rows["FE-1@43"].outside == []
    assert rows["XX-9"].measured == {}
    counts = actual.counts()
    assert (counts["measured"], counts["outside"], counts["auc_compared"]) == (3, 1, 3)
    assert counts["auc_outside"] == 1


def test_all_seeds_of_an_id_count_and_one_seed_may_be_named(published_with_runs):
    path, store, measured = published_with_runs
    rows = {
        r.published.id: r for r in compare_published(read_published(path), store, "judged").rows
    }
    both = [measured["LF-1"], measured["LF-1@43"]]
    assert {run.key for run in rows["LF-1"].runs} == {run.key for run in both}
    halves = [run.record["estimates"]["recall@0.5"] for run in both]
    recall = rows["LF-1"].measured["recall"]
    assert (recall.k, recall.n) == (sum(h["k"] for h in halves), sum(h["n"] for h in halves))
    draws, _ = draws_of_runs(store, both)
    mean = mean_of(list(draws.values())).proportion(0.95)
    auc = rows["LF-1"].measured["auc"]
    assert (auc.value, auc.low, auc.high) == pytest.approx((mean.value, mean.low, mean.high))
    (one,) = rows["FE-1@43"].runs
    assert rows["FE-1@43"].measured["auc"] == Estimate.from_dict(one.record["estimates"]["auc"])


def test_other_days_than_published_are_said(published_with_runs):
    path, store, measured = published_with_runs
    actual = compare_published(read_published(path), store, "judged")
    positives = measured["LF-2"].record["estimates"]["recall@0.5"]["n"]
    assert actual.notes == [
        f"not the published evaluation set: 11 positives are published, {positives} measured"
    ]
    assert "it holds judged" in compare_published([], store, "other").notes[0]


def test_text_json_and_page_beside_runs(published_with_runs, capsys, tmp_path):
    path, store, measured = published_with_runs
    arguments = ("compare-published", path, "--campaign", "judged", "--store", store.root)
    code, out, err = call(capsys, *arguments, "--report", tmp_path / "r.html")
    assert code == 0
    assert "wrote " in err
    assert "4 published experiments, 0 with counts, 3 measured here under judged" in out
    assert re.search(r"outside of the measured interval: .*auc 1 of 3; 1 of 3 experiments", out)
    assert Ledger(store).accesses(data_of(next(iter(measured.values()))))[-1].verb == (
        "compare-published")  # fmt: skip
    html = (tmp_path / "r.html").read_text()
    assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="http', html) == []
    assert "FE-1@43" in html
    code, out, _ = call(capsys, *arguments, "--json", "--limit", "1")
    assert len(json.loads(out)["experiments"]) == 4
    code, out, _ = call(capsys, *arguments, "--limit", "1")
    assert "3 more" in out
    frame = compare_published(read_published(path), store, "judged").to_frame()
    assert frame["measured_auc"].null_count() == 1
    assert frame["outside"].to_list().count("") == 3


def test_no_line_of_published_results_is_lost(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"exp_id": "A", "auc": 0.7}\n{"exp_id": "B", "au\n')
    with pytest.raises(DataError, match="broken JSON"):
        read_published(tmp_path / "r.jsonl")
