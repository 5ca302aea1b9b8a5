"""ONNX graphs: what every export needs to write one and to ask it.

ONNX runtimes answer without Python, or without trueness. Its packages are loaded when something is
exported.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueness.own import check_installed, translate_errors

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import Tensor, nn

OPSET, IR_VERSION = 18, 8
"""Of the operators that are written, and of the file that can hold them: what runtimes of 2023 and
later read."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_packages(*more: str) -> None:
    """Refuse an export without the packages that write and run graphs.

    Raises
    ------
    SpecError
        With code ``own_missing``.
    """
    for package in (*PACKAGES, *more):
        check_installed(package)


def network_graph(
    network: nn.Module, examples: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str],
    free: Sequence[Mapping[int, str]], what: str,
) -> ModelProto:  # fmt: skip
    """The graph of a network in float32; nothing in it tells where the network was written.

    Parameters
    ----------
    network : nn.Module
        On the CPU, set to evaluate.
    examples : tuple of Tensor
        What it is called with, several rows.
    names : sequence of str
        What each input is called.
    outputs : sequence of str
    free : sequence of mapping
        Of each input, axis -> name of its size, where any size is taken.
    what : str
        What it is called in an error.

    Raises
    ------
    SpecError
        With code ``no_converter`` if torch cannot export it.
    """
    import torch

    sizes = {name: torch.export.Dim(name, min=1) for axes in free for name in axes.values()}
    shapes = tuple({axis: sizes[name] for axis, name in axes.items()} for axes in free)
    with translate_errors(f"{what} cannot become an ONNX graph", "no_converter"), _quiet():
        program = torch.onnx.export(
            network, examples, dynamo=True, verbose=False, opset_version=OPSET,
            input_names=list(names), output_names=list(outputs), dynamic_shapes=shapes,
        )  # fmt: skip
        assert program is not None
        model = program.model_proto
    for node in (*model.graph.node, *(node for one in model.functions for node in one.node)):
        del node.metadata_props[:]  # lines of source files
        node.doc_string = ""
    return model


@contextmanager
def _quiet() -> Generator[None]:
    """Without what the exporter warns of itself."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


class Session:
    """A graph as a runtime answers for it.

    Parameters
    ----------
    source : Path or bytes
    """

    def __init__(self, source: Path | bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        model = source if isinstance(source, bytes) else str(source)
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.outputs = tuple(one.name for one in self._session.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output by name."""
        result = self._session.run(list(self.outputs), dict(inputs))
        return {name: np.asarray(one) for name, one in zip(self.outputs, result, strict=True)}
