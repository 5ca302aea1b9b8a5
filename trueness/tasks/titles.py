"""Titles of products in many languages: one of K classes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, TruenessError
from trueness.files import cache_folder
from trueness.predictions import Predictions
from trueness.spec.titles import LinearBaseline, TitlesModel, TitlesSpec, Vectors
from trueness.spec.titles import TitlesTask as TitlesInputs
from trueness.tasks import Declaration, Refit
from trueness.text.corpus import PARTS, Corpus, Titles, load_corpus
from trueness.text.foreign import Digested, located
from trueness.text.language_model import language_model_of
from trueness.text.pretrained import inspect_folder
from trueness.text.static.opening import WORDLLAMA, has_wordllama, inspect_vectors

SYNTHETIC_ROWS = 60_000
"""Offers of the synthetic catalogue."""
_SYNTHETIC = re.compile(r"synthetic(?:-(\d+))?")
MEASURED = ("validation", "test")
LANGUAGES_FILE = "languages/model.npz"
"""Of a bundle."""
_INSPECTED: dict[str, Callable[[str, Path], Digested]] = {
    "vectors": inspect_vectors, "pretrained": inspect_folder,
}  # fmt: skip
"""Kinds of models that others trained -> what looks into their files."""


@dataclass(frozen=True)
class TitlesData:
    """A corpus, or only its name where nothing is computed from it.

    Attributes
    ----------
    corpus : Corpus or None
    name : str
        For people.
    source : str or list of str, optional
        Under which the corpus can be read again.
    """

    corpus: Corpus | None
    name: str
    source: str | list[str] | None = None

    @property
    def digest(self) -> str:
        """Of all values of all parts."""
        return "unknown" if self.corpus is None else self.corpus.digest

    def origin(self) -> dict[str, Any]:
        """What a record says of the data; `gate` of the detector, where most languages are its."""
        taken = {} if self.corpus is None else self.corpus.columns
        gate = None if self.corpus is None else self.corpus.gate
        return {"name": self.name, "source": self.source, "digest": self.digest,
                "columns": taken, "gate": gate}  # fmt: skip

    def kept_files(self, features: Sequence[str]) -> dict[str, bytes]:
        """What a bundle keeps of the corpus: how languages of new texts are told."""
        del features
        model = None if self.corpus is None else language_model_of(self.corpus)
        return {} if model is None else {LANGUAGES_FILE: model.to_bytes()}

    def in_words(self) -> str:
        """Name and digest."""
        return f"corpus {self.name}, {self.digest}"


@dataclass(frozen=True)
class AllTexts:
    """A corpus whose test texts are trained on as well, for a model that is used, not judged.

    The part ``test`` is that of validation.
    """

    corpus: Corpus
    when: ClassVar[None] = None
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def digest(self) -> str:
        """Of the corpus."""
        return self.corpus.digest

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, sorted."""
        return self.corpus.classes

    def part(self, name: str) -> Titles:
        """Texts of ``train`` (and test), or of ``validation``."""
        if name != "train":
            return self.corpus.part("validation")
        return Titles.joined([self.corpus.part(part) for part in ("train", "test")])

    def counts(self) -> list[dict[str, list[int]]]:
        """Texts of both parts."""
        return [{part: [len(self.part(part))] for part in ("train", "validation")}]


class TitlesTask:
    """See `trueness.tasks.Task`."""

    kind: ClassVar[str] = "titles"
    sources: ClassVar[dict[str, str]] = {"corpus": "data"}
    default: ClassVar[str] = "synthetic"
    tabular: ClassVar[bool] = False
    earlier: ClassVar[None] = None

    def load(
        self,
        sources: Mapping[str, Any],
        needed: bool = True,
        callback: Any = None,  # noqa: ANN401
    ) -> TitlesData:
        """Open the folder of a corpus, or build the synthetic one (``synthetic-30000``) once."""
        if callback is not None and not has_wordllama():
            callback.on_note("wordllama is not installed, so no baseline has vectors; "
                      "pip install 'trueness[vectors]'")  # fmt: skip
        source = sources.get("data") or self.default
        if isinstance(source, TitlesData):
            return source
        if not isinstance(source, str | Path):
            raise DataError("titles are read from the folder of a corpus; `trueness text build` "
                            "makes one of a table", "no_corpus")  # fmt: skip
        name, rows = Path(source).name, _SYNTHETIC.fullmatch(str(source))
        if rows is None or Path(source).is_dir():
            return TitlesData(load_corpus(source), name, str(source))
        size = int(rows[1] or SYNTHETIC_ROWS)
        if needed or _folder(size).exists():
            return TitlesData(synthetic_corpus(size, callback), name, str(source))
        return TitlesData(None, name, str(source))

    def filled(
        self, content: dict[str, Any], data: TitlesData, place: Declaration
    ) -> dict[str, Any]:
        """Digests of the corpus, and of the files of a model that others trained."""
        filled = {**content, "task": {**content["task"], "corpus": data.digest}}
        model: Any = content.get("model")
        model = {"kind": model} if isinstance(model, str) else model
        inspect = _INSPECTED.get(str(model.get("kind"))) if isinstance(model, dict) else None
        if inspect is None:
            return filled
        of = model.get("of", TitlesModel.kinds()[model["kind"]].model_fields["of"].default)
        if not isinstance(of, str) or not of:
            return filled  # the spec refuses it
        asked, base_folder = model.get("digest"), place.file.parent
        try:
            if asked is None:
                result = inspect(of, base_folder)
            else:
                result = located(of, str(asked), lambda at: inspect(at, base_folder))
        except TruenessError as error:
            name = "of" if asked is None else "digest"
            raise place.fail(("model", name), f"model.{name}: {error}", error.code) from None
        return {**filled, "model": {**model, "digest": result.digest}}

    def check(self, spec: TitlesSpec, data: Any, place: Declaration) -> None:  # noqa: ANN401
        """Nothing that validation does not see."""

    def baselines(self, spec: TitlesSpec) -> dict[str, TitlesSpec]:
        """Linear baselines on the same corpus; vectors of wordllama only where it is installed."""
        task = TitlesInputs(kind="titles", corpus=spec.task.corpus)
        kinds = get_args(LinearBaseline.model_fields["kind"].annotation)
        models: dict[str, LinearBaseline | Vectors]
        models = {kind: LinearBaseline(kind=kind) for kind in kinds}
        if has_wordllama():
            digest = inspect_vectors(WORDLLAMA, Path()).digest
            models[WORDLLAMA] = Vectors(kind="vectors", digest=digest)
        return {
            name: TitlesSpec(task=task, model=model, evaluation=spec.evaluation)
            for name, model in models.items()
        }

    def shape(self, spec: TitlesSpec, data: TitlesData) -> None:
        """Texts are no windows."""
        del spec, data

    def examples_key(self, spec: TitlesSpec) -> str:
        """All runs of a campaign read one corpus."""
        return spec.task.corpus

    def examples(self, spec: TitlesSpec, data: TitlesData) -> Corpus:
        """The corpus, whole and unchanged.

        Raises
        ------
        DataError
            If the spec is about another corpus, or the folder was changed since it was built.
        """
        corpus = data.corpus
        if corpus is None or spec.task.corpus != corpus.digest:
            raise DataError(
                f"the spec is about corpus {spec.task.corpus}, {data.name} is {data.digest}",
                "other_corpus",
            )
        corpus.verify()
        return corpus

    def refit(self, spec: TitlesSpec, data: TitlesData, share_pct: float) -> Refit:
        """Training and test texts; the validation part stops the training, as it did in the run."""
        del share_pct
        return Refit(AllTexts(self.examples(spec, data)))

    def counts(self, examples: Corpus) -> list[dict[str, dict[str, int]]]:
        """Texts of each part."""
        return [{part: {"n": len(examples.part(part))} for part in PARTS}]


def _folder(rows: int) -> Path:
    return cache_folder() / "titles" / f"synthetic-{rows}"


def synthetic_corpus(rows: int, callback: Any = None) -> Corpus:  # noqa: ANN401 - a callback
    """Synthetic catalogue of so many offers, from the cache or built now.

    Parameters
    ----------
    rows : int
    callback : Callback, optional
        Hears how far the building is.
    """
    from trueness.text.building import Plan, build
    from trueness.text.synthetic import Catalogue

    folder = _folder(rows)
    if folder.exists():
        with contextlib.suppress(DataError):
            return load_corpus(folder)
    return build(Catalogue(rows=rows), folder, Plan(validation=0.1, test=0.2), callback)


# ------------------------------------------------------------------------------------- predictions


def predictions_of(corpus: Corpus, logits: dict[str, NDArray[np.float32]]) -> Predictions:
    """One row per text of the validation and test parts; languages are the groups."""
    parts = [rows_of(corpus.part(part), part, logits[part]) for part in MEASURED]
    return Predictions(pl.concat(parts), classes=tuple(corpus.classes))


def rows_of(titles: Titles, part: str, logits: NDArray[np.float32]) -> pl.DataFrame:
    """One row per text of a part."""
    return pl.DataFrame({
        "split": pl.repeat(part, len(titles), eager=True),
        "fold": pl.repeat(0, len(titles), dtype=pl.Int16, eager=True),
        "id": titles.ids,
        "group": titles.language,
        "group_confidence": titles.confidence,
        "cluster": titles.cluster,
        "y": titles.y.astype(np.int16),
        "scores": pl.Series(logits, dtype=pl.Array(pl.Float32, logits.shape[1])),
    })  # fmt: skip


def training_facts(corpus: Corpus) -> dict[str, Any]:
    """Texts per class of the train part, and what the other parts share with it.

    Returns
    -------
    dict
        ``rows``; ``classes``, a count for each; ``shared``: part -> number of its texts whose id,
        cluster, or words (apart from case and spaces) stand in the train part as well.
    """
    train = corpus.part("train")
    known = {name: column.unique() for name, column in _columns(train).items()}
    shared = {
        part: {name: int(column.is_in(known[name].implode()).sum())
               for name, column in _columns(corpus.part(part)).items()}
        for part in MEASURED
    }  # fmt: skip
    classes = np.bincount(train.y, minlength=len(corpus.classes)).tolist()
    return {"rows": len(train), "classes": classes, "shared": shared}


def _columns(titles: Titles) -> dict[str, pl.Series]:
    words = titles.texts.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return {"ids": titles.ids, "clusters": pl.Series(titles.cluster), "texts": words}
