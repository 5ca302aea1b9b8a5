"""Promises hold as the committed page says, by a small simulation with samples of its own."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from tests.simulations import generators, page, results
from tests.simulations.__main__ import main
from tests.simulations.experiments import Case, Experiment, Promise, Tally
from tests.simulations.generators import BASE_RATE, SETTINGS, lead_for, planted, sample
from tests.simulations.promises import EXPERIMENTS, PROMISES, simulate
from tests.simulations.texts import counted
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.long_run import Window

OWN_SEED = 77
UNLIKELY = 4.5
"""Standard errors."""
SMALL = [
    ("single", Case("iid", 1000), 200), ("single", Case("spread", 1000), 200),
    ("single", Case("over5", 1000), 200), ("pair", Case("regime", 422), 100),
    ("slow", Case("sv_slow", 3000, "67 % both"), 60),
    ("chance", Case("trend", 422, "independent scores"), 100), ("equal", Case("iid", 422), 40), ("scattered", Case("hard", 422), 50),
    ("chance", Case("sv", 422, "AR scores"), 150), ("chance", Case("iid", 422, "independent scores"), 150),
    ("power", Case("sv", 3000, "AR scores, 60 %"), 150), ("leader", Case("sv", 3000, "AR scores"), 20),
    ("certificates", Case("iid", 1000), 12), ("certificate_power", Case("regime", 3000, "0.45"), 8),
    ("calibration", Case("iid", 422), 40), ("titles", Case("6 classes, clusters of 3", 300), 80),
    ("paid", Case("five days", 3000, "AR scores"), 60),
    ("drifted", Case("AR(0.9)", 250), 60), ("drifted", Case("AR(0.98)", 250, "squared"), 60),
]  # fmt: skip
BY_NAME = {one.name: one for one in EXPERIMENTS}


@pytest.fixture(scope="module")
def committed():
    return results.read()


def apart(one, other):
    """Standard errors between two tallies."""
    return abs(one.share - other.share) / np.hypot(one.error, other.error)


# --------------------------------------------------------------------------------- the promises


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "case", "repetitions"), SMALL, ids=lambda x: getattr(x, "name", x)
)
def test_a_small_simulation_agrees_with_the_page(committed, name, case, repetitions):
    for promise, tally in BY_NAME[name].simulate(case, repetitions, seed=OWN_SEED).items():
        assert apart(tally, committed[promise, case.name, case.n]) < UNLIKELY, promise


@pytest.mark.parametrize("setting", ["iid", "spread", "markov"])
@pytest.mark.parametrize("promise", ["AUC", "precision@30", "base rate"])
def test_intervals_cover_on_the_page(committed, setting, promise):
    for n in (1000, 3000):
        tally = committed[promise, setting, n]
        assert tally.share + 3 * tally.error > 0.92


@pytest.mark.long
def test_days_taken_as_independent_are_noticed(committed, monkeypatch):
    independent = Window.of(Blocks.of(1000))
    monkeypatch.setattr(Window, "of", lambda blocks: independent)
    case = Case("hard", 1000)
    broken = BY_NAME["single"].simulate(case, 200, seed=OWN_SEED)
    for promise in ("AUC", "base rate"):
        assert broken[promise].share < 0.85
        assert apart(broken[promise], committed[promise, case.name, case.n]) > UNLIKELY


def test_one_promise_by_its_name():
    assert simulate("AUC", Case("iid", 422), 5).repetitions == 5


# ------------------------------------------------------------------------------------- the page


def test_every_promise_is_on_the_page_and_nothing_else(committed):
    assert page.of_table(committed) == committed
    for name, (_, experiment) in PROMISES.items():
        for case in experiment.cases:
            assert committed[name, case.name, case.n].repetitions > 1, (name, case)


def test_the_page_shows_the_committed_results(committed):
    assert page.PAGE.read_text(encoding="utf-8") == page.rendered(committed)


def test_every_promise_has_one_name():
    assert len(PROMISES) == sum(len(one.promises) for one in EXPERIMENTS)


@pytest.mark.parametrize(
    ("promise", "hits", "said"),
    [
        (Promise("interval"), 960, ""),
        (Promise("interval"), 925, ""),
        (Promise("interval"), 900, "**does not hold**"),
        (Promise("size", 0.05, "error"), 55, ""),
        (Promise("size", 0.05, "error"), 62, "perhaps not"),
        (Promise("size", 0.05, "error"), 90, "**does not hold**"),
        (Promise("power", 0.85, "power"), 100, ""),
    ],
)
def test_what_is_said_of_a_promise(promise, hits, said):
    assert page.verdict(promise, Tally(1000, hits, hits, hits, 1000)) == said


@pytest.mark.long
def test_a_quick_run_prints_and_writes_nothing(capsys):
    before = page.PAGE.read_text(encoding="utf-8"), results.TABLE.read_bytes()
    main(["--quick", "--jobs", "1", "--only", "power"])
    assert (
        "| skill found by AUC, one model | sv, AR scores, 60 % | 3,000 |" in capsys.readouterr().out
    )
    assert before == (page.PAGE.read_text(encoding="utf-8"), results.TABLE.read_bytes())


def test_a_run_goes_on_where_it_ended(tmp_path):
    experiment, file = BY_NAME["pair"], tmp_path / "partial.jsonl"
    case = Case("iid", 422)
    first, second = results.Chunk("pair", case, 0, 5), results.Chunk("pair", case, 5, 4)
    for chunk in (first, second):
        results.keep(file, *results.simulated(chunk))
    file.write_text(file.read_text() + '{"chunk": {"exper', encoding="utf-8")
    actual = {}
    for chunk, tallies in results.kept(file).items():
        results.add(actual, chunk, tallies)
    assert actual == {(n, "iid", 422): t for n, t in experiment.simulate(case, 9).items()}
    results.write(actual, tmp_path / "table.csv")
    assert results.read(tmp_path / "table.csv") == actual
    assert results.simulated(first, until=0.0) == (first, None)


def test_the_error_of_a_tally_is_that_of_repetitions():
    def judge(case, rng):
        return {"both": [rng.random() < 0.7] * 2, "none": None}

    twice = Experiment("x", "", (Promise("both"), Promise("none")), (), 1, judge)
    tallies = twice.simulate(Case("x", 1), 400)
    share = tallies["both"].share
    assert tallies["both"].error == pytest.approx(np.sqrt(share * (1 - share) / 399))
    assert (tallies["both"].of, tallies["none"].repetitions) == (800, 0)
    assert 0 < Tally(50, 50, 50, 50, 50).error < 0.05


# ----------------------------------------------------------------------------------- the worlds


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda one: one.name)
def test_base_rates(setting):
    y = sample(np.random.default_rng(1), setting, 500_000).y
    assert y.mean() == pytest.approx(BASE_RATE, abs=0.01)


def test_labels_of_log_volatility_remember_months():
    y = sample(np.random.default_rng(2), SETTINGS["sv"], 3_000_000).y - BASE_RATE
    known = [float((y[:-lag] * y[lag:]).mean() / y.var()) for lag in (1, 20, 40, 60)]
    assert known == pytest.approx([0.13, 0.09, 0.055, 0.036], abs=0.01)


def test_states_last_as_long_as_they_say():
    state = generators.turbulent(np.random.default_rng(3), 1_000_000)
    changes = np.flatnonzero(np.diff(state)) + 1
    runs = np.diff(changes)
    for turbulent, days in ((False, 80), (True, 25)):
        assert runs[state[changes[:-1]] == turbulent].mean() == pytest.approx(days, rel=0.05)


def test_the_area_of_independent_days_is_that_of_the_formula():
    """Signal and score are jointly normal, so the AUC is an integral."""
    spread, threshold = np.sqrt(1.49), SETTINGS["iid"].threshold
    slope = 0.7 / spread / np.sqrt(1.64)  # correlation of score and what decides
    rate = norm.sf(threshold / spread)

    def positive(z):
        return norm.sf((threshold / spread - slope * z) / np.sqrt(1 - slope**2))

    def lower(z):  # negatives below z
        return quad(lambda x: norm.pdf(x) * (1 - positive(x)), -8, z)[0] / (1 - rate)

    auc = quad(lambda z: norm.pdf(z) * positive(z) / rate * lower(z), -8, 8, limit=80)[0]
    truth = generators.truth_at_large(SETTINGS["iid"])
    assert truth.auc[0] == pytest.approx(auc, abs=0.002)
    assert truth.base_rate == pytest.approx(rate, abs=0.001)


@pytest.mark.parametrize("precision", [0.4, 0.6, 0.7])
@pytest.mark.parametrize("memory", [0.0, 0.95])
def test_planted_precision_is_the_true_one(precision, memory):
    """Alarms at a fixed rate of very many days have it."""
    rng = np.random.default_rng(4)
    one = planted(rng, SETTINGS["sv"], 600_000, precision, memory=memory, alarms=6000)
    assert one.y[one.ranked().order[:6000]].mean() == pytest.approx(precision, abs=0.03)
    assert lead_for(precision, 0.01) > lead_for(0.21, 0.01)


def test_equal_models_have_one_truth_and_better_ones_a_higher():
    precision, recall = generators.truth_at_ranks(SETTINGS["regime"], 422, 30, (0.8, 0.8, 2.5))
    assert precision[0] == precision[1] > precision[2] + 0.05
    assert recall[0] == recall[1] > recall[2]


def test_samples_are_seeded():
    one, same, other = (sample(np.random.default_rng(i), SETTINGS["hard"], 50) for i in (1, 1, 2))
    assert one.scores.tolist() == same.scores.tolist() != other.scores.tolist()
    tallies = [simulate("AUC", Case("hard", 422), 20, seed) for seed in (1, 1)]
    assert tallies[0] == tallies[1]


def test_classes_that_count():
    y, cluster = np.repeat([0, 1, 2, 2], [5, 4, 3, 3]), np.repeat([0, 1, 2, 3], [5, 4, 3, 3])
    assert counted(y, cluster, 3).tolist() == [False, False, True]
