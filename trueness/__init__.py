"""Judges classifiers of rare events, whoever made them: what is better, and what is not shown.

Names are loaded when they are first used, so that importing the package is immediate.
"""

# ruff: noqa: F401 - what stands here is handed on
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.api import (
        Answer,
        Bundle,
        calibrate,
        certify,
        compare,
        finalize,
        importance,
        judge,
        leaderboard,
        load,
        log,
        run,
        show,
        thresholds,
    )
    from trueness.campaign import Campaign, load_campaign
    from trueness.errors import TruenessError
    from trueness.evaluation import Estimate
    from trueness.examples import Examples
    from trueness.market import load_bars, load_volatility, market_examples
    from trueness.predictions import Predictions
    from trueness.spec import Spec
    from trueness.store import Store

__version__: str
__all__, _load, __dir__ = handed_on(__name__, __file__)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name from the room it lives in."""
    if name == "__version__":
        from importlib.metadata import version

        return version("trueness")
    if name == "judge":  # a room of that name, which calls the function
        return import_module("trueness.judge")
    return _load(name)
