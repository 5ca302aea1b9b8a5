"""Runs on static vectors: declared, checked before they start, fitted, judged, used."""

import importlib.util
import json

import numpy as np
import polars as pl
import pytest

import trueness
from tests.test_cli import call
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.predicting import load
from trueness.campaign import load_campaign
from trueness.engines.vectors import OnVectors
from trueness.errors import TruenessError
from trueness.judge.finding import find_run
from trueness.labels.scoring import scorer_of
from trueness.runner import run
from trueness.spec.titles import TitlesSpec
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.corpus import PARTS, load_corpus
from trueness.text.synthetic import Catalogue

HEAD = """\
campaign: vectors
data: corpus
defaults:
  task: {kind: titles, max_tokens: 24}
  model: {kind: vectors, of: own.vec}
  evaluation: {min_rows: 20, draws: 100}
experiments:
"""
FAST = "learning_rate: 0.01, batch_size: 16, epochs: 3"
NETWORK = f"model.head: {{kind: network, hidden: 16}}, recipe: {{{FAST}}}"
EXPERIMENTS = f"""\
  - {{id: L}}
  - {{id: H, model.head: {{kind: linear, loss: squared_hinge}}}}
  - {{id: I, model.of: by_id.npy}}
  - {{id: N, {NETWORK}}}
  - {{id: M, model.head: {{kind: network, hidden: 16}}, recipe: {{{FAST}, sampling_alpha: 0.3}}, loss.class_weights: {{kind: balanced}}}}
  - {{id: S, model.head: {{kind: network, hidden: 16}}, recipe: {{start: N, epochs: 1}}, loss.teacher: {{run: N}}}}
"""


def words_file(path, corpus, seed=0):
    """A vector for each common word, that of its class plus noise."""
    train = corpus.part("train")
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(corpus.classes), 8))
    rows = pl.DataFrame(
        {"word": train.texts.str.to_lowercase().str.extract_all(r"\w+"), "y": train.y}
    )
    means = rows.explode("word").group_by("word", maintain_order=True).agg(pl.len(), pl.col("y"))
    means = means.filter(pl.col("len") > 2)
    lines = [f"{len(means)} 8"]
    for word, _, y in means.iter_rows():
        value = centres[y].mean(0) + 0.1 * rng.normal(size=8)
        lines.append(" ".join([word, *(f"{v:.4f}" for v in value)]))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, vectors for it of two kinds, and a store with runs on them; read only."""
    folder = tmp_path_factory.mktemp("vectors")
    plan = Plan(validation=0.2, test=0.2)
    corpus = build(Catalogue(rows=1500, english_share=0.7), folder / "corpus", plan)
    words_file(folder / "own.vec", corpus)
    ids = pl.concat([corpus.part(part).ids for part in PARTS])
    np.save(folder / "by_id.npy", np.random.default_rng(0).normal(size=(len(ids), 4)))
    (folder / "by_id.ids.txt").write_text("\n".join(map(str, ids)))
    (folder / "v.yaml").write_text(HEAD + EXPERIMENTS)
    done = run(load_campaign(folder / "v.yaml"), Store(folder / "store"), device="cpu", workers=0)
    assert not done.failed
    assert not done.missing
    return folder


def _run(folder, id_):
    return find_run(Store(folder / "store"), id_)[0]


@pytest.mark.long
def test_every_head_is_judged_and_learns(folder):
    """Vectors that know the classes beat the majority; random ones do not."""
    values = {}
    for id_ in ("L", "H", "N", "M", "S", "I", "majority", "wordllama"):
        part = _run(folder, id_).predictions().part("validation")
        values[id_] = (part.scores.argmax(1) == part.y).mean()
    assert (
        min(values[id_] for id_ in ("L", "H", "N", "M", "S", "wordllama"))
        > values["majority"] + 0.1
    )
    assert values["I"] < values["L"] - 0.1
    for id_ in ("N", "M", "S"):
        record = _run(folder, id_).record
        assert 1 <= record["best_epoch"] <= record["epochs"] <= 3
        assert record["data"]["vectors"].startswith("fasttext ")
    assert "penalty" in _run(folder, "L").record["chosen"]


@pytest.mark.long
def test_only_the_vectors_of_wordllama_are_a_baseline(folder):
    campaign = load_campaign(folder / "v.yaml")
    assert [one.id for one in campaign.baselines] == [
        "majority",
        "tfidf_logit",
        "tfidf_svm",
        "wordllama",
    ]
    assert not any(one.spec.is_baseline for one in campaign.experiments)
    labels = [one.spec.label() for one in campaign.experiments]
    assert len(set(labels)) == len(labels)
    assert labels[:3] == ["vectors own", "vectors own loss=squared_hinge", "vectors by_id"]


@pytest.mark.long
def test_without_wordllama_it_is_no_baseline_and_that_is_said(folder, monkeypatch):
    keys = {e.id: e.spec.key for e in load_campaign(folder / "v.yaml").entries}
    actual = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "wordllama" else actual(n, *a)
    )
    notes = []

    class Callback:
        def on_note(self, text):
            notes.append(text)

    campaign = load_campaign(folder / "v.yaml", callback=Callback())
    assert {e.id: e.spec.key for e in campaign.entries} == {
        k: v for k, v in keys.items() if k != "wordllama"
    }
    assert any("trueness[vectors]" in one for one in notes)


@pytest.mark.long
def test_the_seed_decides_what_a_network_head_becomes(folder, tmp_path):
    def scores(name, seed):
        (tmp_path / f"{name}.yaml").write_text(
            HEAD.replace("corpus", str(folder / "corpus")).replace(
                "own.vec", str(folder / "own.vec")
            )
            + f"  - {{id: N, {NETWORK}, seed: {seed}}}\n"
        )
        campaign = load_campaign(tmp_path / f"{name}.yaml")
        store = Store(tmp_path / name)
        spec = campaign.experiments[0].spec
        engine = OnVectors()
        from trueness.engines import Setting
        from trueness.fit.device import choose_device

        inputs = load_corpus(folder / "corpus")
        (job,) = engine.jobs(
            [spec], lambda _: inputs, Setting(choose_device("cpu"), store.root, folder=tmp_path)
        )
        (made,) = engine.fit(job, lambda _: None)
        return spec.key, np.array(made.predictions["scores"].to_list())

    (key, first), (other, second) = scores("a", 42), scores("b", 7)
    stored = _run(folder, "N")
    assert key == stored.key != other, "a path is no part of the key"
    known = np.array(stored.predictions().frame["scores"].to_list())
    np.testing.assert_allclose(first, known, atol=1e-4)
    assert np.abs(second - first).max() > 0.01


# -------------------------------------------------------------------------------------------- used


@pytest.mark.long
@pytest.mark.parametrize("id_", ["L", "N"])
def test_own_vectors_are_taken_into_the_bundle(folder, tmp_path, id_):
    finalize_named(Store(folder / "store"), id_, {"data": folder / "corpus"}, tmp_path / "b",
                   base_folder=folder, device="cpu")  # fmt: skip
    predictor = load(tmp_path / "b")
    test = load_corpus(folder / "corpus").part("test")
    logits = predictor.logits(test.texts)
    assert (logits.argmax(1) == test.y).mean() > 0.5
    assert (tmp_path / "b" / "members" / "0" / "vectors.safetensors").exists()
    exported = trueness.load(tmp_path / "b").export(tmp_path / "m.onnx").to_dict()
    assert exported["compared"]["labels_differ"] == 0


@pytest.mark.long
def test_a_bundle_needs_the_vectors_of_the_run(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    words = ("--store", folder / "store", "--data", folder / "corpus", "--out", tmp_path / "b")
    status, _, err = call(capsys, "finalize", "L", *words)
    assert (status, err.count("\n")) == (2, 1)
    assert "own.vec" in err
    corpus = load_corpus(folder / "corpus")
    words_file(tmp_path / "own.vec", corpus, seed=1)
    for id_, base_folder, code in (("L", tmp_path, "other_files"), ("I", folder, "no_encoder")):
        with pytest.raises(TruenessError) as caught:
            finalize_named(Store(folder / "store"), id_, {"data": folder / "corpus"}, tmp_path / "b",
                           base_folder=base_folder, device="cpu")  # fmt: skip
        assert caught.value.code == code
    with pytest.raises(TruenessError) as caught:
        finalize_named(Store(folder / "store"), "N", {"data": folder / "corpus"}, tmp_path / "b",
                       base_folder=folder, refit=False)  # fmt: skip
    assert caught.value.code == "no_weights"
    assert not (tmp_path / "b").exists()


# ----------------------------------------------------------------------------------------- refused


def _declared(folder, tmp_path, experiment):
    (tmp_path / "x.yaml").write_text(HEAD.replace("corpus", str(folder / "corpus")) + experiment)
    (tmp_path / "own.vec").write_bytes((folder / "own.vec").read_bytes())
    return load_campaign(tmp_path / "x.yaml")


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("of: nowhere.vec", "no_vectors"),
        ("digest: fasttext 0123", "other_files"),
        ("of: 3", None),
    ],
)
def test_a_campaign_names_the_line_of_vectors_that_are_not_there(folder, tmp_path, model, code):
    with pytest.raises(TruenessError) as caught:
        _declared(folder, tmp_path, f"  - {{id: X, model: {{kind: vectors, {model}}}}}\n")
    assert code is None or caught.value.code == code
    assert "x.yaml:8" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_vectors_that_lack_a_text_are_refused_before_anything_is_written(folder, tmp_path):
    values = np.load(folder / "by_id.npy")
    ids = (folder / "by_id.ids.txt").read_text().splitlines()
    np.save(tmp_path / "less.npy", values[3:])
    (tmp_path / "less.ids.txt").write_text("\n".join(ids[3:]))
    campaign = _declared(folder, tmp_path, "  - {id: X, model.of: less.npy}\n")
    with pytest.raises(TruenessError) as caught:
        run(campaign, Store(tmp_path / "store"), device="cpu", workers=0)
    assert caught.value.code == "vector_ids"
    assert not (tmp_path / "store" / "runs").exists()


@pytest.mark.long
def test_what_is_odd_about_vectors_is_told_and_kept(folder, tmp_path):
    words = (folder / "own.vec").read_text().splitlines()[1:]
    few = [*words[:20], words[0], words[1]]
    (tmp_path / "few.vec").write_text("\n".join([f"{len(few)} 8", *few]) + "\n")
    np.save(tmp_path / "more.npy", np.vstack([np.load(folder / "by_id.npy"), np.ones((2, 4))]))
    ids = (folder / "by_id.ids.txt").read_text()
    (tmp_path / "more.ids.txt").write_text(f"{ids}\nnobody\nno one\n")
    lines = "  - {id: F, model.of: few.vec}\n  - {id: G, model.of: more.npy}\n"
    store = Store(tmp_path / "store")
    assert not run(_declared(folder, tmp_path, lines), store, device="cpu", workers=0).failed
    repeated, known = find_run(store, "F")[0].record["notes"]
    assert repeated.startswith("2 words")
    assert "of the words" in known
    (extra,) = find_run(store, "G")[0].record["notes"]
    assert extra.startswith("2 of 1,")
    assert _run(folder, "L").record["notes"] == []


@pytest.mark.long
def test_vectors_that_know_no_word_are_refused_before_anything_is_written(folder, tmp_path):
    (tmp_path / "none.vec").write_text("1 3\nxyzzy 1 2 3\n")
    campaign = _declared(folder, tmp_path, "  - {id: X, model.of: none.vec}\n")
    with pytest.raises(TruenessError) as caught:
        run(campaign, Store(tmp_path / "store"), device="cpu", workers=0)
    assert caught.value.code == "vectors_unknown"
    assert not (tmp_path / "store" / "runs").exists()


@pytest.mark.long
def test_a_second_stage_begins_on_the_same_vectors(folder, tmp_path):
    words_file(tmp_path / "other.vec", load_corpus(folder / "corpus"), seed=2)
    key = _run(folder, "N").key
    campaign = _declared(
        folder,
        tmp_path,
        f"  - {{id: X, model: {{of: {tmp_path}/other.vec, head: {{kind: network, hidden: 16}}}}, recipe.start: {key}}}\n",
    )
    with pytest.raises(TruenessError) as caught:
        run(campaign, Store(folder / "store"), device="cpu", workers=0)
    assert "another" in str(caught.value) or caught.value.code == "other_vectors"
    linear = _run(folder, "L").key
    campaign = _declared(folder, tmp_path, f"  - {{id: X, {NETWORK}, recipe.start: {linear}}}\n")
    with pytest.raises(TruenessError, match="neither teach nor lend"):
        run(campaign, Store(folder / "store"), device="cpu", workers=0)


@pytest.mark.long
def test_a_spec_without_the_digest_of_its_vectors_is_not_run(folder):
    spec = TitlesSpec.model_validate({
        "task": {"kind": "titles", "corpus": load_corpus(folder / "corpus").digest},
        "model": {"kind": "vectors"}, "evaluation": {"min_rows": 20},
    })  # fmt: skip
    with pytest.raises(TruenessError) as caught:
        OnVectors().cost(spec, load_corpus(folder / "corpus"), folder)
    assert caught.value.code == "own_unpinned"


def test_a_contrastive_loss_needs_another_head():
    with pytest.raises(ValueError, match="contrastive"):
        TitlesSpec.model_validate({
            "task": {"kind": "titles", "corpus": "x"}, "loss": {"contrastive": {}},
            "model": {"kind": "vectors", "head": "network"},
        })  # fmt: skip


@pytest.mark.long
def test_what_a_dry_run_says_of_heads(folder, capsys):
    status, out, _ = call(
        capsys, "run", folder / "v.yaml", "--store", folder / "new", "--dry-run", "--json"
    )
    assert status == 0
    assert json.loads(out)


@pytest.mark.long
@pytest.mark.parametrize("id_", ["L", "N"])
def test_what_a_run_has_wrong_and_another_corpus(folder, capsys, id_):
    """Heads are fitted again, and give the stored scores."""
    store = ("--store", folder / "store")
    code, out, _ = call(capsys, "errors", id_, "--refit", *store, "--top", 3, "--json")
    assert code == 0
    assert json.loads(out)["wrong"]["k"] > 0
    corpus = ("--corpus", folder / "corpus")
    code, out, _ = call(capsys, "text", "evaluate", id_, *corpus, "--keep-leaks", "--json", *store)
    again, run_ = json.loads(out), _run(folder, id_)
    part = run_.predictions().part("validation")
    assert code == 0
    assert again["overall"]["rows"] == len(part)


@pytest.mark.long
def test_heads_that_begin_with_others_or_on_ids_are_not_fitted_again(folder, capsys):
    for id_, code in (("S", "no_weights"), ("I", "no_encoder")):
        with pytest.raises(TruenessError) as error:
            scorer_of(_run(folder, id_), id_, {}, "cpu")
        assert error.value.code == code
