"""Every pair of several runs, corrected together."""

from tests.golden import named
from trueness.judge.compare import Named, compare
from trueness.judge.compare_several import compare_runs, pairs_of, pairs_section


def _runs(store, campaign, n):
    keys = list(named(store, campaign).items())[:n]
    return [Named(name, store.run(key)) for key, name in keys]


def test_differences_are_those_of_two_and_intervals_are_wider(golden_market):
    runs = _runs(golden_market, "golden", 4)
    for table in pairwise(golden_market, runs).parts:
        assert len(table.rows) == 6
        measure = table.title.removeprefix("Differences of ").replace("AUC", "auc")
        for first, second, pointwise, adjusted, _ in table.rows:
            keys = {one.name: one.run.key for one in runs}
            actual = compare(golden_market, keys[first], keys[second])
            (one,) = [m.contrast for m in actual.measures if m.name == measure]
            assert pointwise == one.pointwise
            assert adjusted.high - adjusted.low >= one.simultaneous.high - one.simultaneous.low


def test_two_runs_are_the_comparison_of_two(golden_market):
    runs = _runs(golden_market, "golden", 2)
    actual = compare(golden_market, *(one.run.key for one in runs))
    for table, one in zip(pairwise(golden_market, runs).parts, actual.measures, strict=True):
        assert table.rows[0][2:4] == [one.contrast.pointwise, one.contrast.simultaneous]


def test_classes_are_compared_by_what_they_are_judged_by(golden_titles):
    runs = _runs(golden_titles, "golden-titles", 3)
    tables = pairwise(golden_titles, runs).parts
    assert [len(table.rows) for table in tables] == [3] * len(tables)
    assert tables[0].title.endswith(runs[0].run.estimands.headline)
