"""An ONNX graph that grows node by node, and takes in graphs that other packages wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trueness.errors import TruenessError
from trueness.onnxfile import IR_VERSION, OPSET

ML = "ai.onnx.ml"
ML_OPSET = 3
"""The first one whose trees compare in 64 bits."""
MOST_BYTES = 2**31 - 1
"""A file of more would need a second one beside it."""
NUMBERS = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64,
}  # fmt: skip
Size = int | str | None
"""Of an axis; free ones have a name, which is ``rows`` for None."""


class Graph:
    """Nodes, constants, inputs and outputs so far; a tensor is called by its name.

    Examples
    --------
    >>> graph = Graph()
    >>> x = graph.input("x", (None, 2))
    >>> graph.output("y", graph.node("ReduceSum", x, graph.constant(np.array([1])), keepdims=0))
    >>> from trueness.onnxfile import Session
    >>> session = Session(file_of(graph.model(), {"made": "here"}))
    >>> session.run({"x": np.array([[1, 2], [3, 4]], np.float32)})["y"].tolist()
    [3.0, 7.0]
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._versions = {"": OPSET, ML: ML_OPSET}
        self._names = 0

    def input(self, name: str, shape: Sequence[Size], kind: str = "float32") -> str:
        """An input of numbers of some kind."""
        self._inputs.append(_described(name, shape, kind))
        return name

    def output(self, name: str, tensor: str, shape: Sequence[Size] = (None,)) -> None:
        """Make a tensor of numbers a float32 output."""
        self._nodes.append(helper.make_node("Cast", [tensor], [name], to=TensorProto.FLOAT))
        self._outputs.append(_described(name, shape, "float32"))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(one.name for one in self._outputs)

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Name of the first output of a new node."""
        name = self._name(op.lower())
        self._nodes.append(
            helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes)
        )
        return name

    def constant(self, values: NDArray[Any] | np.generic) -> str:
        """Name of a constant."""
        name = self._name("constant")
        self._tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def cast(self, tensor: str, kind: str) -> str:
        """The same in ``float32`` or ``float64``."""
        return self.node("Cast", tensor, to=NUMBERS[kind])

    def scaled(self, tensor: str, slope: float, shift: float) -> str:
        """``slope * x + shift`` of a float64 tensor."""
        product = self.node("Mul", tensor, self.constant(np.float64(slope)))
        return self.node("Add", product, self.constant(np.float64(shift)))

    def row(self, tensor: str) -> str:
        """A tensor of N numbers in whatever shape, as (N,) float64."""
        flat = self.node("Reshape", tensor, self.constant(np.array([-1], np.int64)))
        return self.cast(flat, "float64")

    def taken(self, tensor: str, axis: int, at: NDArray[np.int64] | int) -> str:
        """Some positions of an axis; of one number, without the axis."""
        return self.node("Gather", tensor, self.constant(np.asarray(at, np.int64)), axis=axis)

    def embedded(self, model: onnx.ModelProto, inputs: Mapping[str, str], wanted: str) -> str:
        """An output of another graph, whose inputs are tensors of this one.

        Only what leads to it is taken. Names get a beginning of their own.

        Parameters
        ----------
        model : ModelProto
        inputs : mapping of str to str
            Its inputs -> tensors of this graph.
        wanted : str
            One of its outputs.
        """
        prefix = self._name("part") + "_"
        one = onnx.compose.add_prefix(model, prefix)
        theirs = {prefix + name: tensor for name, tensor in inputs.items()}
        for name, tensor in theirs.items():
            self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        nodes = _leading_to(prefix + wanted, one.graph.node)
        read = set(_read(nodes))
        self._nodes += nodes
        self._tensors += [tensor for tensor in one.graph.initializer if tensor.name in read]
        for known in one.opset_import:
            version = max(known.version, self._versions.get(known.domain, 0))
            self._versions[known.domain] = version
        return prefix + wanted

    def model(self) -> onnx.ModelProto:
        """The whole."""
        graph = helper.make_graph(
            self._nodes, "trueness", self._inputs, self._outputs, self._tensors
        )
        versions = [helper.make_opsetid(domain, n) for domain, n in self._versions.items()]
        return helper.make_model(
            graph, opset_imports=versions, producer_name="trueness", ir_version=IR_VERSION
        )

    def _name(self, what: str) -> str:
        self._names += 1
        return f"{what}_{self._names}"


def file_of(model: onnx.ModelProto, about: Mapping[str, str]) -> bytes:
    """Content of a file that holds a model, checked, with texts by name in its metadata.

    Raises
    ------
    TruenessError
        With code ``too_large`` beyond 2 GiB.
    """
    helper.set_model_props(model, dict(about))
    if (size := model.ByteSize()) > MOST_BYTES:
        raise TruenessError(f"the graph has {size:,} bytes; a file of ONNX holds {MOST_BYTES:,}",
                            "too_large")  # fmt: skip
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _described(name: str, shape: Sequence[Size], kind: str) -> onnx.ValueInfoProto:
    sizes = ["rows" if size is None else size for size in shape]
    return helper.make_tensor_value_info(name, NUMBERS[kind], sizes)


def _leading_to(wanted: str, nodes: Iterable[Any]) -> list[Any]:
    """Those of some sorted nodes that a tensor depends on."""
    needed, result = {wanted}, []
    for node in reversed(list(nodes)):
        if needed & set(node.output):
            needed |= set(_read([node]))
            result.append(node)
    return result[::-1]


def _read(nodes: Iterable[Any]) -> Iterator[str]:
    """Names that nodes read, those inside their loops among them."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from _read(attribute.g.node)
