"""Published results beside measured ones: reading, flags, luck, refusals, the page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from tests.test_cli import call
from trueness.evaluation import Estimate, clopper_pearson
from trueness.judge.comparison import auc_draws
from trueness.judge.published import Published, best_by_luck, read_published, replay
from trueness.report.replay_page import sentences
from trueness.store import Store

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
    "no id column": ("id,auc\nA,0.7\n", "no column exp_id"),
    "no measure": ("exp_id,f1\nA,0.7\n", "no known measure"),
    "empty file": ("", "no column exp_id"),
    "header only": ("exp_id,auc\n", "no experiments under the header"),
    "text": ("exp_id,auc\nA,0.7\nB,high\n", "r.csv:3: auc 'high' is not a number"),
    "nan": ("exp_id,auc\nA,nan\n", "r.csv:2: auc nan is not in [0, 1]"),
    "percent": ("exp_id,precision\nA,85.7\n", "r.csv:2: precision 85.7 is not in [0, 1]"),
    "negative": ("exp_id,tp\nA,-1\n", "r.csv:2: tp -1 is not a count"),
    "infinite": ("exp_id,tp\nA,inf\n", "r.csv:2: tp inf is not a count"),
    "fraction": ("exp_id,tp\nA,1.5\n", "r.csv:2: tp 1.5 is not a count"),
    "more hits than alarms": ("exp_id,tp,n_pred_pos\nA,8,7\n", "r.csv:2: 8 hits"),
    "too many false": (
        "exp_id,tp,fp,n_pred_pos\nA,5,3,7\n",
        "5 hits and 3 false ones among 7 alarms",
    ),
    "twice": ("exp_id,auc\nA,0.7\nA,0.7\n", "r.csv:3: A stands twice, first in line 2"),
    "few false": ("exp_id,tp,fp,n_pred_pos\nA,5,1,7\n", "5 hits and 1 false ones among 7 alarms"),
    "other share": ("exp_id,precision,tp,n_pred_pos\nA,0.9,1,10\n", "precision 0.9 is not 1 of 10"),
    "turned": (
        "exp_id,precision_ci95_low,precision_ci95_high\nA,0.8,0.2\n",
        "runs from 0.8 to 0.2",
    ),
    "two columns": ("exp_id,auc,auc\nA,0.7,0.8\n", "the column auc stands twice"),
    "astronomical": ("exp_id,tp,n_pred_pos\nA,1e25,1e26\n", "is not a count"),
    "escape": ("exp_id,auc\n\x1b[31mA,0.7\n", "is no name"),
    "nameless": ("exp_id,auc\n,0.7\n", "r.csv:2: no exp_id"),
    "long line": ("exp_id,auc\nA,0.7,3\n", "r.csv:2: more cells than the 2 columns"),
    "short line": ("auc,exp_id\n0.7\n", "r.csv:2: no exp_id"),
    "bytes": (b"exp_id,auc\n\xff\xfe,0.7\n", "not a CSV file"),
    "quote": ('exp_id,auc\n"A,0.7\n', "not a CSV file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_right_is_refused_with_its_line(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[case]
    Path("r.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = call(capsys, "replay", "r.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["."], "no such file"),
        (["results.csv", "--limit", "0"], "at least 1 row"),
        (["results.csv", "--report", "nowhere/r.html"], "cannot be written there"),
        (["results.csv", "--store", "results.csv"], "is a file"),
    ],
)
def test_bad_arguments(results, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(results.parent)
    code, out, err = call(capsys, "replay", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_without_any_run_the_counts_and_the_luck_remain(results, monkeypatch, capsys):
    monkeypatch.chdir(results.parent)
    code, out, err = call(capsys, "replay", "results.csv")
    assert (code, err) == (0, "")
    assert "6/7 86 [42–100]" in out
    assert "5 published experiments, 3 with counts, 0 measured" in out
    assert "6/7 = 85.7 % [42.1, 99.6] (A-1)" in out
    assert "Shrunk towards the common " in out
    assert re.search(r"A-1 is at \d+\.\d % \[.*\]: tied with its siblings\.", out)
    assert "the store has no campaign 'precision'" in out
    assert "measured\n" not in out.split("\n\n")[0]
    code, out, _ = call(capsys, "replay", "results.csv", "--json")
    content = json.loads(out)
    assert content["summary"]["with_counts"] == 3
    assert content["experiments"][0]["published_precision"]["k"] == 6
    assert content["experiments"][4]["published_precision"] is None
    assert content["experiments"][4]["shrunk_precision"] is None
    assert content["experiments"][0]["shrunk_precision"]["n"] == 7
    assert content["luck"]["tied"] is (content["luck"]["probability"] > 0.05)
    assert 0.4 < content["common_precision"]["value"] < 0.6
    assert sorted(p.name for p in results.parent.iterdir()) == ["results.csv"]


def _counted(*pairs):
    return [Published(f"R-{i}", i, {"tp": k, "n_pred_pos": n}) for i, (k, n) in enumerate(pairs)]


def test_luck_is_the_exact_probability_of_the_best_of_n():
    counts = [(6, 7), (3, 12), (10, 30), (2, 5), (0, 9), (4, 4), (0, 0)]
    luck = best_by_luck(_counted(*counts))
    pooled = sum(k for k, _ in counts) / sum(n for _, n in counts)
    enough = [n for _, n in counts if n >= 5]
    exact = 1 - np.prod([binom.cdf(np.ceil(6 * n / 7 - 1e-9) - 1, n, pooled) for n in enough])
    assert (luck.best.id, luck.runs, luck.pooled.value) == ("R-0", 5, pytest.approx(pooled))
    assert luck.probability == pytest.approx(exact, abs=4 * np.sqrt(exact / 100_000))
    assert luck == best_by_luck(_counted(*counts))
    assert best_by_luck(_counted((4, 4), (0, 0))) is None
    assert best_by_luck(_counted((0, 9), (0, 5))).probability == 1.0


def test_luck_of_the_published_campaign():
    if not PUBLISHED.exists():
        pytest.skip("the published results are not here")
    found = replay(
        read_published(PUBLISHED / "campaign" / "results.csv"), Store("none"), "precision"
    )
    assert found.counts()["published"] == 152
    assert found.counts()["with_counts"] == 149
    assert (found.luck.best.id, found.luck.pooled.k, found.luck.pooled.n) == ("LF-40", 1760, 4584)
    assert found.luck.probability == pytest.approx(0.113, abs=0.005)
    (best,) = [row for row in found.rows if row.published.id == "LF-40"]
    assert str(best.published.alarms) == "6/7 = 85.7 % [42.1, 99.6]"
    assert (best.shrunk.value, best.shrunk.n) == (pytest.approx(0.409, abs=0.001), 7)
    assert found.luck.tied
    assert sentences(found)[-1] == (
        "Shrunk towards the common 39.4 % [37.8, 41.8], around which true precisions scatter by "
        "3.3 points, LF-40 is at 40.9 % [34.4, 51.4]: tied with its siblings."
    )
    silent = [row.shrunk for row in found.rows if row.published.values.get("n_pred_pos") == 0]
    assert silent == [None] * 12


# ------------------------------------------------------------------------------------ beside runs


@pytest.fixture(scope="module")
def beside(judged, tmp_path_factory):
    """Published values around what the store measured: inside, outside, unknown id."""
    store = Store(judged / "store")
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


def test_values_outside_of_the_measured_interval_are_flagged(beside):
    path, store, _ = beside
    found = replay(read_published(path), store, "judged")
    rows = {row.published.id: row for row in found.rows}
    assert rows["LF-1"].outside == []
    assert "auc" in rows["LF-2"].outside
    assert rows["FE-1@43"].outside == []
    assert rows["XX-9"].measured == {}
    counts = found.counts()
    assert (counts["measured"], counts["outside"], counts["auc_compared"]) == (3, 1, 3)
    assert counts["auc_outside"] == 1


def test_all_seeds_of_an_id_count_and_one_seed_may_be_named(beside):
    path, store, measured = beside
    rows = {r.published.id: r for r in replay(read_published(path), store, "judged").rows}
    both = [measured["LF-1"], measured["LF-1@43"]]
    assert {run.key for run in rows["LF-1"].runs} == {run.key for run in both}
    halves = [run.record["estimates"]["recall@0.5"] for run in both]
    recall = rows["LF-1"].measured["recall"]
    assert (recall.k, recall.n) == (sum(h["k"] for h in halves), sum(h["n"] for h in halves))
    draws, _ = auc_draws(store, both)
    expected = np.percentile(np.mean([d.draws for d in draws.values()], axis=0), [2.5, 97.5])
    assert [rows["LF-1"].measured["auc"].low, rows["LF-1"].measured["auc"].high] == pytest.approx(
        expected
    )
    (one,) = rows["FE-1@43"].runs
    assert rows["FE-1@43"].measured["auc"] == Estimate.from_dict(one.record["estimates"]["auc"])


def test_other_days_than_published_are_said(beside):
    path, store, measured = beside
    found = replay(read_published(path), store, "judged")
    positives = measured["LF-2"].record["estimates"]["recall@0.5"]["n"]
    assert found.notes == [
        f"not the published days: 11 positives are published, {positives} measured"
    ]
    assert "it holds judged" in replay([], store, "other").notes[0]


def test_text_json_and_page_beside_runs(beside, capsys, tmp_path):
    path, store, _ = beside
    arguments = ("replay", path, "--campaign", "judged", "--store", store.root)
    code, out, err = call(capsys, *arguments, "--report", tmp_path / "r.html")
    assert code == 0
    assert "report: " in err
    assert "4 published experiments, 0 with counts, 3 measured here under judged" in out
    assert re.search(r"outside of the measured interval: .*auc 1 of 3; 1 of 3 experiments", out)
    html = (tmp_path / "r.html").read_text()
    assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="http', html) == []
    assert "FE-1@43" in html
    code, out, _ = call(capsys, *arguments, "--json", "--limit", "1")
    assert len(json.loads(out)["experiments"]) == 4
    code, out, _ = call(capsys, *arguments, "--limit", "1")
    assert "… 3 more" in out
