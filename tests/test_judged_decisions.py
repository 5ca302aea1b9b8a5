"""Thresholds, certificates, calibration, slices, power and top: as the first edition said them."""

import shutil

import pytest

from tests.golden import equal, estimate_name, expected, named
from trueness.judge.calibration import UNCALIBRATED, compare_calibrations
from trueness.judge.certificates import certification
from trueness.judge.demands import demands_of
from trueness.judge.finding import find_runs
from trueness.judge.slices import slices
from trueness.judge.thresholds import thresholds_of
from trueness.judge.top import top_models
from trueness.store import Store

RULES = {
    "same days": "in-sample", "same days, lower end": "in-sample, lower bound",
    "earlier days": "out-of-sample",
}  # fmt: skip


@pytest.fixture
def wanted():
    return expected()["market"]


@pytest.fixture(scope="module")
def runs(golden_market):
    return {name: golden_market.run(key) for key, name in named(golden_market).items()}


def _estimate(old):
    """An estimate of the first edition with the names of today.

    What says where weights were chosen is tested elsewhere: a forest chooses none. Intervals are
    those of effective numbers today.
    """
    if old is None:
        return None
    kept = {name: v for name, v in old.items() if name not in ("chosen_on", "low", "high")}
    return {("n_candidates" if name == "best_of" else name): v for name, v in kept.items()}


@pytest.mark.parametrize("grid", ["scores", "rates"])
@pytest.mark.parametrize("name", ["deep16", "forest"])
def test_thresholds(runs, wanted, name, grid):
    actual = thresholds_of(runs[name], demands_of(None, None, None), grid=grid, name=name).to_dict()
    old = wanted["thresholds"][name][grid]
    assert (actual["name"], actual["baseline"]) == (name, old["baseline"])
    assert (actual["measured_on"], actual["n"]) == (old["measured_on"], old["days"])
    assert actual["positives"] == old["positives"]
    choices = [
        {
            "demand": one["demand"], "maximised": one["best"], "rule": RULES[one["rule"]],
            "feasible": one["feasible"], "probabilities": one["probabilities"],
            "precision": _estimate(one["precision"]), "recall": _estimate(one["recall"]),
            "alarms_per_year": one["alarms_per_year"],
        }
        for one in old["choices"]
    ]  # fmt: skip
    bound = "in-sample, lower bound"  # another interval may choose another threshold
    equal([one for one in actual["choices"] if one["rule"] != bound],
          [one for one in choices if one["rule"] != bound])  # fmt: skip
    assert any(one["rule"] == "out-of-sample" and one["feasible"] for one in choices)
    if grid == "scores":
        assert len(actual["thresholds"]) == old["rows"]
    else:
        rows = [
            {**row, "precision": _estimate(row["precision"]), "recall": _estimate(row["recall"])}
            for row in old["thresholds"]
        ]
        equal(actual["thresholds"], rows)


def test_certificates_count_as_the_first_edition_did(golden_market, wanted, tmp_path):
    """Thresholds, alarms and hits; its p-values, and what it certified, are no longer there."""
    store = Store(shutil.copytree(golden_market.root, tmp_path / "store"))
    (store.root / "ledger.jsonl").unlink(missing_ok=True)
    for label in ("one", "all"):
        old = wanted["certificates"][label]
        some = find_runs(store, list(old["runs"]))
        asked = certification(store, some, old["precision"], on="oof")
        assert (asked.spending.free, asked.spending.family) == (label == "all", 14)
        actual = asked.issue()
        assert "14 runs" in actual.counted[0]
        for one in actual.runs:
            rows = old["runs"][one.name.removeprefix("golden/")]["tested"]
            tested = [(row.cut, row.alarms, row.hits) for row in one.certificate.tested]
            before = {(row["cut"], row["alarms"], row["hits"]) for row in rows if row["alarms"] > 4}
            equal(sorted(tested), sorted(before))


def test_calibration(runs, wanted):
    actual, old = compare_calibrations(runs["linear16"]).to_dict(), wanted["calibrations"]
    names = ("n", "positives", "blocks", "best")
    assert [actual[name] for name in names] == [old[name] for name in names]
    assert actual["gap"] == old["gap_days"]
    for one, before in zip(actual["methods"], old["methods"], strict=True):
        as_is = before["method"] == "as is"
        assert one["method"] == (UNCALIBRATED if as_is else before["method"])
        for name, estimate in before["estimates"].items():
            if name != "calibration_error_debiased":  # of dependent labels today
                equal(one["estimates"][name]["value"], estimate["value"], name)
        if before["brier_minus_as_is"]:
            for name, estimate in before["brier_minus_as_is"].items():
                equal(one["brier_minus_uncalibrated"][name]["value"], estimate["value"], name)
    assert "0.1705" in actual["facts"][-1]


def test_slices(runs, wanted):
    old = wanted["slices"]
    actual = slices(runs[old["run"]], runs[old["baseline"]]).to_dict()
    assert actual["estimate"] == estimate_name(old["budget"])
    assert list(actual["by"]) == ["year", "regime"]
    for rows in actual["by"].values():
        assert all(one.pop("auc")["n"] == one["n"] for one in rows)  # the first edition had none
    for title, rows in (("year", old["years"]), ("regime", old["regimes"])):
        equal(actual["by"][title], [
            {
                "name": one["name"], "n": one["days"], "base_rate": _estimate(one["base"]),
                "alarms": _estimate(one["alarms"]), "baseline": _estimate(one["others"]),
            }
            for one in rows
        ])  # fmt: skip


def test_top(golden_market, wanted):
    """Counts of each model; which are the best is up to the lower bounds of today."""
    ((_, top),) = top_models(golden_market, n=99).groups
    names = named(golden_market)
    actual = {names[one.model.key]: one.to_dict() for one in top}
    both = [old for old in wanted["top"] if old["key"] in actual]  # of seeds, the best today
    assert both
    for old in both:
        rows = actual[old["key"]]["thresholds"]
        for row, cut in zip(rows, old["thresholds"], strict=True):
            assert row["rule"] == cut["rule"].replace("p >= ", "probability ≥ ")
            assert [row[x] for x in ("tp", "fp", "fn", "tn")] == [
                cut[x] for x in ("tp", "fp", "fn", "tn")
            ]  # fmt: skip
            for share in ("precision", "recall"):
                value, low, high = (row[share][x] for x in ("value", "low", "high"))
                equal(value, cut[share]["value"])
                assert value is None or low <= value <= high
