"""What becomes of runs with pretrained encoders: bundles, graphs, verbs; and what is refused."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest

pytest.importorskip("transformers")
if find_spec("peft") is None:  # its import takes seconds
    pytest.skip("needs peft", allow_module_level=True)

from tests.test_cli import call
from tests.tiny_pretrained import make_folder, make_tokenizer
from trueness.bundle.exporting import export
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.predicting import load
from trueness.campaign import load_campaign
from trueness.engines.encoder_costs import check_folder, cost_of
from trueness.errors import TruenessError
from trueness.judge.finding import find_run
from trueness.runner import run
from trueness.store import Store
from trueness.text import pretrained as room
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.synthetic import Catalogue
from trueness.titles.classifier import load_classifier

pytestmark = pytest.mark.long

CAMPAIGN = """\
campaign: begun
data: corpus
reference: frozen
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 500}, max_tokens: 24}
  model: {kind: pretrained, of: bert, head: {kind: residual, hidden: 16}}
  recipe: {learning_rate: 0.01, batch_size: 64, epochs: 1, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
  - {id: frozen, model.tune: frozen}
  - {id: full}
  - {id: lora, model.tune: {kind: lora, rank: 4}}
  - {id: second, model.tune: {kind: lora, rank: 4}, recipe: {start: lora}, loss.teacher: {run: full}}
  - {id: staged, recipe: {start: frozen, learning_rate: 0.000000001}}
"""
TUNINGS = ("frozen", "full", "lora")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a corpus and its store; read only."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("begun")
    patch.setenv("TRUENESS_CACHE", str(folder / "cache"))
    make_folder(folder / "bert")
    build(Catalogue(rows=700, english_share=0.7), folder / "corpus", Plan(validation=0.2, test=0.2))
    (folder / "begun.yaml").write_text(CAMPAIGN)
    campaign = load_campaign(folder / "begun.yaml")
    assert not run(campaign, Store(folder / "store"), device="cpu", workers=0).failed
    yield folder
    patch.undo()


def _run(folder, id_):
    return find_run(Store(folder / "store"), id_)[0]


def _stored_scores(folder, id_):
    part = _run(folder, id_).predictions().part("validation")
    titles = load_corpus(folder / "corpus").part("validation")
    place = {one: i for i, one in enumerate(titles.ids)}
    return titles.texts[[place[one] for one in part.frame["id"]]], part.scores


@pytest.mark.parametrize("id_", [*TUNINGS, "second"])
def test_a_stored_run_says_again_what_it_said(folder, id_):
    texts, scores = _stored_scores(folder, id_)
    classifier = load_classifier(_run(folder, id_), load_device())
    np.testing.assert_allclose(classifier.logits(texts), scores, atol=1e-5)


def test_a_folder_that_is_known_is_not_looked_for(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "empty"))
    stored = _run(folder, "lora")
    with pytest.raises(TruenessError) as caught:
        load_classifier(stored, load_device())
    assert caught.value.code == "no_files"
    load_classifier(stored, load_device(), room.open_folder(folder / "bert"))


def test_a_second_stage_begins_with_the_head_on_frozen_vectors(folder):
    np.testing.assert_allclose(
        *(_stored_scores(folder, one)[1] for one in ("frozen", "staged")), atol=1e-4
    )


def test_another_head_is_no_beginning(folder):
    from trueness.engines.encoder import check_source_run

    frozen, staged = _run(folder, "frozen"), _run(folder, "staged").spec
    head = staged.model.model_copy(update={"pooler": "first"})
    with pytest.raises(TruenessError):
        check_source_run(
            staged.model_copy(update={"model": head}), frozen, tuple(frozen.record["classes"])
        )


def load_device():
    from trueness.fit.device import choose_device

    return choose_device("cpu")


def test_a_run_keeps_what_was_trained_and_no_path(folder):
    files = {id_: set(_run(folder, id_).record["files"]) for id_ in TUNINGS}
    assert {"tokenizer.json", "config.json"} <= files["full"]
    assert not {"tokenizer.json", "config.json"} & (files["frozen"] | files["lora"])
    sizes = {id_: _run(folder, id_).record["parameters"] for id_ in TUNINGS}
    assert sizes["frozen"] < sizes["lora"] < sizes["full"]
    for id_ in TUNINGS:
        for name in ("spec.json", "record.json"):
            assert str(folder / "bert") not in (_run(folder, id_).folder / name).read_text()


@pytest.mark.parametrize("id_", TUNINGS)
def test_a_bundle_is_complete_by_itself(folder, tmp_path, monkeypatch, id_):
    texts, scores = _stored_scores(folder, id_)
    store = Store(folder / "store")
    sources = {"data": folder / "corpus"}
    finalize_named(store, id_, sources, tmp_path / "kept", device="cpu", refit=False)
    finalize_named(store, id_, sources, tmp_path / "again", device="cpu")
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "empty"))
    bundle = load(tmp_path / "kept", device="cpu")
    np.testing.assert_allclose(bundle.logits(texts), scores, atol=2e-5)
    assert {"model.safetensors", "config.json", "tokenizer.json"} == {
        one.name for one in (tmp_path / "again" / "members" / "0").iterdir()
    }
    assert np.isfinite(load(tmp_path / "again", device="cpu").logits(texts)).all()


@pytest.mark.parametrize("id_", ["lora", pytest.param("frozen", marks=pytest.mark.slow),
                                 pytest.param("full", marks=pytest.mark.slow)])  # fmt: skip
def test_its_graph_agrees_on_real_rows(folder, tmp_path, id_):
    pytest.importorskip("onnxruntime")
    store, out = Store(folder / "store"), tmp_path / "b"
    finalize_named(store, id_, {"data": folder / "corpus"}, out, device="cpu", refit=False)
    texts, _ = _stored_scores(folder, id_)
    pl.DataFrame({"text": texts}).write_csv(tmp_path / "t.csv")
    made = export(
        load(out, device="cpu"), tmp_path / "m.onnx", {"data": tmp_path / "t.csv"}
    ).to_dict()
    assert made["compared"]["n"] == len(texts)
    assert made["compared"]["labels_differ"] == 0
    assert max(made["compared"]["largest_difference"].values()) < 1e-4


def test_verbs_take_it(folder, tmp_path, capsys):
    shared = ("--store", folder / "store")
    code, out, err = call(capsys, "text", "latency", "lora", "--requests", 3, "--warmup", 1,
                          "--batch", 2, *shared)  # fmt: skip
    assert (code, "p95" in out) == (0, True), err
    code, out, err = call(
        capsys, "text", "evaluate", "frozen", "--corpus", folder / "corpus", *shared
    )
    assert code == 0, err
    code, out, err = call(capsys, "importance", "full", "--text", "red running shoe", *shared)
    assert (code, "running" in out) == (0, True), err
    code, out, err = call(capsys, "list", folder / "begun.yaml")
    assert (code, "lora rank=4" in out) == (0, True), err


def test_one_run_with_flags_and_its_folder(folder, tmp_path, capsys):
    words = ("text", "train", folder / "corpus", "--pretrained", folder / "bert", "--head", "v3",
             "--tune", "lora", "--epochs", 1, "--seq-len", 24, "--min-rows", 20, "--amp", "float32",
             "--contrastive-dim", 8, "--set", "evaluation.draws=100", "--store", folder / "store", "--out", tmp_path / "model")  # fmt: skip
    code, _, err = call(capsys, *words)
    assert code == 0, err
    assert {"model.safetensors", "config.json", "tokenizer.json", "spec.json", "metrics.json"} == {
        one.name for one in (tmp_path / "model").iterdir()
    }


def test_a_dry_run_tells_weights_work_and_memory(folder, capsys):
    code, out, err = call(capsys, "run", folder / "begun.yaml", "--dry-run", "--json", "--store",
                          folder / "elsewhere")  # fmt: skip
    assert code == 0, err
    rows = {row["id"]: row for row in json.loads(out)["rows"]}
    for id_ in TUNINGS:
        assert rows[id_]["parameters"] == _run(folder, id_).record["parameters"]
    assert rows["frozen"]["weights"] == rows["full"]["weights"] == rows["full"]["parameters"]
    assert rows["lora"]["weights"] > rows["full"]["weights"]
    assert rows["frozen"]["work_gflop"] < rows["lora"]["work_gflop"] < rows["full"]["work_gflop"]
    assert 0 < rows["frozen"]["memory_bytes"] < rows["full"]["memory_bytes"]


def test_memory_is_about_what_is_held(folder):
    """Against what torch saves for the backward pass of one batch."""
    import torch

    from tests.tiny_pretrained import built

    spec = _run(folder, "full").spec
    network, saved = built("full", folder / "bert").train(), {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    n, most = spec.recipe.batch_size, spec.task.max_tokens
    tokens, mask = torch.full((n, most), 9), torch.ones(n, most, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(tokens, mask).sum().backward()
    weights = sum(p.numel() for p in network.parameters())
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    held = 4 * 5 * weights + sum(size for place, size in saved.items() if place not in own)
    note = cost_of(spec, load_corpus(folder / "corpus")).bytes
    assert 0.5 < note / held < 2


# --------------------------------------------------------------------------------------- refusals


def _refused(folder, capsys, tmp_path, **changes):
    (folder / "bad.yaml").write_text(CAMPAIGN.replace("bert,", f"{changes['of']},"))
    return call(capsys, "run", folder / "bad.yaml", "--store", tmp_path / "store")


def test_a_folder_that_is_no_model_is_one_line_with_its_place(folder, capsys, tmp_path):
    code, out, err = _refused(folder, capsys, tmp_path, of="corpus")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "bad.yaml" in err


@pytest.mark.parametrize(("words", "message"), [
    (("--vocabulary", 500), "--vocabulary"), (("--d-model", 64), "d_model"),
    (("--set", "model.tune.kind=lora", "--set", "model.tune.targets=[q_proj]"), "q_proj"),
    (("--seq-len", 100), "66"), (("--tune", "some"), "some"),
    (("--tune", "none"), "none"), (("--lr", "none"), "none"), (("--pooler", "none"), "none"),
])  # fmt: skip
def test_flags_that_do_not_go_with_it_are_refused(folder, tmp_path, capsys, words, message):
    code, _, err = call(capsys, "text", "train", folder / "corpus", "--pretrained", folder / "bert",
                          "--seq-len" if "--seq-len" not in words else "--epochs", 24, *words,
                          "--min-rows", 20, "--store", tmp_path / "store")  # fmt: skip
    assert code == 2
    assert message in err
    assert not (tmp_path / "store" / "runs").exists() or not any(
        (tmp_path / "store" / "runs").iterdir()
    )


def _code(call, *args):
    with pytest.raises(TruenessError) as caught:
        call(*args)
    return caught.value.code


def test_runs_whose_folder_changed_say_so_and_whole_ones_need_none(folder, tmp_path):
    moved = folder / "moved"
    shutil.move(folder / "bert", moved)
    try:
        for id_ in ("frozen", "lora"):
            assert _code(load_classifier, _run(folder, id_), load_device()) == "no_files"
        load_classifier(_run(folder, "full"), load_device())
        assert room.open_folder(moved).digest == _run(folder, "lora").spec.model.digest
        load_classifier(_run(folder, "lora"), load_device())
    finally:
        shutil.move(moved, folder / "bert")


@pytest.mark.parametrize("package", ["transformers", "peft"])
def test_a_package_that_is_missing_is_named_with_its_extra(folder, monkeypatch, package):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == package else True
    )
    with pytest.raises(TruenessError, match=r"trueness\[pretrained\]") as caught:
        check_folder(_run(folder, "lora").spec)
    assert caught.value.code == "own_missing"


def test_another_tokenizer_is_another_model(folder, tmp_path):
    other = shutil.copytree(folder / "bert", tmp_path / "bert")
    content = make_tokenizer()
    content.add_tokens([])
    (other / "tokenizer.json").write_text(content.to_str(pretty=False))
    assert room.open_folder(other).digest != _run(folder, "lora").spec.model.digest


def test_looking_into_a_folder_loads_neither_torch_nor_transformers(folder):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from trueness.campaign import load_campaign; "
        f"load_campaign({str(folder / 'begun.yaml')!r}); "
        "sys.exit(bool({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
