"""Networks: plain modules, built whole, that return logits. Names are loaded on first use."""

# ruff: noqa: F401 - what stands here is handed on
from typing import TYPE_CHECKING

from trueness.lazy import handed_on

if TYPE_CHECKING:
    from trueness.models.embeddings import EMBEDDINGS
    from trueness.models.encoder import TitleClassifier, build_titles
    from trueness.models.networks import (
        NETWORKS,
        activation_bytes,
        build,
        member_bytes,
        multiply_adds,
        parameter_count,
        stacks,
        statistics,
    )
    from trueness.models.noise import Noise, NoNoise, noise_per_example
    from trueness.models.titles_counts import (
        heads_parameter_count,
        pretrained_training_bytes,
        titles_flops,
        titles_parameter_count,
        titles_training_bytes,
    )

__all__, __getattr__, __dir__ = handed_on(__name__, __file__)
