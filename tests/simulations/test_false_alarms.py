"""The committed rates of false alarms are those of the simulation."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy.stats import fisher_exact

from tests.simulations import false_alarms
from tests.simulations.healthy import SETTINGS, RareEvents, healthy_run
from trueness.checks import CHECKS
from trueness.evaluation.metrics import roc_auc

FEW = 8
CHANCE = 1e-4


@pytest.fixture(scope="module")
def small():
    """A few runs of every setting that the table has not seen."""
    return false_alarms.simulate(FEW, seed=10_000)


def both(table, other):
    """The two tables side by side."""
    keys = ["code", "setting"]
    joined = table.join(other, on=keys, how="full", coalesce=True, suffix="_other")
    assert joined.null_count().pipe(lambda counts: counts.sum_horizontal().item()) == 0
    return joined.iter_rows(named=True)


def test_a_small_simulation_agrees_with_the_committed_table(small):
    for row in both(false_alarms.read(), small):
        counts = [[row[f"fired{s}"], row[f"runs{s}"] - row[f"fired{s}"]] for s in ("", "_other")]
        assert fisher_exact(counts).pvalue > CHANCE, row


def test_every_check_is_simulated():
    looked = false_alarms.read().filter(pl.col("runs") > 0)["code"].unique()
    assert set(looked) == set(CHECKS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_simulation_gives_the_committed_table():
    for row in both(false_alarms.read(), false_alarms.simulate(false_alarms.RUNS)):
        assert row["runs"] == row["runs_other"]
        assert abs(row["fired"] - row["fired_other"]) <= 2, (
            row
        )  # another processor rounds otherwise


@pytest.mark.parametrize(
    "setting", [s for s in SETTINGS if isinstance(s, RareEvents)], ids=lambda s: s.name
)
def test_simulated_events_are_what_they_say(setting):
    runs = [healthy_run(setting, i).measured for i in range(20_000, 20_012)]
    y, score = (np.concatenate([getattr(r, name) for r in runs]) for name in ("y", "score"))
    slack = 3 if setting.regimes else 1  # in standard errors of independent days, times four
    error = np.sqrt(setting.base_rate * (1 - setting.base_rate) / len(y))
    assert y.mean() == pytest.approx(setting.base_rate, abs=4 * slack * error)
    assert roc_auc(y, score) == pytest.approx(setting.auc, abs=0.04)
    prob = 1 / (1 + np.exp(-score))
    assert prob.mean() == pytest.approx(y.mean(), abs=4 * slack * error)


def test_simulated_texts_are_calibrated():
    run = healthy_run(SETTINGS[-2], 3)
    top, right = run.probabilities.max(axis=1), run.measured.scores.argmax(axis=1) == run.measured.y
    error = np.sqrt((top * (1 - top)).sum()) / len(top)
    assert right.mean() == pytest.approx(top.mean(), abs=5 * error)


def test_runs_are_seeded():
    one, same, other = (healthy_run(SETTINGS[0], i).measured for i in (1, 1, 2))
    assert one.score.tolist() == same.score.tolist() != other.score.tolist()


def test_one_check_gets_the_rows_that_it_gets_among_all():
    one, every = SETTINGS[:2], ["TRU003", "TRU005"]
    whole = false_alarms.simulate(FEW, settings=one, codes=every)
    alone = false_alarms.simulate(FEW, settings=one, codes=every[1:])
    assert whole.filter(pl.col("code") == "TRU005").equals(alone)
    old = whole.with_columns(fired=pl.lit(-1, pl.Int64))
    mixed = false_alarms.replaced(old, alone)
    assert mixed.filter(pl.col("code") == "TRU005").equals(alone)
    assert mixed.filter(pl.col("code") == "TRU003").equals(old.filter(pl.col("code") == "TRU003"))


def test_a_code_that_no_check_has_is_refused():
    for asked in (["TRU999"], ["TRU005", "page"]):
        with pytest.raises(SystemExit, match=asked[-1]):
            false_alarms.main(asked)


def test_the_line_of_a_page_is_replaced():
    page = "# X\n\n**Next move.** None.\n\n**False alarms.** Fires on 9 % (old).\n"
    assert false_alarms.with_sentence(page, "new") == "# X\n\n**Next move.** None.\n\nnew\n"
    assert false_alarms.with_sentence("# X\n", "new") == "# X\n\nnew\n"


def test_what_is_usual():
    table = pl.DataFrame(
        {"code": ["A", "A"], "setting": ["s", "t"], "fired": [5, 0], "runs": [10, 10]}
    )
    assert false_alarms.is_usual("A", table)
    assert not false_alarms.is_usual("A", table.with_columns(fired=pl.col("fired") - 1))
    assert "25 %" in false_alarms.sentence("A", table)
    assert "Not measured" in false_alarms.sentence("B", table)


def test_a_check_that_changes_is_noticed(monkeypatch):
    """With a limit moved, a small simulation disagrees with the table."""
    from trueness.checks import registry

    module = registry.FUNCTIONS["TRU005"].__globals__
    monkeypatch.setitem(module, "FEW", dataclasses.replace(module["FEW"], default=5))
    setting = SETTINGS[0]
    changed, known = (
        table.filter(pl.col("code") == "TRU005", pl.col("setting") == setting.name)
        for table in (false_alarms.simulate(FEW, 10_000, [setting]), false_alarms.read())
    )
    worst = min(
        fisher_exact([[r["fired"], r["runs"] - r["fired"]],
                      [r["fired_other"], r["runs_other"] - r["fired_other"]]]).pvalue
        for r in both(known, changed)
    )  # fmt: skip
    assert worst < CHANCE
