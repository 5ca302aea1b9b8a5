"""Static vectors: read as their makers read them, refused when damaged, fitted to the optimum."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from trueness.baselines.dense import DenseLinear, column_scales
from trueness.baselines.vectors import VectorClassifier, scores_of
from trueness.errors import TruenessError
from trueness.spec.titles import TitlesSpec
from trueness.text.corpus import Titles
from trueness.text.static.arrays import ArrayVectors
from trueness.text.static.opening import inspect_vectors, open_vectors
from trueness.text.static.tokens import TokenVectors

TEXTS = pl.Series(["Slim fit cotton shirt, navy", "Damen Laufschuhe Gr. 39", "", "犬用 首輪",
                   "ça 🤖", "red red blue", "nothing that anybody knows"])  # fmt: skip


def refused(code, work):
    with pytest.raises(TruenessError) as caught:
        work()
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    return str(caught.value)


def titles(ids, texts=None):
    n = len(ids)
    texts = pl.Series([f"text {i}" for i in range(n)]) if texts is None else texts
    return Titles(
        pl.Series(ids), texts, np.zeros(n, np.int64), np.full(n, "en"), np.ones(n), np.arange(n)
    )


# ------------------------------------------------------------------------------------- wordllama


def test_wordllama_is_read_as_its_package_reads_it(monkeypatch, tmp_path):
    """Its own pooling, on its own files; its own loader asks the network for the tokenizer."""
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path))
    assert "wordllama" not in sys.modules
    ours = open_vectors("wordllama", Path())
    actual = ours.encode(TEXTS, 4096)
    assert "wordllama" not in sys.modules, "reading it must not import it"
    import wordllama
    from wordllama.inference import WordLlamaInference

    folder = Path(wordllama.__file__).parent
    matrix = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"]
    words = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    expected = WordLlamaInference(matrix, words).embed(TEXTS.to_list())
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert np.abs(actual).max() > 0.5
    assert not actual[2].any()
    kept = ours.of_titles(titles(list("abcdefg"), TEXTS), 4096)
    assert isinstance(kept, np.memmap)
    np.testing.assert_array_equal(kept, actual)


def test_what_a_bundle_keeps_gives_the_same_vectors():
    ours = open_vectors("wordllama", Path())
    again = TokenVectors.opened(*ours.kept())
    assert again.matrix.dtype == np.float16
    np.testing.assert_array_equal(again.encode(TEXTS, 64), ours.encode(TEXTS, 64))
    short = ours.encode(TEXTS, 2)
    assert not np.allclose(short[0], ours.encode(TEXTS, 64)[0])


def test_wordllama_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "trueness[vectors]" in refused(
        "own_missing", lambda: inspect_vectors("wordllama", Path())
    )


# ------------------------------------------------------------------------------------- model2vec


def words_of(vocabulary, unknown="[UNK]"):
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def model2vec_folder(folder, *, weights=None, mapping=None, normalize=True, values=None):
    from model2vec import StaticModel

    vocabulary = {
        w: i for i, w in enumerate(["[UNK]", "red", "blue", "cotton", "shirt", ",", "39"])
    }
    rows = len(vocabulary) if mapping is None else int(max(mapping)) + 1
    values = (
        np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
        if values is None
        else values
    )
    made = StaticModel(
        values,
        words_of(vocabulary),
        {},
        normalize=normalize,
        weights=weights,
        token_mapping=mapping,
    )
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pruned", [True, False])
def test_a_folder_of_model2vec_is_read_as_model2vec_reads_it(tmp_path, normalize, pruned):
    """Unknown words are left out of the mean; token weights and mappings count."""
    more = {"weights": np.linspace(0.1, 2, 7).astype(np.float32),
            "mapping": np.array([0, 1, 2, 2, 3, 1, 0])} if pruned else {}  # fmt: skip
    theirs = model2vec_folder(tmp_path / "m", normalize=normalize, **more)
    ours = open_vectors("m", tmp_path)
    assert ours.digest.startswith("model2vec ")
    np.testing.assert_allclose(ours.encode(TEXTS, 64), theirs.encode(TEXTS.to_list()), atol=1e-6)


def _without(name):
    return lambda folder: (folder / name).unlink()


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _of_transformers(folder):
    save_file({"encoder.weight": np.ones((2, 2), np.float32)}, folder / "model.safetensors")


def _tensor(**changes):
    def change(folder):
        tensors = load_file(folder / "model.safetensors")
        save_file(
            {**tensors, **{n: f(tensors["embeddings"]) for n, f in changes.items()}},
            folder / "model.safetensors",
        )

    return change


def _spoilt(values):
    made = values.copy()
    made[[1, 3], 2] = np.nan
    return made


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (_without("tokenizer.json"), "no_vectors", "tokenizer.json"),
        (_without("config.json"), "no_vectors", "config.json"),
        (_pickled, "no_vectors", "model.safetensors"),
        (_of_transformers, "no_vectors", "embeddings"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "no_vectors", "safetensors"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "no_vectors", "model2vec"),
        (lambda f: (f / "config.json").write_text("["), "no_vectors", "model2vec"),
        (_tensor(embeddings=_spoilt), "vectors", "2 vectors"),
        (_tensor(embeddings=lambda v: v[:4]), "vectors", "7 tokens and 4 vectors"),
        (_tensor(embeddings=lambda v: v[:, 0].copy()), "vectors", "(7,)"),
        (_tensor(mapping=lambda v: np.array([99] * 7)), "no_vectors", "99"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_model_is_refused_in_one_line(tmp_path, damage, code, message):
    model2vec_folder(tmp_path / "m")
    damage(tmp_path / "m")
    assert message in refused(code, lambda: open_vectors("m", tmp_path))


# -------------------------------------------------------------------------------------- fastText

VEC = "4 3\nred 1 0 0\nblue 0 1 0\nRot 0 0 1\nred 9 9 9\n"


def vec(folder, content=VEC):
    (folder / "a.vec").write_text(content)
    return open_vectors("a.vec", folder)


def test_words_of_a_vec_file_are_averaged_unknown_ones_left_out(tmp_path):
    ours = vec(tmp_path)
    actual = ours.encode(pl.Series(["red blue", "Rot unknown", "RED", "red, red! blue", ""]), 64)
    expected = [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0], [2 / 3, 1 / 3, 0], [0, 0, 0]]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    small = vec(tmp_path, VEC.replace("Rot", "rot"))
    np.testing.assert_allclose(small.encode(pl.Series(["RED Rot"]), 64), [[0.5, 0, 0.5]])
    assert small.digest != ours.digest
    np.testing.assert_array_equal(
        TokenVectors.opened(*ours.kept()).encode(TEXTS, 9), ours.encode(TEXTS, 9)
    )


def test_only_the_first_words_are_read_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("trueness.text.static.words.MOST_WORDS", 2)
    ours = vec(tmp_path)
    assert len(ours.matrix) == 4  # two words, the unknown one, none
    refused("vectors", lambda: vec(tmp_path, VEC + "more 1 2 3\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "first line"), ("red 1 0 0\n", "first line"), ("0 3\n", "0 words"),
        (VEC.replace("blue 0 1 0", "blue 0 1"), "line 3"),
        (VEC.replace("blue 0 1 0", "blue 0 1 0 7"), None),
        (VEC.replace("blue 0 1 0", "blue 0 nan 0"), "line 3"),
        (VEC.replace("blue 0 1 0", "blue 0 inf 0"), "line 3"),
        (VEC.replace("blue 0 1 0", "blue 0 x 0"), "line 3"),
        (VEC.replace("4 3", "5 3"), "4 words"), (VEC.replace("4 3", "3 3"), "4 words"),
    ],
)  # fmt: skip
def test_a_vec_file_that_is_ragged_is_refused_with_its_line(tmp_path, content, message):
    if message is None:  # a word may hold a space; the values are the last ones
        assert vec(tmp_path, content).width == 3
        return
    assert message in refused("vectors", lambda: vec(tmp_path, content))


# ------------------------------------------------------------------------------------------ by id


def array_vectors(folder, values, ids):
    np.save(folder / "t.npy", values)
    (folder / "t.ids.txt").write_text("".join(f"{one}\n" for one in ids))
    return open_vectors("t.npy", folder)


def test_vectors_are_taken_by_the_ids_of_the_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    ours = array_vectors(tmp_path, np.arange(8.0).reshape(4, 2), ["d", "c", "b", "a"])
    assert isinstance(ours, ArrayVectors)
    np.testing.assert_array_equal(
        ours.of_titles(titles(["a", "d", "b"]), 5), [[6, 7], [0, 1], [4, 5]]
    )
    note = refused("vector_ids", lambda: ours.of_titles(titles(["a", "x", "b", "y"]), 5))
    assert "2 of 4" in note
    assert "'x'" in note


NAN = np.array([[0, 1], [np.nan, 1], [0, np.inf]])


@pytest.mark.parametrize(
    ("values", "ids", "code", "message"),
    [
        (np.ones((3, 2)), "aba", "vector_ids", "2 lines"), (np.ones((3, 2)), "ab", "vectors", "2 ids for 3"),
        (np.ones(3), "abc", "vectors", "(3,)"), (np.ones((3, 2), int), "abc", "vectors", "int64"),
        (np.ones((0, 2)), "", "vectors", "(0, 2)"), (NAN, "abc", "vectors", "2 vectors hold"),
        (np.array([[{}]]), "a", "no_vectors", "no array"),
    ],
)  # fmt: skip
def test_an_array_that_does_not_fit_its_ids_is_refused(tmp_path, values, ids, code, message):
    assert message in refused(code, lambda: array_vectors(tmp_path, values, ids))


def test_what_is_no_vectors_at_all_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    np.save(tmp_path / "alone.npy", np.ones((2, 2)))
    for of in ("nowhere", "a.txt", "b.vec", "b.npy", "alone.npy"):
        refused("no_vectors", lambda of=of: open_vectors(of, tmp_path))


def test_a_digest_is_of_the_content_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x").mkdir()
    (tmp_path / "a.vec").write_text(VEC)
    (tmp_path / "x" / "a.vec").write_text(VEC)
    known = inspect_vectors("a.vec", tmp_path).digest
    assert (
        inspect_vectors("x/a.vec", tmp_path).digest
        == known
        == open_vectors("x/a.vec", tmp_path, known).digest
    )
    assert open_vectors("gone.vec", tmp_path, known).digest == known
    (tmp_path / "x" / "a.vec").write_text(VEC.replace("1", "2"))
    assert open_vectors("x/a.vec", tmp_path, known).digest == known, "the other file is there"
    (tmp_path / "a.vec").unlink()
    refused("no_files", lambda: open_vectors("gone.vec", tmp_path, "fasttext 0123456789ab"))
    refused("other_files", lambda: open_vectors("x/a.vec", tmp_path, known))


# -------------------------------------------------------------------------------------- linear heads


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 12))
    y = rng.integers(0, 4, 900)
    x = (centres[y] + 2 * rng.normal(size=(900, 12))) * np.linspace(0.01, 5, 12) + 3
    return x.astype(np.float32), y


@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
def test_the_softmax_head_is_the_logistic_regression_of_scikit_learn(problem, penalty):
    from sklearn.linear_model import LogisticRegression

    x, y = problem
    mean, scale = column_scales(x)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale, x.std(0), rtol=1e-4)
    theirs = LogisticRegression(C=1 / (penalty * len(y)), tol=1e-8, max_iter=1000)
    theirs.fit((x.astype(float) - x.mean(0)) / x.std(0), y)
    expected = theirs.decision_function((x.astype(float) - x.mean(0)) / x.std(0))
    scores = scores_of((DenseLinear(x, y, 4, "softmax").fit(penalty),), x)
    centred = [one - one.mean(1, keepdims=True) for one in (scores, expected)]
    np.testing.assert_allclose(*centred, atol=0.03)
    assert (scores.argmax(1) == expected.argmax(1)).mean() > 0.99


def test_the_hinge_head_is_the_linear_machine_of_scikit_learn(problem):
    from sklearn.svm import LinearSVC

    x, y = problem
    z = (x.astype(float) - x.mean(0)) / x.std(0)
    theirs = LinearSVC(C=1 / (0.02 * len(y)), intercept_scaling=100, tol=1e-8, max_iter=100_000)
    scores = scores_of((DenseLinear(x, y, 4, "squared_hinge").fit(0.02),), x)
    expected = theirs.fit(z, y).decision_function(z)
    assert np.corrcoef(scores.ravel(), expected.ravel())[0, 1] > 0.999
    assert (scores.argmax(1) == expected.argmax(1)).mean() > 0.98


def test_portions_of_rows_change_nothing(problem, monkeypatch):
    x, y = problem
    whole = DenseLinear(x, y, 4, "softmax").fit(1e-2)
    monkeypatch.setattr("trueness.baselines.dense._PORTION", 100)
    for a, b in zip(whole, DenseLinear(x, y, 4, "softmax").fit(1e-2), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-2)


def test_a_kept_head_answers_as_before():
    ours = open_vectors("wordllama", Path())
    rng = np.random.default_rng(0)
    layers = tuple((rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32))
                   for s in ((256, 7), (7, 3)))  # fmt: skip
    made = VectorClassifier(ours, layers, 16, 2.0)
    again = VectorClassifier.opened(*made.kept())
    np.testing.assert_array_equal(again.logits(TEXTS), made.logits(TEXTS))
    x = ours.encode(TEXTS, 16)
    by_hand = (np.maximum(x @ layers[0][0] + layers[0][1], 0) @ layers[1][0] + layers[1][1]) / 2
    np.testing.assert_allclose(made.logits(TEXTS), by_hand, rtol=1e-4, atol=1e-4)


# ----------------------------------------------------------------------------------------- specs


def spec(**model):
    return TitlesSpec.model_validate(
        {"task": {"kind": "titles", "corpus": "abc"}, "model": {"kind": "vectors", **model}}
    )


def test_the_key_holds_what_the_vectors_are_not_where_they_lie():
    here, there = spec(of="a/x.vec", digest="fasttext 1"), spec(of="/b/y.vec", digest="fasttext 1")
    assert here.key == there.key != spec(of="a/x.vec", digest="fasttext 2").key
    assert here.stored().model.of == "a/x.vec"
    stored = json.loads(json.dumps(here.stored().model_dump(mode="json")))
    assert TitlesSpec.model_validate(stored).key == here.key


def test_only_wordllama_under_the_default_head_is_a_baseline():
    known = "wordllama 1"
    assert spec(digest=known).is_baseline
    for other in (spec(digest="fasttext 1"), spec(digest=known, head="network"),
                  spec(digest=known, head={"kind": "linear", "loss": "squared_hinge"})):  # fmt: skip
        assert not other.is_baseline


def test_a_network_head_reads_recipe_and_seed_a_linear_one_neither():
    for head, read in (("linear", False), ("network", True)):
        base = spec(digest="x", head=head)
        content = base.model_dump(mode="json")
        for change in ({"seed": 7}, {"recipe": {**content["recipe"], "epochs": 3}},
                       {"loss": {"class_weights": {"kind": "balanced"}}}):  # fmt: skip
            assert (TitlesSpec.model_validate({**content, **change}).key != base.key) == read
        longer = {**content, "task": {**content["task"], "max_tokens": 9}}
        assert TitlesSpec.model_validate(longer).key != base.key
        other = {
            **content,
            "task": {**content["task"], "tokenizer": {"kind": "bpe", "vocabulary": 999}},
        }
        assert TitlesSpec.model_validate(other).key == base.key
    assert spec(head="network").recipe.epochs == 50


def test_numbers_too_large_for_32_bits_are_refused_without_a_warning(tmp_path, recwarn):
    np.save(tmp_path / "big.npy", np.array([[1.0, 2.0], [1e300, 0.0]]))
    (tmp_path / "big.ids.txt").write_text("a\nb\n")
    (tmp_path / "big.vec").write_text("2 2\nfoo 1e39 1\nbar 1 2\n")
    for name in ("big.npy", "big.vec"):
        with pytest.raises(TruenessError) as error:
            open_vectors(name, tmp_path)
        assert error.value.code == "vectors"
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]
