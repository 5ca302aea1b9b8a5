"""Findings of the golden models are what the first edition found."""

import pytest

from tests.golden import equal, expected, named
from trueness.checks import CHECKS, CheckInput, findings_in, run_checks

LAST = "TRU017"
"""The first edition had no check beyond."""
GONE = {"TRU005", "TRU012", "TRU016"}
"""Facts in the line above a leaderboard today."""
PASSED = {"squashed": {"TRU001"}, "bce_2": {"TRU015"}, "constant": {"TRU002"}}
"""Wide enough for the base rate; a training part that is known by heart, and calibrated
probabilities all the same; no alarm for a rare event, which is as it should be."""
MORE = {"focal_2": {"TRU003"}}
"""An AUC whose interval reaches 0.5 since it knows how long days depend on each other."""
TODAY = ("z", "low", "high")
"""Numbers that rest on other variances today."""


def by_code(findings):
    return {one["code"]: one["numbers"] for one in findings}


def of_the_first_edition(findings):
    return {code: numbers for code, numbers in by_code(findings).items() if code <= LAST}


def wanted_of(name):
    """What the first edition found that still counts, without what it knew less well."""
    actual = by_code(expected()["market"]["runs"][name]["findings"])
    kept = actual.keys() - GONE - PASSED.get(name, set())
    return {code: {n: x for n, x in actual[code].items() if code in ("TRU002", "TRU006")
                   or n not in TODAY} for code in kept}  # fmt: skip


def test_findings_of_the_golden_market(golden_market):
    names = named(golden_market)
    runs, _ = golden_market.all_runs()
    assert len(runs) == 14
    for run in runs:
        wanted = wanted_of(names[run.key])
        actual = of_the_first_edition(run.record["findings"])
        assert set(actual) == set(wanted) | MORE.get(names[run.key], set()), names[run.key]
        equal(actual, wanted, names[run.key])


def test_findings_of_the_golden_market_are_the_same_when_made_anew(golden_market):
    for run in golden_market.all_runs()[0]:
        if not run.spec.is_baseline:
            again = [f.to_dict() for f in findings_in(run_checks(CheckInput.of_run(run)))]
            assert again == run.record["findings"]


@pytest.mark.parametrize("name", ["plain", "dro", "adjusted_1"])
def test_the_golden_titles_have_a_language_that_is_too_small(golden_titles, name):
    names = named(golden_titles, "golden-titles")
    (run,) = [r for r in golden_titles.all_runs()[0] if names[r.key] == name]
    actual = by_code(run.record["findings"])
    assert actual["TRU105"] == {"groups": 1, "rows": 30}
    assert {CHECKS[code].severity for code in actual} == {"note"}
