"""Promises about drift: columns that follow training are rarely said to drift, moved ones are."""

import numpy as np
from scipy.signal import lfilter

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from trueness.evaluation.drift import Reference, corrected, drift_of

COLUMNS, TRAINING, LEVEL = 20, 2500, 0.05
"""Columns of a model, days of training, error for all columns at once."""
MEMORY = {"independent columns": 0.0, "AR(0.9)": 0.9, "AR(0.98)": 0.98}
SHAPES = {"": lambda x: x, "squared": np.square}
"""What is done to normal values."""
BURN_IN = 500


def columns(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Columns of training and of so many days after it, (COLUMNS, TRAINING + n), variance 1."""
    rho = MEMORY[case.setting]
    noise = rng.normal(size=(COLUMNS, BURN_IN + TRAINING + case.n)) * np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)[:, BURN_IN:]


def _drifted(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    x = columns(case, rng)
    shape = SHAPES[case.variant]
    train, day = np.arange(TRAINING), np.arange(case.n)
    references = [Reference.of(shape(one[:TRAINING]), train) for one in x]

    def flagged(recent: np.ndarray) -> np.ndarray:
        drifts = [drift_of(str(i), *one) for i, one in
                  enumerate(zip(references, recent, [day] * COLUMNS, strict=True))]  # fmt: skip
        return np.array([one.adjusted <= LEVEL for one in corrected(drifts)])

    late = x[:, TRAINING:]
    one, every, wide = late.copy(), late + 1, late.copy()
    one[0] += 1
    wide[0] *= 2
    return {
        "no drift: any of 20 columns is said to drift": bool(flagged(shape(late)).any()),
        "one column that moves by 1 sd is found": bool(flagged(shape(one))[0]),
        "one column that scatters twice as far is found": bool(flagged(shape(wide))[0]),
        "20 columns that move by 1 sd: some is found": bool(flagged(shape(every)).any()),
    }


DRIFTED = Experiment(
    "drifted", "Drift of 20 columns after 2,500 days of training, by the days that followed",
    (Promise("no drift: any of 20 columns is said to drift", LEVEL, "error"),
     Promise("one column that moves by 1 sd is found", 0.5, "power"),
     Promise("one column that scatters twice as far is found", 0.5, "power"),
     Promise("20 columns that move by 1 sd: some is found", 0.5, "power")),
    tuple(Case(setting, n, shape) for setting in MEMORY for shape in SHAPES for n in (60, 250)),
    600, _drifted,
)  # fmt: skip
