"""Any class with `fit` and `predict_proba` or `decision_function`, and what it may get wrong.

It is given copies, which are compared with what they are copies of; seed and number of threads are
set if it takes them and the run does not say otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trueness.baselines.fitted import Fitted, Kept, log_odds
from trueness.baselines.inputs import Array, Fit, Job
from trueness.errors import SpecError
from trueness.own import load, translate_errors
from trueness.skopsfile import from_skops, skops_bytes

SEEDS = ("random_state", "random_seed", "seed")
SETTINGS: tuple[tuple[tuple[str, ...], Any, tuple[str, ...]], ...] = (
    (("n_jobs", "thread_count", "nthread"), 1, ()),
    (("allow_writing_files",), False, ()),
    (("logging_level",), "Silent", ("verbose", "verbose_eval", "silent")),
)
"""Names of an argument, its value, and names that say the same: the first that a class takes is set
unless the run gives one of them. One thread, no files, no progress on the terminal."""
SCORES = ("decision_function", "predict_proba")
"""Methods that score, the first that is there."""


def estimator(job: Job) -> tuple[Fitted, str]:
    """Fit a class on the training part."""
    model = _made(job)
    x, y = job.train.x.copy(), job.train.y.astype(np.int64)
    with translate_errors(f"{job.model.of}: fit", "estimator_fit", job.base_folder):
        model.fit(x, y)
    _check_untouched(job.model.of, "fit", (x, job.train.x), (y, job.train.y))
    return Foreign(model, job.model.of, job.base_folder), ""


@dataclass(frozen=True)
class Foreign:
    """An estimator of others: its answers are checked before they are believed.

    Attributes
    ----------
    model : estimator
    of : str
        Its class, as a spec names it.
    base_folder : Path
        Folder of own files, for messages.
    """

    model: Any
    of: str
    base_folder: Path = Path()
    form: ClassVar[str] = "estimator"

    def logits(self, x: Array) -> Array:
        """Logits (n,).

        Raises
        ------
        SpecError
            With a code ``estimator_...`` if the answer is none.
        """
        return _scores(self, x)

    def kept(self) -> Kept:
        """The estimator by skops."""
        return {"of": self.of}, {"model.skops": skops_bytes(self.model, self.of)}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its file."""
        return cls(from_skops(files["model.skops"], "model.skops"), settings["of"])


def _made(job: Job) -> Any:  # noqa: ANN401 - whatever the class makes
    """An estimator with its parameters, seed and threads."""
    what, params = job.model.of, job.model.params
    make = load(what, job.base_folder)
    with translate_errors(f"{what}: its arguments", "estimator_params", job.base_folder):
        arguments = _settings(_arguments(make), set(params), job.seed)
        model = make(**{**arguments, **params})
    lacks = [] if callable(getattr(model, "fit", None)) else ["fit"]
    lacks += [] if method_of(model) else [" or ".join(reversed(SCORES))]
    if lacks:
        raise SpecError(f"{what} has no {', and no '.join(lacks)}", "estimator_methods")
    return model


def _settings(taken: set[str], said: set[str], seed: int) -> dict[str, Any]:
    """Seed, threads and silence, of a class that takes them and a run that says nothing of them."""
    arguments = {}
    for names, value, others in ((SEEDS, seed, ()), *SETTINGS):
        first = next((name for name in names if name in taken), None)
        if first is not None and not said & {*names, *others}:
            arguments[first] = value
    return arguments


def _arguments(make: Any) -> set[str]:  # noqa: ANN401 - a class or a function
    """Names that a class takes, by its signature, and by scikit-learn's way of asking."""
    try:
        known = inspect.signature(make).parameters
    except ValueError:
        return set()
    names = set(known)
    opened = any(one.kind is one.VAR_KEYWORD for one in known.values())
    needs = [
        one for one in known.values()
        if one.default is one.empty and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    ]  # fmt: skip
    if opened and not needs and hasattr(make, "get_params"):
        names |= set(make().get_params(deep=False))
    return names


def method_of(model: Any) -> str:  # noqa: ANN401
    """Method of an estimator that scores; empty if there is none."""
    return next((name for name in SCORES if callable(getattr(model, name, None))), "")


def _scores(one: Foreign, rows: Array) -> Array:
    """Logits of rows (n, p), (n,)."""
    model, x = one.model, rows.copy()
    name = method_of(model)
    what = f"{one.of}: {name}"
    with translate_errors(what, "estimator_fit", one.base_folder):
        answer = getattr(model, name)(x)
    _check_untouched(one.of, name, (x, rows))
    values = _numbers(what, answer)
    n, shapes = len(x), ([()] if name == "decision_function" else [(), (2,)])
    if values.shape not in [(n, *shape) for shape in shapes]:
        wanted = " or ".join(str((n, *shape)) for shape in shapes)
        raise SpecError(f"{what} gave an array {values.shape}, not {wanted}", "estimator_shape")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise SpecError(f"{what} gave {bad} numbers that are not finite", "estimator_nan")
    if name == "decision_function":
        return values
    if values.min(initial=0) < -1e-6 or values.max(initial=0) > 1 + 1e-6:
        raise SpecError(f"{what} gave numbers outside 0 to 1, which are no probabilities",
                        "estimator_probability")  # fmt: skip
    return log_odds(values if values.ndim == 1 else values[:, positive_column(model)])


def positive_column(model: Any) -> int:  # noqa: ANN401
    """Column of label 1."""
    classes = np.ravel(getattr(model, "classes_", [])).tolist()
    return classes.index(1) if 1 in classes else 1


def _numbers(what: str, answer: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """What a method gave, as an array of numbers."""
    with translate_errors(what, "estimator_shape"):
        array = np.asarray(answer)
    if array.dtype.kind not in "fiub":
        kind = type(answer).__name__
        raise SpecError(f"{what} gave a {kind}, not an array of numbers", "estimator_shape")
    return array.astype(np.float64)


def _check_untouched(of: str, name: str, *pairs: tuple[NDArray[Any], NDArray[Any]]) -> None:
    """Refuse an estimator that changed what it was given."""
    if not all(np.array_equal(passed, kept, equal_nan=True) for passed, kept in pairs):
        raise SpecError(
            f"{of}: {name} modifies its input; let it work on a copy",
            "estimator_modifies",
        )  # fmt: skip


FITS: dict[str, Fit] = {
    "estimator": estimator,
}
