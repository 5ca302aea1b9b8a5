"""Arrays in, numbers out; never sees a model. Names are loaded when they are first used."""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.evaluation.blocks import Blocks
    from trueness.evaluation.intervals import (
        Estimate,
        clopper_pearson,
        exact_bounds,
        replicated_proportion,
    )

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
