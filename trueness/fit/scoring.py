"""What a network says about windows, from its stored weights alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trueness.examples import Examples
from trueness.fit.device import Device
from trueness.fit.stack import EVALUATION_ROWS
from trueness.models import NoNoise, build
from trueness.spec import Spec


def network_logits(
    spec: Spec, parameters: Mapping[str, NDArray[Any]], examples: Examples, device: Device,
    precision: str, base_folder: Path = Path(),
) -> NDArray[np.float32]:  # fmt: skip
    """Logits (N,) of all windows of some examples, without dropout.

    Parameters
    ----------
    spec : Spec
        Its model is a network.
    parameters : mapping of str to array
        State of the module, as a run stores it.
    examples : Examples
        N windows; of columns prepared in folds, as the first fold sees them.
    device : Device
    precision : {"float32", "bf16", "float64"}
        That of the training, so that scores are the same; the last shows what rounding does.
    base_folder : Path
        Folder of own files.
    """
    read = windows_reader(
        spec, parameters, len(examples.features), examples.context, device, precision, base_folder
    )
    rows = examples.starts(0)
    result = [
        read(examples.x[rows[first : first + EVALUATION_ROWS]])
        for first in range(0, len(rows), EVALUATION_ROWS)
    ]
    return np.concatenate(result) if result else np.empty(0, np.float32)


def windows_reader(
    spec: Spec, parameters: Mapping[str, NDArray[Any]], n_features: int, context: int,
    device: Device, precision: str, base_folder: Path = Path(),
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:  # fmt: skip
    """A network with its stored weights: windows (m, L, C) to logits (m,), without dropout.

    Parameters are those of `network_logits`.
    """
    module = network_of(spec, parameters, n_features, context, base_folder).to(device.name)
    kind = torch.float64 if precision == "float64" else torch.float32
    module = module.to(kind)

    @torch.no_grad()
    def read(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = torch.from_numpy(np.array(windows, np.float32)).to(device.name, kind)
        with device.autocast(precision):
            return module(rows, NoNoise()).float().cpu().numpy()

    return read


@torch.enable_grad()  # own networks are tried before they are trusted
def network_of(
    spec: Spec, parameters: Mapping[str, NDArray[Any]], n_features: int, context: int,
    base_folder: Path = Path(),
) -> nn.Module:  # fmt: skip
    """The network of a spec with stored weights, on the CPU, set to evaluate.

    Parameters
    ----------
    spec : Spec
        Its model is a network.
    parameters : mapping of str to array
        State of the module, as a run stores it.
    n_features, context : int
        Columns and rows of a window.
    base_folder : Path
        Folder of own files.
    """
    module = build(spec.model, n_features, context, torch.Generator(), base_folder)
    module.load_state_dict({name: torch.from_numpy(a) for name, a in parameters.items()})
    return module.eval()
