"""The engine: a stack of K networks of equal shape trained in one pass, K = 1 included."""

from trueness.fit.device import Device, choose_device
from trueness.fit.stack import Fitted, FoldFit, Member, fit_stack, stackable

__all__ = ["Device", "Fitted", "FoldFit", "Member", "choose_device", "fit_stack", "stackable"]
