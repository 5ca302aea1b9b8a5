"""The engine: a stack of K networks of equal shape trained in one pass, K = 1 included.

Its names are loaded when they are first used: what trains nothing loads no torch.
"""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.fit.checkpoints import Checkpoints
    from trueness.fit.device import Device, choose_device
    from trueness.fit.fitting import fit_stack
    from trueness.fit.member import Fitted, FoldFit, Member, Prune, stackable
    from trueness.fit.monitor import TrainingWarning
    from trueness.fit.policy import Mode, choose_mode, members_that_fit
    from trueness.fit.speed import seconds_per_step

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
