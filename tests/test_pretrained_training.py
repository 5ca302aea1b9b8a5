"""Training on titles with pretrained encoders: frozen, whole, and with low-rank matrices."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("transformers")
if find_spec("peft") is None:  # its import takes seconds
    pytest.skip("needs peft", allow_module_level=True)

from tests.test_titles_fit import CLASSES, _titles
from tests.tiny_pretrained import TUNINGS, built, make_folder
from trueness.engines.encoder_costs import folder_of
from trueness.fit.device import choose_device
from trueness.fit.titles import Saving, Setting, fit_titles, load_data
from trueness.fit.titles.encoding import frozen_vectors
from trueness.spec.titles import TitlesSpec
from trueness.text import pretrained as room
from trueness.text.tokens import load_tokenizer
from trueness.titles.classifier import Classifier, complete_files
from trueness.yamlfile import merge

CPU = choose_device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("TRUENESS_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("models") / "bert")


# ---------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def corpus():
    parts = {"train": _titles(300, 1), "validation": _titles(90, 2), "test": _titles(90, 3)}
    return SimpleNamespace(digest="c0ffee", classes=CLASSES, part=parts.__getitem__)


def _spec(bert, tune, **sections):
    content = {
        "task": {"kind": "titles", "corpus": "c0ffee", "max_tokens": 24},
        "model": {"kind": "pretrained", "of": str(bert), "digest": room.open_folder(bert).digest, "tune": TUNINGS[tune],
                  "head": {"kind": "residual", "hidden": 32}},
        "recipe": {"epochs": 2, "warmup_steps": 3, "batch_size": 32, "learning_rate": 1e-2,
                   "precision": "float32"},
        "evaluation": {"min_rows": 5},
    }  # fmt: skip
    return TitlesSpec.model_validate(merge(content, sections))


def _data(spec, corpus):
    folder = folder_of(spec)
    tokenizer = load_tokenizer(folder.tokenizer)
    vectors = frozen_vectors(spec, folder, tokenizer, CPU) if spec.model.encodes_once else None
    return load_data(spec.task, corpus, tokenizer=tokenizer, folder=folder.path, vectors=vectors)


def _fitted(spec, corpus, **how):
    return fit_titles(spec, _data(spec, corpus), Setting(CPU), **how)


@pytest.mark.parametrize("tune", TUNINGS)
def test_training_learns_and_its_weights_say_the_same_later(bert, corpus, tune):
    spec = _spec(bert, tune, recipe={"epochs": 6})
    fitted = _fitted(spec, corpus)
    losses = [row["val_loss"] for row in fitted.history]
    assert min(losses) < np.log(4) - 0.08
    folder = folder_of(spec)
    tokenizer = load_tokenizer(folder.tokenizer)
    texts = corpus.part("test").texts
    of = Classifier.of(
        spec, fitted.precision, fitted.parameters, tokenizer, CLASSES, CPU, folder.path
    )
    np.testing.assert_allclose(of.logits(texts), fitted.logits["test"], atol=1e-5)
    files = complete_files(spec, fitted.parameters, folder.path, folder.tokenizer, CLASSES)
    from safetensors.numpy import load

    whole = load(files["model.safetensors"])
    config = json.loads(files["config.json"])
    alone = Classifier.of(spec, fitted.precision, whole, tokenizer, CLASSES, CPU, config)
    np.testing.assert_allclose(alone.logits(texts), fitted.logits["test"], atol=2e-5)
    inside = sum(name.startswith("encoder.") for name in fitted.parameters)
    assert (inside > 0) == (tune != "frozen")


def test_only_what_is_trained_changes(bert, corpus):
    spec = _spec(bert, "lora")
    before = built("full", bert).encoder.model.state_dict()
    after = _fitted(spec, corpus).parameters
    assert {n.rpartition("lora_")[1] for n in after if n.startswith("encoder.")} == {"lora_"}
    full = _fitted(_spec(bert, "full"), corpus).parameters
    moved = {n: np.abs(full[f"encoder.model.{n}"] - w.numpy()).max() for n, w in before.items()}
    assert min(moved[n] for n in moved if "encoder.layer" in n and "key.bias" not in n) > 0


def test_texts_are_encoded_once_for_any_head(bert, corpus, monkeypatch):
    spec = _spec(bert, "frozen")
    _data(spec, corpus)
    monkeypatch.setattr("trueness.fit.titles.encoding.build_pretrained", None)
    other = _spec(bert, "frozen", model={"head": {"kind": "plain"}}, seed=3)
    assert _data(other, corpus).width == 32
    with pytest.raises(TypeError):
        _data(_spec(bert, "frozen", model={"pooler": "first"}), corpus)


SWITCHES = {
    "v3": {"model": {"projection": {"width": 8}}, "loss": {"contrastive": {"memory": 64}}},
    "v1": {"model": {"head": {"kind": "plain", "dropout": 0.3}}},
    "weights": {"loss": {"class_weights": {"kind": "balanced"}, "groups": {"kind": "weights"}}},
    "dro": {"loss": {"groups": {"kind": "dro"}}},
    "adjusted": {"loss": {"classification": {"kind": "logitadjusted", "given": "language"}}},
    "sampled": {"recipe": {"sampling_alpha": 0.3}},
    "ema": {"recipe": {"ema": 0.9}},
    "accumulated": {"recipe": {"grad_accum": 3, "batch_tokens": 400}},
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "tune"),
    [*((name, "full") for name in SWITCHES), ("v3", "frozen"), ("v3", "lora"), ("ema", "lora")],
)
def test_every_switch_of_titles_trains_it(bert, corpus, name, tune):
    plain, switched = (
        _fitted(_spec(bert, tune, **merge({"recipe": {"epochs": 1}}, s)), corpus).logits["test"]
        for s in ({}, SWITCHES[name])
    )
    assert np.isfinite(switched).all()
    assert np.abs(plain - switched).max() > 1e-5


@pytest.mark.long
@pytest.mark.parametrize("tune", TUNINGS)
def test_a_run_that_stopped_goes_on_to_the_same_bits(bert, corpus, tune, tmp_path, monkeypatch):
    spec = _spec(bert, tune, recipe={"ema": 0.9})
    whole = _fitted(spec, corpus)
    saving = Saving(tmp_path / "c.pt")
    from trueness.fit.titles import loop

    end, done = loop._Training.end_epoch, []

    def stop(self, *args):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return end(self, *args)

    monkeypatch.setattr(loop._Training, "end_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        _fitted(spec, corpus, saving=saving)
    monkeypatch.undo()
    resumed = _fitted(spec, corpus, saving=saving)
    np.testing.assert_array_equal(resumed.logits["test"], whole.logits["test"])


def test_fields_that_are_not_read_are_not_part_of_the_key(bert):
    one = _spec(bert, "frozen")
    for sections in ({"task": {"tokenizer": {"kind": "bpe", "vocabulary": 999}}},
                     {"recipe": {"precision": "bf16"}}):  # fmt: skip
        assert _spec(bert, "frozen", **sections).key == one.key
    full = _spec(bert, "full")
    for tune in ({"rate": 0.3}, {"layer_decay": 0.5}, {"kind": "frozen"}, {"kind": "lora"}):
        assert _spec(bert, "full", model={"tune": tune}).key != full.key


@pytest.mark.long
@pytest.mark.parametrize("change", [
    {"rank": 8}, {"alpha": 64}, {"dropout": 0.5}, {"targets": ["key"]}, {"rate": 0.1},
    {"layer_decay": 0.3},
])  # fmt: skip
def test_every_field_of_low_rank_tuning_changes_the_training(bert, corpus, change):
    one, other = (
        _fitted(_spec(bert, "lora", recipe={"epochs": 1}, model={"tune": tune}), corpus)
        for tune in ({}, change)
    )
    assert np.abs(one.logits["test"] - other.logits["test"]).max() > 1e-5


SCRIPT = """
import json, sys
from types import SimpleNamespace
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_pretrained_training import CLASSES, CPU, _data, _spec, _titles
from trueness.fit.titles import Setting, fit_titles, init_distributed
parts = {{"train": _titles(300, 1), "validation": _titles(90, 2), "test": _titles(90, 3)}}
corpus = SimpleNamespace(digest="c0ffee", classes=CLASSES, part=parts.__getitem__)
spec = _spec(Path({folder!r}), {tune!r}, **json.loads({sections!r}))
ranks, _ = init_distributed("cpu")
fitted = fit_titles(spec, _data(spec, corpus), Setting(CPU, False, ranks))
if ranks.is_main:
    print(json.dumps(fitted.logits["test"].tolist()))
ranks.close()
"""
STILL = {"model": {"head": {"dropout": 0.0}}, "recipe": {"grad_accum": 4, "batch_size": 16}}


@pytest.mark.slow
@pytest.mark.parametrize("tune", TUNINGS)
def test_two_processes_train_what_one_does(corpus, tune, tmp_path):
    folder = make_folder(
        tmp_path / "still", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    root = os.path.dirname(os.path.dirname(__file__))
    script = tmp_path / "train.py"
    script.write_text(
        SCRIPT.format(root=root, folder=str(folder), tune=tune, sections=json.dumps(STILL))
    )
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         str(script)],
        capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    together = json.loads(done.stdout.strip().splitlines()[-1])
    alone = _fitted(_spec(folder, tune, **STILL), corpus)
    np.testing.assert_allclose(together, alone.logits["test"], atol=1e-3)
