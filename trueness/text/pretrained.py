"""Folders of pretrained encoders, as transformers writes them: what is in one, and its digest.

Nothing here loads a model. Weights are safetensors, whole or in shards; a folder with pickled
weights, code of its own or another kind of model is refused before anything is read from it.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trueness.errors import DataError, first_line
from trueness.files import foreign_json
from trueness.text.foreign import content_digest, located
from trueness.text.tokens import load_tokenizer, vocabulary_of

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ENCODERS = (
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
    "eurobert", "modernbert", "mpnet", "rembert", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip
"""Kinds of encoders that are taken: every token sees the whole text, and no padding."""
COUNTED_AFTER_PAD = (
    "camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip
"""Those whose first position is the one after the number of the pad token."""
_FOREIGN = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_SPARE, _SPARE_SHARE = 64, 0.02
"""Rows of an embedding that no token needs: tables are filled up to round numbers."""
_LONGEST_HEADER = 100_000_000
_TABLE = re.compile(r"(embeddings|embed_tokens|relative_attention_bias)$")


@dataclass(frozen=True)
class PretrainedFolder:
    """A folder with an encoder that can be loaded.

    Attributes
    ----------
    path : Path
    digest : str
        Of config, weights and tokenizer.
    config : dict
        Content of ``config.json``.
    weights : tuple of str
        Names of the files that hold them.
    """

    path: Path
    digest: str
    config: dict[str, Any]
    weights: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What transformers calls the architecture."""
        return self.config["model_type"]

    @property
    def tokenizer(self) -> Path:
        """File of the tokenizer."""
        return self.path / TOKENIZER

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.config.get("hidden_size", self.config.get("dim", 0)))

    @property
    def layers(self) -> int:
        """Blocks that a text passes."""
        return int(self.config.get("num_hidden_layers", self.config.get("n_layers", 1)))

    @property
    def repeats(self) -> int:
        """Times that a text passes each map: blocks may share their weights."""
        shared = "num_hidden_groups" in self.config
        return self.layers // max(1, int(self.config["num_hidden_groups"])) if shared else 1

    @property
    def most_tokens(self) -> int | None:
        """Positions that it knows; None where nothing is said of them."""
        most = self.config.get("max_position_embeddings")
        if not isinstance(most, int):
            return None
        return (
            most - int(self.config.get("pad_token_id", 1)) - 1
            if self.kind in COUNTED_AFTER_PAD
            else most
        )

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the encoder's own weights by name; heads on top of it are left out.

        Raises
        ------
        DataError
            With code ``damaged``.
        """
        every = {n: s for file in self.weights for n, s in _shapes(self.path / file).items()}
        tables = [name.find("embed") for name in every if "embed" in name]
        first = min(tables, default=0)
        root = next((n[:first] for n in every if n.find("embed") == first), "")
        return {
            name.removeprefix(root): shape for name, shape in every.items()
            if name.startswith(root) and not name.removeprefix(root).startswith("pooler.")
        }  # fmt: skip

    @property
    def parameters(self) -> int:
        """Weights of the encoder."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def maps(self) -> dict[str, tuple[int, ...]]:
        """Linear maps by name, (out, in)."""
        named = {n.removesuffix(".weight"): s for n, s in self.shapes.items() if len(s) == 2}
        return {name: shape for name, shape in named.items() if not _TABLE.search(name)}


def open_folder(path: Path) -> PretrainedFolder:
    """Look into a folder.

    Raises
    ------
    DataError
        With code ``no_model`` where there is none, ``pickled`` where its weights are, ``remote``
        for code of its own, ``architecture`` for what is no encoder, ``no_tokenizer``,
        ``vocabulary`` for a tokenizer that does not fit the embedding, ``damaged``.
    """
    config = _config(path)
    _check_architecture(path, config)
    weights = _weight_files(path)
    if not (path / TOKENIZER).is_file():
        raise DataError(f"{path}: {TOKENIZER} is missing; save the tokenizer with "
                        "AutoTokenizer.from_pretrained(...).save_pretrained there",
                        "no_tokenizer")  # fmt: skip
    _check_vocabulary(path, config)
    files = [path / name for name in sorted({CONFIG, TOKENIZER, *weights})]
    result = PretrainedFolder(path, content_digest(path, files), config, weights)
    _ = result.shapes
    return result


def inspect_folder(of: str, base_folder: Path) -> PretrainedFolder:
    """The folder that a spec names, seen from another one.

    Raises
    ------
    DataError
        As `open_folder`.
    """
    return open_folder(base_folder / of)


def find_folder(of: str, digest: str, base_folder: Path = Path()) -> PretrainedFolder:
    """The folder of a digest: the one that is named, or where it was seen last.

    Raises
    ------
    DataError
        As `trueness.text.foreign.located`.
    """
    return located(of, digest, lambda place: inspect_folder(place, base_folder))


# ------------------------------------------------------------------------------------- inspection


def _config(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; give one of a model that transformers saved",
                        "no_model")  # fmt: skip
    if not (path / CONFIG).is_file():
        raise DataError(f"{path}: {CONFIG} is missing, so it is no model; give a folder that "
                        "save_pretrained of transformers wrote", "no_model")  # fmt: skip
    try:
        content = foreign_json(path / CONFIG)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path / CONFIG} cannot be read ({first_line(error)})", "no_model"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise DataError(f"{path / CONFIG} names no model_type, so it is no model of transformers",
                        "no_model")  # fmt: skip
    return content


def _check_architecture(path: Path, config: dict[str, Any]) -> None:
    """Refuse what brings code, or is no encoder whose vectors can be pooled."""
    if "auto_map" in config:
        raise DataError(f"{path / CONFIG} has auto_map: the model runs code of its own, which is "
                        "never loaded; take auto_map out if transformers has its class",
                        "remote")  # fmt: skip
    if (path / "adapter_config.json").exists():
        raise DataError(f"{path} holds adapters of peft, no whole model; merge them first "
                        "(merge_and_unload)", "no_model")  # fmt: skip
    kind, why = config["model_type"], ""
    if config.get("is_encoder_decoder"):
        why = "is an encoder and a decoder"
    elif config.get("is_decoder"):
        why = "is a decoder, whose tokens see only what stands before them"
    elif kind not in ENCODERS:
        why = "is no encoder that is taken here"
    elif "quantization_config" in config:
        why = "is quantised; save it in float32, float16 or bfloat16"
    if why:
        raise DataError(f"{path}: model_type {kind} {why}; taken are {', '.join(ENCODERS)}",
                        "architecture")  # fmt: skip
    if not all(isinstance(config.get(name, 1), int) for name in ("vocab_size", "hidden_size")):
        raise DataError(
            f"{path / CONFIG}: vocab_size and hidden_size are whole numbers", "no_model"
        )


def _weight_files(path: Path) -> tuple[str, ...]:
    """Files of the weights, as transformers would choose them."""
    if (path / WEIGHTS).is_file():
        return (WEIGHTS,)
    if (path / INDEX).is_file():
        return _shards(path)
    if pickled := sorted(one.name for one in path.iterdir() if one.suffix in _FOREIGN):
        raise DataError(f"{path}: weights are in {pickled[0]}, which may run code when it is read; "
                        "save them as safetensors", "pickled")  # fmt: skip
    raise DataError(f"{path}: {WEIGHTS} is missing", "no_model")


def _shards(path: Path) -> tuple[str, ...]:
    try:
        names = set(foreign_json(path / INDEX)["weight_map"].values())
        if not all(Path(n).name == n and n.endswith(".safetensors") for n in names) or not names:
            raise ValueError("a shard is no .safetensors file of the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path / INDEX} cannot be read ({first_line(error)})", "damaged") from None
    if lost := sorted(name for name in names if not (path / name).is_file()):
        raise DataError(f"{path}: {lost[0]} is missing, which {INDEX} names", "damaged")
    return tuple(sorted(names))


def _check_vocabulary(path: Path, config: dict[str, Any]) -> None:
    """Refuse a tokenizer of another vocabulary than the embedding has rows."""
    try:
        tokens = vocabulary_of(load_tokenizer(path / TOKENIZER))
    except DataError as error:
        raise DataError(str(error), "no_tokenizer") from None
    rows = config.get("vocab_size")
    if rows is None:
        raise DataError(f"{path / CONFIG} has no vocab_size", "no_model")
    spare = max(_SPARE, int(_SPARE_SHARE * rows))
    if not rows - spare <= tokens <= rows:
        raise DataError(f"{path}: the tokenizer has {tokens:,} tokens, the embedding {rows:,} "
                        "rows; they belong to different models", "vocabulary")  # fmt: skip


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a safetensors file, by its header alone."""
    try:
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            if size > _LONGEST_HEADER:
                raise ValueError("its header has no end")
            header = json.loads(opened.read(size))
        header.pop("__metadata__", None)
        ends = max(one["data_offsets"][1] for one in header.values())
        if file.stat().st_size != 8 + size + ends:
            raise ValueError("it is not whole")
        return {name: tuple(one["shape"]) for name, one in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no safetensors file ({first_line(error)})", "damaged") from None
