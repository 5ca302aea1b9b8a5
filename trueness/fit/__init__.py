"""The engine: a stack of K networks of equal shape trained in one pass, K = 1 included."""

from trueness.fit.checkpoints import Checkpoints
from trueness.fit.device import Device, choose_device
from trueness.fit.fitting import fit_stack
from trueness.fit.member import Fitted, FoldFit, Member, Prune, stackable
from trueness.fit.monitor import TrainingWarning
from trueness.fit.policy import Mode, choose_mode, members_that_fit
from trueness.fit.speed import seconds_per_step

__all__ = [
    "Checkpoints",
    "Device",
    "Fitted",
    "FoldFit",
    "Member",
    "Mode",
    "Prune",
    "TrainingWarning",
    "choose_device",
    "choose_mode",
    "fit_stack",
    "members_that_fit",
    "seconds_per_step",
    "stackable",
]
