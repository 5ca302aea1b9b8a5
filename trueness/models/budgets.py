"""Networks of a stated size: budgets met by the true number of parameters, within ten percent.

Width and depth are taken from grids and the inner width of the feed-forward blocks is solved for
exactly, since the count is linear in it. Heads do not change the count: every number of heads that
divides the width is as good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trueness.errors import SpecError, nearest
from trueness.models.networks import (
    activation_bytes,
    member_bytes,
    multiply_adds,
    parameter_count,
)
from trueness.spec.embedding import Embedding
from trueness.spec.model import Model, PatchTST

TOLERANCE_PCT = 10.0
WIDTHS = (
    16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
)  # fmt: skip
DEPTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 64)
HEADS = (2, 4, 8, 16, 32)
RATIOS = (1.0, 8.0)
"""Inner width over width that a solved shape may have; the published spaces use 2 and 4."""
NARROWEST = 4
"""Width per layer below which a network counts as a thread and is left out."""
USUAL_RATIO, USUAL_HEAD = 4.0, 32
MOST_ON_A_CPU = 500_000_000
"""Parameters above which an epoch on a CPU takes days."""
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


@dataclass(frozen=True)
class SolvedShape:
    """A network that meets a budget.

    Attributes
    ----------
    model : trueness.spec.model.PatchTST
        With the heads whose width is nearest to 32 numbers.
    heads : tuple of int
        All numbers of heads that divide the width; the count is the same for each.
    budget, parameters : int
        Asked for, and true number of trainable parameters, RevIN and embedding included.
    n_features, context : int
        Columns and rows of a window.
    """

    model: PatchTST
    heads: tuple[int, ...]
    budget: int
    parameters: int
    n_features: int
    context: int

    @property
    def deviation_pct(self) -> float:
        """How far the true count lies above the budget, percent."""
        return 100 * (self.parameters / self.budget - 1)

    @property
    def fields(self) -> dict[str, int]:
        """What the budget decides of a model: d_model, n_layers, n_heads, d_ff."""
        names = ("d_model", "n_layers", "n_heads", "d_ff")
        return {name: getattr(self.model, name) for name in names}

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass over one window."""
        return multiply_adds(self.model, self.n_features, self.context)

    def memory_bytes(self, batch: int) -> int:
        """Memory of one member in training with so many windows per batch, in float32."""
        kept = activation_bytes(self.model, self.n_features, self.context)
        return member_bytes(self.parameters, batch, kept)


def parse_budget(text: str | int) -> int:
    """Number of parameters that a budget names.

    Parameters
    ----------
    text : str or int
        A whole number, or one with k, M or B behind it.

    Raises
    ------
    SpecError
        If it is no such number.

    Examples
    --------
    >>> [parse_budget(budget) for budget in ("750k", "1.5M", "2B", 4096)]
    [750000, 1500000, 2000000000, 4096]
    """
    if isinstance(text, str) and text.startswith("label:"):
        raise SpecError(f"{text} is a list of published shapes, not a size; ask label_space")
    result = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)([kmb]?)", str(text).strip().lower())
    size = 0.0 if result is None else float(result[1]) * UNITS[result[2]]
    if isinstance(text, bool) or size < 1 or size != int(size):
        raise SpecError(f"budget {text!r} is not a number of parameters; write 750k, 2M or 2B")
    return int(size)


def shapes_within(
    budget: str | int, n_features: int, context: int, embedding: Embedding | str | None = None, *,
    base: Model | None = None, widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = DEPTHS, ratios: tuple[float, float] = RATIOS,
    tolerance_pct: float = TOLERANCE_PCT,
) -> list[SolvedShape]:  # fmt: skip
    """All networks of a grid that have so many parameters, from shallow and wide to deep.

    Parameters
    ----------
    budget : str or int
        Such as "2M".
    n_features, context : int
        Columns and rows of a window.
    embedding : trueness.spec.embedding.Embedding or str, optional
        In place of the base's own.
    base : trueness.spec.model.Model, optional
        Everything else of the network: patches, RevIN, dropout.
    widths, depths : sequence of int
        Grids of d_model and n_layers.
    ratios : (float, float)
        Least and largest d_ff / d_model.
    tolerance_pct : float
        How far the true count may lie from the budget, percent.

    Raises
    ------
    SpecError
        If no shape of the grid meets the budget, the nearest one is named; or if `base` is no
        network whose shape a budget decides.

    Examples
    --------
    >>> shapes = shapes_within("2M", n_features=50, context=80)
    >>> all(abs(shape.deviation_pct) <= 10 for shape in shapes)
    True
    >>> shapes[0].fields
    {'d_model': 512, 'n_layers': 1, 'n_heads': 16, 'd_ff': 512}
    """
    size, bare = parse_budget(budget), _bare(base, embedding)
    _check_window(bare, n_features, context)
    candidates = list(_candidates(bare, n_features, context, size, widths, depths, ratios))
    if not candidates:
        raise SpecError(
            f"budget {budget}: no depth of {_range(depths)} is a fourth of a width of "
            f"{_range(widths)} or less; widen the grids"
        )

    def solved(model: PatchTST) -> SolvedShape:
        count = parameter_count(model, n_features, context)
        return SolvedShape(model, _heads(model.d_model), size, count, n_features, context)

    near = [model for model, n in candidates if abs(n / size - 1) <= tolerance_pct / 100]
    if not near:
        model, _ = min(candidates, key=lambda one: abs(one[1] - size))
        raise SpecError(_unreachable(budget, solved(model)))
    shapes = [solved(model) for model in near]
    return sorted(shapes, key=lambda s: (s.model.n_layers / s.model.d_model, s.model.n_layers))


def one_per_width(shapes: Sequence[SolvedShape]) -> list[SolvedShape]:
    """For each width the depth whose inner width is nearest to four times the width.

    Examples
    --------
    >>> [s.model.d_model for s in one_per_width(shapes_within("2M", 50, 80))]
    [512, 384, 320, 256, 192, 160, 128, 96]
    """

    def distance(shape: SolvedShape) -> float:
        ratio = shape.model.d_ff / shape.model.d_model / USUAL_RATIO
        return max(ratio, 1 / ratio)

    widths = dict.fromkeys(s.model.d_model for s in shapes)
    return [min((s for s in shapes if s.model.d_model == d), key=distance) for d in widths]


def _bare(base: Model | None, embedding: Embedding | str | None) -> PatchTST:
    """Smallest network with the asked embedding."""
    base = PatchTST(kind="patchtst") if base is None else base
    if not isinstance(base, PatchTST):
        raise SpecError(
            f"a budget decides the shape of a patchtst, not of {base.kind}; give its sizes"
        )
    embedding = base.embedding if embedding is None else Embedding.validated(embedding)
    update = {"embedding": embedding, "n_layers": 1, "d_ff": 1}
    return base.model_copy(update=update)


def _check_window(model: PatchTST, n_features: int, context: int) -> None:
    if n_features < 1 or context < model.patch_length:
        raise SpecError(
            f"{n_features} columns and {context} rows: at least 1 column and "
            f"{model.patch_length} rows, one patch, are needed"
        )


def _candidates(
    bare: PatchTST, n_features: int, context: int, size: int, widths: Sequence[int],
    depths: Sequence[int], ratios: tuple[float, float],
) -> Iterator[tuple[PatchTST, int]]:  # fmt: skip
    """For each width and depth the network whose count is nearest to the budget, and the count."""
    for d in sorted(set(widths)):
        rest, layer = _costs(bare, n_features, context, d)
        for depth in sorted({n for n in depths if n * NARROWEST <= d}):
            free = (size - rest - depth * layer) / (depth * (2 * d + 1))
            step = 8 if d % 8 == 0 else 1
            low, high = (max(step, round(r * d / step) * step) for r in ratios)
            inner = int(min(max(round(free / step) * step, low), high))
            update = {"d_model": d, "n_layers": depth, "n_heads": _usual_heads(d), "d_ff": inner}
            count = rest + depth * (layer + inner * (2 * d + 1))
            yield bare.model_copy(update=update), count


def _costs(bare: PatchTST, n_features: int, context: int, d: int) -> tuple[int, int]:
    """Parameters outside of the layers, and of one layer without its feed-forward maps.

    A layer has 4 d^2 + 9 d + d_ff (2 d + 1) parameters: four maps of the attention, two norms, two
    maps of the feed-forward block, all with biases.
    """
    one = bare.model_copy(update={"d_model": d, "n_heads": 1})
    layer = 4 * d * d + 9 * d
    return parameter_count(one, n_features, context) - layer - (2 * d + 1), layer


def _heads(d: int) -> tuple[int, ...]:
    """Usual numbers of heads that divide a width, or 1."""
    return tuple(k for k in HEADS if d % k == 0) or (1,)


def _usual_heads(d: int) -> int:
    return min(_heads(d), key=lambda k: max(d / k / USUAL_HEAD, k * USUAL_HEAD / d))


def _unreachable(budget: str | int, nearest_: SolvedShape) -> str:
    embedding = nearest_.model.embedding.kind
    where = f"{nearest_.n_features} columns" + (
        "" if embedding == "none" else f", {embedding} embedding"
    )
    shape = " ".join(f"{name} {value}" for name, value in nearest_.fields.items())
    smaller = "take a larger budget, a narrower embedding or smaller widths"
    larger = "take a smaller budget, or larger widths and depths"
    return (
        f"budget {budget} cannot be met with {where}: the nearest network has "
        f"{nearest_.parameters:,} parameters ({shape}); "
        f"{smaller if nearest_.deviation_pct > 0 else larger}"
    )


def _range(grid: Sequence[int]) -> str:
    return f"{min(grid)} to {max(grid)}" if grid else "an empty grid"


def shape_rows(shapes: Sequence[SolvedShape], batch: int = 128) -> list[dict[str, Any]]:
    """Shapes as rows of a table: sizes, deviation from the budget, work and memory.

    Work is multiply-adds of one forward pass over one window; memory is that of one member in
    training with so many windows per batch, in float32, estimated.

    Examples
    --------
    >>> shape_rows(shapes_within("2M", 50, 80)[:1])[0]["deviation_pct"]
    0.2
    """
    return [
        {
            **{name: value for name, value in s.fields.items() if name != "n_heads"},
            "heads": " ".join(map(str, s.heads)),
            "parameters": s.parameters,
            "deviation_pct": round(s.deviation_pct, 1) + 0.0,
            "multiply_adds": s.multiply_adds,
            "bytes_per_member": s.memory_bytes(batch),
        }
        for s in shapes
    ]


def refuse_on_cpu(shape: SolvedShape, device: str, batch: int = 128) -> None:
    """Refuse to train more than half a billion parameters on a CPU.

    Parameters
    ----------
    shape : SolvedShape
    device : str
        Name of a torch device, such as "cpu" or "cuda:0".
    batch : int
        Windows per batch, for the memory in the message.

    Raises
    ------
    SpecError
        On any device but a CUDA one.
    """
    if shape.parameters <= MOST_ON_A_CPU or device.startswith("cuda"):
        return
    memory = shape.memory_bytes(batch) / 1e9
    raise SpecError(
        f"{shape.parameters:,} parameters train on a GPU only: one member needs about "
        f"{memory:,.0f} GB with batches of {batch}, and the device is {device}; take a budget up "
        f"to {MOST_ON_A_CPU // 10**6}M or --device cuda"
    )


# ----------------------------------------------------------------------------------- published ones


@dataclass(frozen=True)
class LabelSpace:
    """A published search space that a budget gave its name but not its size.

    Attributes
    ----------
    name : str
    levels : dict of str to tuple
        Values of each parameter of the search.
    note : str
        What sizes the name really stands for.
    """

    name: str
    levels: dict[str, tuple[float, ...]]
    note: str


TRAINED: dict[str, tuple[float, ...]] = {
    "d_ff_ratio": (2, 4),
    "learning_rate": (1e-5, 5e-5, 1e-4, 5e-4),
    "dropout": (0.1, 0.3, 0.5, 0.7),
    "weight_decay": (0.0, 1e-5, 1e-4, 1e-3),
}
"""Levels that all published spaces share."""


def label_space(name: str) -> LabelSpace:
    """Published search space, as in ``label:2M``: the levels that were searched under that label.

    Raises
    ------
    SpecError
        If no such space is published.

    Examples
    --------
    >>> space = label_space("label:2M")
    >>> space.levels["d_model"]
    (32, 48, 64, 80, 96)
    """
    label = name.removeprefix("label:").strip()
    known = {key.lower(): key for key in LABELS}
    if label.lower() not in known:
        choices = [f"label:{key}" for key in LABELS]
        raise SpecError(f"no published space is called {name!r}; {nearest(name, choices)}")
    key = known[label.lower()]
    widths, depths, heads, sizes = LABELS[key]
    levels = {"d_model": widths, "n_layers": depths, "n_heads": heads, **TRAINED}
    note = (
        f"label:{key} is a name, not a size: its networks have {sizes} parameters with a50 / a100 "
        "/ a200 and five raw columns"
    )
    return LabelSpace(f"label:{key}", levels, note)


LABELS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str]] = {
    "2M": (
        (32, 48, 64, 80, 96), (2, 3, 4, 5, 6), (2, 4, 8),
        "0.05-0.76M / 0.07-0.84M / 0.13-1.00M",
    ),
    "20M": (
        (64, 96, 128, 160, 192), (4, 5, 6, 7, 8), (4, 8),
        "0.19-3.7M / 0.24-3.9M / 0.35-4.2M",
    ),
    "200M": (
        (128, 192, 256, 320, 384), (6, 8, 10, 12), (8, 16),
        "0.9-21.6M / 1.0-22.0M / 1.2-22.6M",
    ),
}  # fmt: skip
"""Label -> d_model, n_layers, n_heads, and the true sizes by the exact count."""
