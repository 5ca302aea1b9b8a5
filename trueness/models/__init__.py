"""Networks: plain modules, built whole, that return logits."""

from trueness.models.noise import Noise, NoNoise, noise_per_example
from trueness.models.patchtst import build, parameter_count

__all__ = ["NoNoise", "Noise", "build", "noise_per_example", "parameter_count"]
