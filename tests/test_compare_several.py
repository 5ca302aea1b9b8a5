"""Every pair of several runs, corrected together."""

import json
import shutil

import pytest

from tests.golden import named
from tests.test_cli import call
from trueness.errors import TruenessError
from trueness.judge.compare import Named, compare
from trueness.judge.compare_several import compare_runs, pairs_of
from trueness.store import MemoryStore, Store
from trueness.store.ledger import Ledger


@pytest.fixture
def copied(golden_market, tmp_path):
    shutil.copytree(golden_market.root, tmp_path / "store")
    return Store(tmp_path / "store")


def _runs(store, campaign, n):
    keys = list(named(store, campaign).items())[:n]
    return [Named(name, store.run(key)) for key, name in keys]


def test_differences_are_those_of_two_and_intervals_are_wider(golden_market):
    runs = _runs(golden_market, "golden", 4)
    for measure, pairs in pairs_of(golden_market, runs).items():
        assert len(pairs) == 6
        for pair in pairs:
            actual = compare(golden_market, pair.first.run.key, pair.second.run.key)
            (one,) = [
                m.contrast for m in actual.measures if m.name == measure.replace("AUC", "auc")
            ]
            adjusted = pair.contrast.simultaneous
            assert pair.contrast.pointwise == one.pointwise
            assert adjusted.high - adjusted.low >= one.simultaneous.high - one.simultaneous.low


def test_two_runs_are_the_comparison_of_two(golden_market):
    runs = _runs(golden_market, "golden", 2)
    actual = compare(golden_market, *(one.run.key for one in runs))
    pairs = pairs_of(golden_market, runs).values()
    for (pair,), one in zip(pairs, actual.measures, strict=True):
        assert pair.contrast == one.contrast


def test_classes_are_compared_by_what_they_are_judged_by(golden_titles):
    runs = _runs(golden_titles, "golden-titles", 3)
    pairs = pairs_of(golden_titles, runs)
    assert {len(some) for some in pairs.values()} == {3}
    assert next(iter(pairs)) == runs[0].run.estimands.headline


def test_the_command_line_compares_up_to_six(copied, capsys):
    keys = list(named(copied))
    words = "--store", copied.root
    code, out, _ = call(capsys, "compare", *keys[:4], *words, "--json")
    assert code == 0
    content = json.loads(out)
    assert content["kind"] == "several_compared"
    assert {len(some) for some in content["measures"].values()} == {6}
    actual = pairs_of(copied, [Named(one["name"], copied.run(one["key"]))
                                    for one in content["runs"]])  # fmt: skip
    for measure, pairs in actual.items():
        for pair, shown in zip(pairs, content["measures"][measure], strict=True):
            assert shown["simultaneous"]["low"] == pair.contrast.simultaneous.low
    own = [one for one in content["agreement"] if one["first"] == one["second"]]
    assert [one["both"] for one in own] == [one["either"] for one in own]
    assert Ledger(copied).accesses()[-1].verb == "compare"
    code, out, _ = call(capsys, "compare", *keys[:3], *words)
    assert code == 0
    assert "hold for all 3 pairs together" in out


@pytest.mark.parametrize(
    ("places", "part", "code"),
    [((0, 1, 2, 3, 4, 5, 6), None, "which_runs"), ((0, 1, 0), None, "same_run"),
     ((0, 1, 2), "oof", "which_part"), ((0,), None, "which_runs")],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(golden_market, places, part, code):
    keys = list(named(golden_market))
    with pytest.raises(TruenessError) as caught:
        compare_runs(golden_market, [keys[i] for i in places], part=part)
    assert caught.value.code == code


def test_runs_on_other_units_are_refused(golden_market, golden_titles):
    keys = list(named(golden_titles, "golden-titles"))
    both = MemoryStore()
    runs = [*golden_market.all_runs()[0][:2], golden_titles.run(keys[0])]
    both.add(runs, {})
    with pytest.raises(TruenessError) as caught:
        compare_runs(both, [run.key for run in runs])
    assert caught.value.code == "other_units"
