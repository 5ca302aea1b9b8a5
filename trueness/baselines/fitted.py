"""What fitting leaves behind: something that scores rows of columns, and the files that keep it.

Nothing is pickled. Models of ours are kept as arrays (`trueness.baselines.arrays`), boosters in
their packages' own formats, estimators of others by skops, which builds known types only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import scipy  # loads a part on its first use
from numpy.typing import NDArray

from trueness.baselines import lightgbm_library, xgboost_library
from trueness.errors import SpecError
from trueness.own import check_installed

Array = NDArray[np.float64]
CLIP = 1e-4
"""Probabilities nearer to 0 or 1 have no finite log-odds that would mean anything."""
Kept = tuple[dict[str, Any], dict[str, bytes]]
"""Plain settings, and files by name."""


def log_odds(p: NDArray[Any]) -> Array:
    """Log-odds of probabilities, finite for 0 and 1."""
    return scipy.special.logit(np.asarray(p, np.float64).clip(CLIP, 1 - CLIP))


class Fitted(Protocol):
    """A fitted estimator.

    Attributes
    ----------
    form : str
        Its row in `trueness.baselines.column_forms.FORMS`.
    """

    form: ClassVar[str]

    def logits(self, x: Array) -> Array:
        """Logits (n,) of rows (n, p)."""
        ...

    def kept(self) -> Kept:
        """What `opened` makes it from again.

        Raises
        ------
        StoreError
            With code ``untrusted`` if it holds what no file may bring back.
        """
        ...

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From what `kept` gave.

        Raises
        ------
        StoreError
            With code ``untrusted`` or ``damaged``.
        """
        ...


@runtime_checkable
class Explained(Protocol):
    """A fitted estimator whose package tells what each column adds to the logit of each row.

    Lundberg and others, "From local explanations to global understanding with explainable AI for
    trees" (2020).
    """

    def contributions(self, x: Array) -> Array:
        """Contributions (n, p); with a constant they sum to the logits (n,) of the rows."""
        ...


def logits_of(fitted: Fitted, x: Array, kind: str) -> Array:
    """Logits (n,) of rows (n, p), every one finite.

    Raises
    ------
    SpecError
        With code ``estimator_nan``.
    """
    scores = fitted.logits(x)
    if scores.shape != (len(x),) or not np.isfinite(scores).all():
        raise SpecError(f"{kind}: its scores are not finite", "estimator_nan")
    return scores


@dataclass(frozen=True)
class Constant:
    """The same logit for every row."""

    value: float
    form: ClassVar[str] = "constant"

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        return np.full(len(x), self.value)

    def kept(self) -> Kept:
        """Its value."""
        return {"value": self.value}, {}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its value."""
        del files
        return cls(float(settings["value"]))


@dataclass(frozen=True)
class LightGBM:
    """A booster of LightGBM in its text format; `trees` of it count.

    Scores need no Python package, see `trueness.baselines.lightgbm_library`.
    """

    text: str
    trees: int
    form: ClassVar[str] = "lightgbm"

    @cached_property
    def model(self) -> Any:  # noqa: ANN401 - a lightgbm.Booster
        """The booster of the package, for what scores do not need."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    @cached_property
    def _scorer(self) -> lightgbm_library.KeptBooster:
        return lightgbm_library.KeptBooster(self.text)

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        return self._scorer.raw_scores(x, self.trees)

    def contributions(self, x: Array) -> Array:
        """TreeSHAP of each column, (n, p); see `Explained`."""
        result = self.model.predict(x, pred_contrib=True, num_iteration=self.trees)
        return np.asarray(result)[:, :-1]

    def kept(self) -> Kept:
        """Its text format."""
        return {"trees": self.trees}, {"model.txt": self.text.encode()}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its text."""
        check_installed("lightgbm")
        return cls(files["model.txt"].decode(), settings["trees"])


@dataclass(frozen=True)
class XGBoost:
    """A booster of XGBoost in its binary JSON; `trees` of it count.

    Scores need no Python package, see `trueness.baselines.xgboost_library`.
    """

    content: bytes
    trees: int
    form: ClassVar[str] = "xgboost"

    @cached_property
    def model(self) -> Any:  # noqa: ANN401 - an xgboost.Booster
        """The booster of the package, for what scores do not need."""
        import xgboost

        model = xgboost.Booster({"nthread": 1})
        model.load_model(bytearray(self.content))
        return model

    @cached_property
    def _scorer(self) -> xgboost_library.KeptBooster:
        return xgboost_library.KeptBooster(self.content)

    def logits(self, x: Array) -> Array:
        """Logits (n,)."""
        return self._scorer.raw_scores(x, self.trees).astype(np.float64)

    def contributions(self, x: Array) -> Array:
        """TreeSHAP of each column, (n, p); see `Explained`."""
        import xgboost

        rows, some = xgboost.DMatrix(x, nthread=1), (0, self.trees)
        result = self.model.predict(rows, pred_contribs=True, iteration_range=some)
        return np.asarray(result, np.float64)[:, :-1]

    def kept(self) -> Kept:
        """Its binary JSON."""
        return {"trees": self.trees}, {"model.ubj": self.content}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its binary JSON."""
        check_installed("xgboost")
        return cls(files["model.ubj"], settings["trees"])
