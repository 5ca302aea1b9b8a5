"""The committed rates of false alarms, and of faults that are found, are those of the simulation."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy.stats import fisher_exact

from tests.simulations import false_alarms
from tests.simulations.classified_texts import Texts
from tests.simulations.faults import FAULTS
from tests.simulations.rare_events import RareEvents
from trueness.checks import CHECKS
from trueness.evaluation.metrics import roc_auc
from trueness.fit.monitor import is_broken

FEW = 5
CHANCE = 1e-4
EVENTS = [s for s in false_alarms.SETTINGS if isinstance(s, RareEvents)]
TEXTS = [s for s in false_alarms.SETTINGS if isinstance(s, Texts)]
SOME = (EVENTS[0], EVENTS[-2], *TEXTS)
"""Settings of the small simulation: a rare event and a weak signal, labels that cluster, texts."""
MOST_FALSE = 0.06
SHOWN = {"TRU003", "TRU105", "TRU106"}
"""True whenever they fire: what few positives do not show, and facts about the texts."""


@pytest.fixture(scope="module")
def small():
    """A few runs of some settings that the table has not seen."""
    return false_alarms.simulate(FEW, seed=10_000, settings=SOME)


def both(table, other):
    """Two tables side by side, of the settings of the second."""
    keys = ["code", "setting", "faulty"]
    table = table.filter(pl.col("setting").is_in(other["setting"].unique().implode()))
    joined = table.join(other, on=keys, how="full", coalesce=True, suffix="_other")
    assert joined.null_count().pipe(lambda counts: counts.sum_horizontal().item()) == 0
    return joined.iter_rows(named=True)


def p_value(row):
    """Of a row of `both`, that the two tables are of one simulation."""
    counts = [[row[f"fired{s}"], row[f"runs{s}"] - row[f"fired{s}"]] for s in ("", "_other")]
    return fisher_exact(counts).pvalue


@pytest.mark.long
def test_a_small_simulation_agrees_with_the_committed_table(small):
    for row in both(false_alarms.read(), small):
        assert p_value(row) > CHANCE, row


@pytest.mark.parametrize("faulty", [False, True])
def test_every_check_is_simulated(faulty):
    table = false_alarms.read().filter(pl.col("runs") > 0, pl.col("faulty") == faulty)
    assert set(table["code"].unique()) == set(CHECKS) == set(FAULTS)


def test_healthy_runs_are_rarely_accused():
    """In no setting more often than promised, but for what so few runs leave open."""
    table = false_alarms.read().filter(~pl.col("faulty"), ~pl.col("code").is_in(SHOWN))
    by_code = table.group_by("code").agg(pl.col("fired", "runs").sum())
    assert (by_code["fired"] <= MOST_FALSE * by_code["runs"]).all()
    error = (MOST_FALSE * (1 - MOST_FALSE) / table["runs"]).sqrt()
    assert (table["fired"] / table["runs"] <= MOST_FALSE + 3 * error).all()


@pytest.mark.parametrize("code", ["TRU001", "TRU002", "TRU014"])
def test_calibrated_rare_events_are_never_called_collapsed_or_unstable(code):
    table = false_alarms.read().filter(~pl.col("faulty"), pl.col("code") == code)
    assert table["fired"].sum() == 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_simulation_gives_the_committed_table():
    again = false_alarms.simulate(false_alarms.RUNS, workers=2)
    for row in both(false_alarms.read(), again):
        assert row["runs"] == row["runs_other"]
        assert abs(row["fired"] - row["fired_other"]) <= 2, (
            row
        )  # another processor rounds otherwise


@pytest.mark.long
@pytest.mark.parametrize("setting", EVENTS, ids=lambda s: s.name)
def test_simulated_events_are_what_they_say(setting):
    runs = [false_alarms.made(setting, i) for i in range(20_000, 20_012)]
    y, score = (np.concatenate([getattr(r, name) for r in runs]) for name in ("y", "score"))
    slack = 1 if setting.time == "independent days" else 4  # in standard errors of independent days
    error = np.sqrt(setting.base_rate * (1 - setting.base_rate) / len(y))
    assert y.mean() == pytest.approx(setting.base_rate, abs=4 * slack * error)
    assert roc_auc(y, score) == pytest.approx(setting.auc, abs=0.03)
    prob = 1 / (1 + np.exp(-score))
    assert prob.mean() == pytest.approx(y.mean(), abs=4 * slack * error)
    assert all(roc_auc(y, np.concatenate([r.others[i] for r in runs])) == pytest.approx(
        setting.auc, abs=0.03) for i in range(2))  # fmt: skip


def test_simulated_trainings_know_their_days():
    """A training AUC of .93 at a measured one of .71."""
    made = [false_alarms.made(setting, 1) for setting in EVENTS if setting.auc == 0.71]
    assert np.mean([roc_auc(m.y, m.trained) for m in made]) == pytest.approx(0.93, abs=0.02)


@pytest.mark.parametrize("setting", EVENTS, ids=lambda s: s.name)
def test_no_healthy_training_is_ended(setting):
    for seed in range(5):
        made = false_alarms.made(setting, seed)
        for rows, history in zip(made.rows, made.history, strict=True):
            rate = float(made.y[rows["validation"]].mean())
            assert not any(
                is_broken(history[:n], made.spec, rate) for n in range(1, len(history) + 1)
            )


def test_simulated_texts_are_calibrated():
    run = false_alarms.made(TEXTS[0], 3).as_input(compared=False)
    top, right = run.probabilities.max(axis=1), run.measured.scores.argmax(axis=1) == run.measured.y
    error = np.sqrt((top * (1 - top)).sum()) / len(top)
    assert right.mean() == pytest.approx(top.mean(), abs=5 * error)


def test_runs_are_seeded():
    one, same, other = (false_alarms.made(EVENTS[0], i) for i in (1, 1, 2))
    assert one.score.tolist() == same.score.tolist() != other.score.tolist()


def test_one_check_gets_the_rows_that_it_gets_among_all():
    few = {"settings": EVENTS[:1], "faulty": False}
    whole = false_alarms.simulate(FEW, codes=["TRU001", "TRU003"], **few)
    alone = false_alarms.simulate(FEW, codes=["TRU003"], **few)
    assert whole.filter(code="TRU003").equals(alone)
    old = whole.with_columns(fired=pl.lit(-1, pl.Int64))
    mixed = false_alarms.replaced(old, alone)
    assert mixed.filter(code="TRU003").equals(alone)
    assert mixed.filter(code="TRU001").equals(old.filter(code="TRU001"))


def test_a_code_that_no_check_has_is_refused():
    for asked in (["TRU999"], ["TRU003", "page"]):
        with pytest.raises(SystemExit, match=asked[-1]):
            false_alarms.main(asked)


def test_the_lines_of_a_page_are_replaced():
    page = "# X\n\n**Next move.** None.\n\n**False alarms.** On 9 %.\n\n**Power.** 5 %.\n"
    new = "# X\n\n**Next move.** None.\n\nnew\n"
    assert false_alarms.with_sentences(page, "new") == new
    assert false_alarms.with_sentences("# X\n", "new") == "# X\n\nnew\n"


def test_what_is_usual():
    table = pl.DataFrame({
        "code": ["TRU001"] * 3, "setting": ["s", "t", "s"], "faulty": [False, False, True],
        "fired": [5, 0, 9], "runs": [10] * 3,
    })  # fmt: skip
    assert false_alarms.is_usual("TRU001", table)
    fewer = table.with_columns(fired=pl.col("fired") - ~pl.col("faulty"))
    assert not false_alarms.is_usual("TRU001", fewer)
    false, power = false_alarms.sentences("TRU001", table).split("\n\n")
    assert "25 %" in false
    assert "90 %" in power
    assert "Not measured" in false_alarms.sentences("TRU002", table)


def test_a_check_that_changes_is_noticed(monkeypatch):
    """With a limit moved, a small simulation disagrees with the table."""
    from trueness.checks import registry

    module = registry.FUNCTIONS["TRU001"].__globals__
    monkeypatch.setitem(module, "CORE", dataclasses.replace(module["CORE"], default=2.0))
    changed, known = (
        table.filter(code="TRU001", setting=EVENTS[0].name, faulty=False)
        for table in (
            false_alarms.simulate(FEW, 10_000, EVENTS[:1], faulty=False),
            false_alarms.read(),
        )
    )
    assert min(map(p_value, both(known, changed))) < CHANCE
