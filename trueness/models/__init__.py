"""Networks: plain modules, built whole, that return logits."""

from trueness.models.counts import (
    activation_bytes,
    member_bytes,
    multiply_adds,
    parameter_count,
    titles_flops,
    titles_parameter_count,
    titles_parameter_split,
)
from trueness.models.embeddings import EMBEDDINGS
from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.noise import Noise, NoNoise, noise_per_example
from trueness.models.patchtst import build

__all__ = [
    "EMBEDDINGS",
    "NoNoise",
    "Noise",
    "TitleClassifier",
    "activation_bytes",
    "build",
    "build_titles",
    "member_bytes",
    "multiply_adds",
    "noise_per_example",
    "parameter_count",
    "titles_flops",
    "titles_parameter_count",
    "titles_parameter_split",
]
