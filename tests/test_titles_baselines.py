"""The baselines for titles: features and solver against scikit-learn, what chooses, what must not."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from scipy.special import log_softmax, logsumexp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from trueness.baselines import TITLES_BASELINES, fit_titles_baseline, ngrams, titles
from trueness.baselines.forms import TITLES_FORMS
from trueness.baselines.linear import LinearScores
from trueness.errors import TruenessError
from trueness.spec.titles import TitlesSpec

WORDS = {
    "shoe": ["sneaker", "sandale", "stiefel", "läufer", "leder"],
    "book": ["roman", "author", "paperback", "seiten", "history"],
    "ring": ["gold", "silver", "diamant", "ring", "karat"],
}
NOISE = ["new", "the", "und", "für", "top", "sale", "red", "blau", "x", "no"]
CLASSES = tuple(sorted(WORDS))


@pytest.fixture(scope="module", autouse=True)
def _small_buckets():
    """Fewer buckets and penalties: the same steps in a fraction of the time."""
    patch = pytest.MonkeyPatch()
    patch.setattr(ngrams, "NGRAMS", tuple({**kind, "n_features": 2**14} for kind in ngrams.NGRAMS))
    patch.setattr(titles, "PENALTIES", (1e-6, 1e-5))
    yield
    patch.undo()


def _part(rng, n):
    y = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    texts = [
        " ".join(
            [*rng.choice(NOISE, 3), *rng.choice(WORDS[CLASSES[c if rng.random() < 0.85 else 0]], 1)]
        )
        for c in y
    ]
    return SimpleNamespace(texts=pl.Series(texts), y=y, language=rng.choice(["en", "de"], n))


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    sizes = {"train": 600, "validation": 200, "test": 200}
    parts = {name: _part(rng, n) for name, n in sizes.items()}
    return SimpleNamespace(classes=CLASSES, part=parts.__getitem__, parts=parts)


def _spec(kind):
    return TitlesSpec.model_validate({"task": {"kind": "titles", "corpus": "x"}, "model": kind})


def _macro_f1(y, predicted, language):
    assert len(y) == len(predicted) == len(language)
    return f1_score(y, predicted, labels=range(3), average="macro", zero_division=0)


@pytest.mark.parametrize("kind", TITLES_BASELINES)
def test_every_baseline_repeats_and_scores_both_parts(corpus, kind):
    one, two = (fit_titles_baseline(_spec(kind), corpus, _macro_f1) for _ in range(2))
    assert list(one.logits) == ["validation", "test"]
    assert one.chosen == two.chosen
    for name, logits in one.logits.items():
        assert logits.shape == (len(corpus.parts[name].y), 3)
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(logits, two.logits[name])


def test_the_majority_is_the_smoothed_share_of_training_texts(corpus):
    fit = fit_titles_baseline(_spec("majority"), corpus, _macro_f1)
    count = np.bincount(corpus.parts["train"].y)
    np.testing.assert_allclose(np.exp(fit.logits["test"][7]), (count + 1) / (600 + 3), rtol=1e-5)
    assert fit.chosen == CLASSES[count.argmax()]


@pytest.mark.parametrize("kind", ["tfidf_logit", "tfidf_svm"])
def test_words_are_learnt_and_probabilities_fit_validation(corpus, kind):
    fit = fit_titles_baseline(_spec(kind), corpus, _macro_f1)
    y, logits = corpus.parts["test"].y, fit.logits["test"]
    assert _macro_f1(y, logits.argmax(axis=1), y) > 0.75
    y, logits = corpus.parts["validation"].y, fit.logits["validation"].astype(float)

    def cost(log_t):
        return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(y)), y].mean()

    assert minimize_scalar(cost, bounds=(-3, 3), method="bounded").x == pytest.approx(0, abs=0.01)


def test_the_penalty_is_the_one_that_scores_best(corpus):
    note = iter([0.4, 0.9])
    fit = fit_titles_baseline(_spec("tfidf_svm"), corpus, lambda *_: next(note))
    assert fit.chosen.startswith("penalty 1e-05")
    note = iter([0.9, 0.4])
    fit = fit_titles_baseline(_spec("tfidf_svm"), corpus, lambda *_: next(note))
    assert fit.chosen.startswith("penalty 1e-06")


def test_test_labels_change_nothing(corpus):
    fit = fit_titles_baseline(_spec("tfidf_logit"), corpus, _macro_f1)
    other = {**corpus.parts, "test": SimpleNamespace(**vars(corpus.parts["test"]))}
    other["test"].y = 2 - other["test"].y
    changed = SimpleNamespace(classes=CLASSES, part=other.__getitem__)
    again = fit_titles_baseline(_spec("tfidf_logit"), changed, _macro_f1)
    np.testing.assert_array_equal(fit.logits["test"], again.logits["test"])


def test_features_are_those_of_scikit_learn_but_for_the_buckets(corpus, monkeypatch):
    """With room enough no two n-grams share a bucket: then products of rows are the same."""
    monkeypatch.setattr(ngrams, "NGRAMS", tuple({**k, "n_features": 2**22} for k in ngrams.NGRAMS))
    texts = corpus.parts["train"].texts
    vectorizer, x = ngrams.Vectorizer.fitted(texts)
    assert (vectorizer.transform(texts) != x).nnz == 0
    expected = 0.0
    for kind in ngrams.NGRAMS:
        options = {k: v for k, v in kind.items() if k != "n_features"}
        options["ngram_range"] = tuple(options["ngram_range"])
        exact = TfidfVectorizer(sublinear_tf=True, **options).fit_transform(texts.to_list())
        expected = expected + (exact @ exact.T).toarray()
    np.testing.assert_allclose((x @ x.T).toarray(), expected, atol=2e-3)


def test_long_texts_are_read_to_a_stated_length_and_empty_ones_have_no_features():
    long = "a b " * ngrams.MAX_CHARACTERS
    vectorizer, cut = ngrams.Vectorizer.fitted(pl.Series([long[: ngrams.MAX_CHARACTERS]]))
    whole, empty = (vectorizer.transform(pl.Series([text])) for text in (long, ""))
    np.testing.assert_array_equal(cut.toarray(), whole.toarray())
    assert empty.nnz == 0


@pytest.mark.parametrize("kind", TITLES_BASELINES)
def test_weights_that_are_kept_score_as_the_fit_did(corpus, kind):
    fit = fit_titles_baseline(_spec(kind), corpus, _macro_f1)
    fitted = fit.fitted()
    settings, files = fitted.kept()
    again = TITLES_FORMS[fitted.form].opened(json.loads(json.dumps(settings)), files)
    for name, logits in fit.logits.items():
        texts = corpus.parts[name].texts
        np.testing.assert_allclose(fitted.logits(texts), logits, atol=1e-5)
        np.testing.assert_array_equal(again.logits(texts), fitted.logits(texts))
    assert again.logits(pl.Series(["", "never seen before"])).shape == (2, 3)


def test_weights_that_nobody_could_load_are_refused():
    x, y = _rows()
    model = LinearScores(x, y, 4, [x], loss="softmax", seed=0)
    with pytest.raises(TruenessError) as caught:
        model.coefficients(1e-6, most_bytes=100)
    assert caught.value.code == "too_large"


def _rows(n=3000, m=40, k=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, m)) * (rng.random((n, m)) < 0.2)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    y = (6 * x @ rng.normal(size=(m, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return csr_array(x.astype(np.float32)), y


def _costs(x, y, weights, bias, penalty):
    """Mean log loss and mean squared hinge loss, each with the penalty."""
    score = np.asarray(x @ weights + bias, float)
    side = 2 * np.eye(score.shape[1])[y] - 1
    shrunk = penalty / 2 * float((weights**2).sum())
    softmax = (logsumexp(score, axis=1) - score[np.arange(len(y)), y]).mean()
    hinge = (np.maximum(0, 1 - side * score) ** 2).sum(axis=1).mean()
    return softmax + shrunk, hinge + shrunk


def test_the_solver_comes_close_to_the_minimum_of_scikit_learn():
    """Five passes of stochastic steps: within two percent of the optimum of the same objective."""
    (x, y), penalty = _rows(), 1e-4
    n = len(y)
    exact = LogisticRegression(C=1 / (penalty * n), max_iter=5000, tol=1e-8).fit(x, y)
    ours = _weights(x, y, penalty, "softmax")
    best = _costs(x, y, exact.coef_.T, exact.intercept_, penalty)[0]
    assert _costs(x, y, *ours, penalty)[0] <= 1.02 * best
    exact = LinearSVC(C=1 / (penalty * n), intercept_scaling=10, max_iter=20000).fit(x, y)
    ours = _weights(x, y, penalty, "squared_hinge")
    best = _costs(x, y, exact.coef_.T, exact.intercept_, penalty)[1]
    assert _costs(x, y, *ours, penalty)[1] <= 1.02 * best


def _weights(x, y, penalty, loss):
    """Weights and intercepts, from the scores of unit rows and of an empty one."""
    unit = csr_array(np.vstack([np.zeros(x.shape[1]), np.eye(x.shape[1])]).astype(np.float32))
    (scores,) = LinearScores(x, y, 4, [unit], loss=loss, seed=0).fit(penalty)
    return scores[1:] - scores[0], scores[0]


@pytest.mark.parametrize("most_bytes", [0, 200, 10_000])
def test_classes_fitted_some_at_a_time_have_the_scores_of_all_at_once(most_bytes):
    x, y = _rows()
    whole, portions = (
        LinearScores(x, y, 4, [x], loss="squared_hinge", seed=1, **how)
        for how in ({}, {"most_bytes": most_bytes})
    )
    assert portions.at_once < whole.at_once or most_bytes == 10_000
    assert (portions.kept, whole.kept) == (whole.features, whole.features)
    np.testing.assert_allclose(portions.fit(1e-4)[0], whole.fit(1e-4)[0], atol=1e-4)  # fastmath


def test_a_log_loss_of_many_classes_sees_the_most_frequent_features():
    x, y = _rows()
    rows = np.diff(x.tocsc().indptr)
    few = LinearScores(x, y, 4, [x], loss="softmax", seed=1, most_bytes=4 * 4 * 5)
    assert (few.kept, few.features) == (5, int((rows > 0).sum()))
    best = np.sort(np.argsort(-rows, kind="stable")[:5])
    alone = LinearScores(
        csr_array(x[:, best]), y, 4, [csr_array(x[:, best])], loss="softmax", seed=1
    )
    np.testing.assert_array_equal(few.fit(1e-4)[0], alone.fit(1e-4)[0])


def test_an_encoder_is_no_baseline(corpus):
    with pytest.raises(TruenessError, match="a encoder is no baseline; majority, tfidf_logit"):
        fit_titles_baseline(_spec("encoder"), corpus, _macro_f1)
