"""Vectors by what a spec calls them: ``wordllama``, a folder of model2vec, ``.vec``, ``.npy``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from trueness.errors import DataError, first_line
from trueness.files import foreign_json
from trueness.own import check_installed, translate_errors
from trueness.text.foreign import content_digest, located
from trueness.text.static.arrays import ArrayVectors, ids_file_of, read_array_vectors
from trueness.text.static.tokens import TokenVectors, read_text, unknown_of
from trueness.text.static.words import read_words

Vectors: TypeAlias = TokenVectors | ArrayVectors
WORDLLAMA = "wordllama"
_WEIGHTS, _WORDS = "model.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class _Form:
    """How vectors of one kind are read.

    Attributes
    ----------
    files : callable
        Path to the files that its digest is of.
    read : callable
        Path and digest to vectors.
    """

    files: Callable[[Path], list[Path]]
    read: Callable[[Path, str], Vectors]


@dataclass(frozen=True)
class VectorFiles:
    """Vectors that were looked into, but not read.

    Attributes
    ----------
    form : str
    path : Path
    digest : str
        Form and digest of the content, ``"fasttext 0f3a..."``; the same wherever it lies.
    """

    form: str
    path: Path
    digest: str


def inspect_vectors(of: str, base_folder: Path) -> VectorFiles:
    """Vectors that a spec names.

    Parameters
    ----------
    of : str
        ``wordllama``, or a path, seen from `base_folder`.
    base_folder : Path

    Raises
    ------
    DataError
        With code ``no_vectors``.
    SpecError
        With code ``own_missing`` if wordllama is not installed.
    """
    name, path = _resolve(of, base_folder)
    try:
        digest = content_digest(path, _FORMS[name].files(path))
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; {of} is no {name} model without it",
                        "no_vectors") from None  # fmt: skip
    return VectorFiles(name, path, f"{name} {digest}")


def open_vectors(of: str, base_folder: Path, digest: str | None = None) -> Vectors:
    """Read vectors; with `digest`, those and no others, wherever they were seen last.

    Raises
    ------
    DataError
        As `inspect_vectors`, or `trueness.text.foreign.located`; with code ``vectors`` or
        ``vector_ids`` if the content is damaged.
    SpecError
        With code ``own_missing``.
    """

    def inspect(place: str) -> VectorFiles:
        return inspect_vectors(place, base_folder)

    result = inspect(of) if digest is None else located(of, digest, inspect)
    return _FORMS[result.form].read(result.path, result.digest)


def has_wordllama() -> bool:
    """Whether the package is installed, with its vectors; it is not imported."""
    result = importlib.util.find_spec(WORDLLAMA)
    folders = () if result is None else result.submodule_search_locations or ()
    return any(all(map(Path.is_file, _files_of_wordllama(Path(one)))) for one in folders)


def _resolve(of: str, base_folder: Path) -> tuple[str, Path]:
    """Name of the form and path."""
    if of == WORDLLAMA:
        check_installed(WORDLLAMA)
        result: Any = importlib.util.find_spec(WORDLLAMA)
        return WORDLLAMA, Path(result.submodule_search_locations[0])
    path = base_folder / of
    if path.is_dir():
        return "model2vec", path
    names = {".vec": "fasttext", ".npy": "ids"}
    if path.suffix not in names:
        kinds = "a folder of model2vec, FILE.vec, or FILE.npy with FILE.ids.txt"
        raise DataError(f"{of}: no vectors there; give wordllama, {kinds}", "no_vectors")
    if not path.is_file():
        raise DataError(f"{of}: no such file", "no_vectors")
    return names[path.suffix], path


def _files_of_wordllama(package: Path) -> list[Path]:
    name = "l2_supercat"
    return [package / "weights" / f"{name}_256.safetensors",
            package / "tokenizers" / f"{name}_tokenizer_config.json"]  # fmt: skip


def _wordllama(package: Path, digest: str) -> TokenVectors:
    weights, tokenizer = _files_of_wordllama(package)
    matrix = _tensors(weights)["embedding.weight"]
    return TokenVectors.of(digest, read_text(tokenizer), matrix)


def _model2vec(folder: Path, digest: str) -> TokenVectors:
    """Tulkens and van Dongen, "Model2Vec: Fast State-of-the-Art Static Embeddings" (2024)."""
    tensors, tokenizer = _tensors(folder / _WEIGHTS), read_text(folder / _WORDS)
    if "embeddings" not in tensors:
        raise DataError(f"{folder}: no tensor `embeddings` in {_WEIGHTS}; it is no model of "
                        "model2vec", "no_vectors")  # fmt: skip
    with translate_errors(f"{folder}: no model of model2vec", "no_vectors"):
        normalize = bool(foreign_json(folder / "config.json").get("normalize"))
        matrix = tensors["embeddings"]
        matrix = matrix[tensors["mapping"]] if "mapping" in tensors else matrix
        if "weights" in tensors:
            matrix = matrix.astype(np.float32) * tensors["weights"].astype(np.float32)[:, None]
        return TokenVectors.of(digest, tokenizer, matrix, unknown_of(tokenizer), normalize)


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path}: no safetensors ({first_line(error)})", "no_vectors") from None


_FORMS = {
    WORDLLAMA: _Form(_files_of_wordllama, _wordllama),
    "model2vec": _Form(lambda at: [at / _WEIGHTS, at / _WORDS, at / "config.json"], _model2vec),
    "fasttext": _Form(lambda at: [at], read_words),
    "ids": _Form(lambda at: [at, ids_file_of(at)], read_array_vectors),
}
"""Every form by its name, which its digest begins with."""
