"""Networks: plain modules, built whole, that return logits."""

from trueness.models.noise import Noise, NoNoise, noise_per_example
from trueness.models.patchtst import build, multiply_adds, parameter_count

__all__ = ["NoNoise", "Noise", "build", "multiply_adds", "noise_per_example", "parameter_count"]
