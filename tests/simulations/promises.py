"""The table of promises: which there are, and how to simulate one.

Another experiment is another entry of `EXPERIMENTS`; the runner, the page and the tests follow.
"""

from tests.simulations.calibrated import CALIBRATION
from tests.simulations.certified import CERTIFICATES
from tests.simulations.chances import LEADERS, POWER, SIZE
from tests.simulations.drifted import DRIFTED
from tests.simulations.experiments import SEED, Case, Experiment, Promise, Tally
from tests.simulations.intervals import FAMILIES, PAIRS, SINGLE
from tests.simulations.paid import PAID
from tests.simulations.planned import PLANNED
from tests.simulations.slow_scores import SLOW
from tests.simulations.texts import EQUAL_METHODS, TEXTS
from tests.simulations.watched import WATCHED

EXPERIMENTS: tuple[Experiment, ...] = (
    SINGLE, PAIRS, SLOW, *FAMILIES, SIZE, POWER, LEADERS, *CERTIFICATES, PLANNED, CALIBRATION,
    TEXTS, EQUAL_METHODS, WATCHED, PAID, DRIFTED,
)  # fmt: skip
PROMISES: dict[str, tuple[Promise, Experiment]] = {
    promise.name: (promise, experiment)
    for experiment in EXPERIMENTS
    for promise in experiment.promises
}
"""Each with its experiment, by name."""


def simulate(name: str, case: Case, repetitions: int, seed: int = SEED) -> Tally:
    """How often one promise holds.

    Parameters
    ----------
    name : str
        Of `PROMISES`.
    case : Case
        What samples are drawn from.
    repetitions, seed : int
    """
    return PROMISES[name][1].simulate(case, repetitions, seed=seed)[name]
