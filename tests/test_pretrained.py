"""Pretrained encoders: folders that are looked into, and networks on top of them."""

import json
import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
if find_spec("peft") is None:  # its import takes seconds
    pytest.skip("needs peft", allow_module_level=True)

from tests.tiny_pretrained import (
    TEXTS,
    TUNINGS,
    VOCABULARY,
    built,
    make_folder,
    make_model,
    make_tokenizer,
    model_of,
)
from trueness.errors import TruenessError
from trueness.models import heads_parameter_count
from trueness.models.layers import trained
from trueness.models.pretrained import build_pretrained
from trueness.models.titles_networks import load_weights
from trueness.text import pretrained as room
from trueness.text.tokens import encode


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("TRUENESS_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def copy(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / "copy")


def _code(call, *args):
    with pytest.raises(TruenessError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return caught.value.code


# ---------------------------------------------------------------------------------------- folders


def test_a_digest_is_that_of_the_content_wherever_it_lies(bert, copy):
    actual = room.open_folder(copy)
    assert actual.digest == room.open_folder(bert).digest
    assert len(actual.digest) == 12
    assert room.find_folder("nowhere", actual.digest).digest == actual.digest


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_other_content_is_another_digest(bert, copy, name):
    content = (copy / name).read_bytes()
    if name.endswith("json"):
        (copy / name).write_bytes(content + b"\n")
    else:
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert room.open_folder(copy).digest != room.open_folder(bert).digest


def test_a_folder_is_hashed_again_only_after_a_change(copy, monkeypatch):
    first, asked = room.open_folder(copy).digest, []
    monkeypatch.setattr(
        "trueness.text.foreign.sha256_of", lambda file: asked.append(file.name) or "0"
    )
    assert room.open_folder(copy).digest == first
    assert asked == []
    os.utime(copy / "config.json", (1, 1))
    room.open_folder(copy)
    assert sorted(asked) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_shards_hold_the_same_vectors(bert, tmp_path):
    folder = make_folder(tmp_path / "shards", shards="40KB")
    actual = room.open_folder(folder)
    assert len(actual.weights) > 1
    whole, parts = (built("full", path).encoder.model.state_dict() for path in (bert, folder))
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())


def _edit(folder, **fields):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **fields}))


def _pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def _cut(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-100])


def _outside(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


BROKEN = {
    "nothing": (shutil.rmtree, "no_model"),
    "no config": (lambda f: (f / "config.json").unlink(), "no_model"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "no_model"),
    "no type": (lambda f: (f / "config.json").write_text("{}"), "no_model"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no_model"),
    "adapters": (lambda f: (f / "adapter_config.json").write_text("{}"), "no_model"),
    "pickled": (_pickled, "pickled"),
    "remote": (lambda f: _edit(f, auto_map={"AutoModel": "m.Net"}), "remote"),
    "unknown": (lambda f: _edit(f, model_type="nobodys-net"), "architecture"),
    "causal": (lambda f: _edit(f, model_type="llama"), "architecture"),
    "decoder": (lambda f: _edit(f, is_decoder=True), "architecture"),
    "both": (lambda f: _edit(f, model_type="t5", is_encoder_decoder=True), "architecture"),
    "quantised": (lambda f: _edit(f, quantization_config={}), "architecture"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no_tokenizer"),
    "bad tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "no_tokenizer"),
    "more tokens": (lambda f: make_tokenizer(400).save(str(f / "tokenizer.json")), "vocabulary"),
    "fewer tokens": (lambda f: _edit(f, vocab_size=VOCABULARY + 90), "vocabulary"),
    "cut weights": (_cut, "damaged"),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"x"), "damaged"),
    "shard outside": (_outside, "damaged"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_such_folder_is_refused_before_it_is_loaded(copy, what):
    change, code = BROKEN[what]
    change(copy)
    assert _code(room.open_folder, copy) == code


def test_the_kinds_that_are_taken_are_said(copy):
    _edit(copy, model_type="gpt2")
    with pytest.raises(TruenessError, match="xlm-roberta"):
        room.open_folder(copy)


def test_a_folder_that_changed_or_is_unknown_is_told(tmp_path):
    folder = make_folder(tmp_path / "own", num_hidden_layers=1)
    digest = room.open_folder(folder).digest
    _edit(folder, hidden_dropout_prob=0.3)
    assert _code(room.find_folder, str(folder), digest) == "other_files"
    shutil.rmtree(folder)
    assert _code(room.find_folder, str(folder), digest) == "no_files"


# ---------------------------------------------------------------------------------------- networks


def _batch(most=20):
    tokens = encode(TEXTS[:8], make_tokenizer(), max_tokens=most)
    ids, mask = tokens.batch(np.arange(8))
    return torch.from_numpy(ids), torch.from_numpy(mask)


@pytest.mark.parametrize("kind", room.ENCODERS)
def test_every_kind_is_pooled_as_transformers_computes_it(tmp_path, kind):
    """Saved bare and under a head for masked words; padding changes nothing; sizes are known."""
    model = make_model(kind)
    folder = make_folder(tmp_path / kind, kind)
    ids, mask = _batch()
    for pooler in ("mean", "first"):
        network = built("full", folder, pooler=pooler).eval()
        with torch.no_grad():
            actual = network.pooled(ids, mask)
            for i in range(len(ids)):
                real = ids[i : i + 1, : int(mask[i].sum())]
                h = model(input_ids=real, attention_mask=torch.ones_like(real)).last_hidden_state[0]
                expected = h.mean(0) if pooler == "mean" else h[0]
                torch.testing.assert_close(actual[i], expected, atol=1e-5, rtol=1e-4)
    looked = room.open_folder(folder)
    headed = room.open_folder(make_folder(tmp_path / "headed", kind, head=True))
    for tune in TUNINGS:
        chosen = model_of({"kind": "lora"} if tune == "lora" else tune)
        network = build_pretrained(chosen, folder, 3, torch.Generator())
        sizes = sum(p.numel() for p in trained(network).values())
        heads = heads_parameter_count(chosen, looked.width, 3)
        for one in (looked, headed):
            assert sizes == heads + chosen.tune.parameters(one.maps, one.parameters)
    with torch.no_grad():
        most = looked.most_tokens
        network(torch.full((1, most), 9), torch.ones(1, most, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "modernbert", "albert"])
def test_layers_nearer_to_the_tokens_learn_more_slowly(tmp_path, kind):
    folder = make_folder(tmp_path / kind, kind)
    network = built({"kind": "full", "rate": 0.2, "layer_decay": 0.5}, folder)
    rates = network.rates()
    assert set(rates) == {n for n, _ in network.named_parameters() if n.startswith("encoder.")}
    table = next(rate for name, rate in rates.items() if "embeddings.weight" in name)
    shared = kind == "albert"
    assert sorted(set(rates.values())) == pytest.approx([0.1, 0.2] if shared else [0.05, 0.1, 0.2])
    assert table == min(rates.values())


def test_low_rank_matrices_start_at_nothing_and_merge(bert):
    ids, mask = _batch()
    plain, adapted = (built(tune, bert).eval() for tune in ("full", "lora"))
    torch.testing.assert_close(plain(ids, mask), adapted(ids, mask))
    again = built("lora", bert)
    assert all(torch.equal(p, trained(again)[n]) for n, p in trained(adapted).items())
    for name, weight in trained(adapted).items():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    assert not torch.allclose(plain(ids, mask), adapted(ids, mask), atol=1e-3)
    merged = built("lora", json.loads((bert / "config.json").read_text())).eval()
    load_weights(merged, {n: w.clone() for n, w in adapted.complete().items()})
    torch.testing.assert_close(merged(ids, mask), adapted(ids, mask), atol=2e-5, rtol=1e-5)
    names = {n.rpartition(".lora_")[0].rpartition(".")[2] for n in trained(adapted) if "lora" in n}
    assert names == {"query", "value"}


def test_targets_that_match_nothing_are_refused(bert):
    model = model_of({"kind": "lora", "targets": ["query", "q_proj"]})
    assert _code(build_pretrained, model, bert, 3, torch.Generator()) == "no_target"
    maps = room.open_folder(bert).maps
    assert _code(model.tune.parameters, maps, 1) == "no_target"


def test_weights_that_the_config_does_not_describe_are_refused(copy):
    _edit(copy, num_hidden_layers=3)
    assert _code(built, "full", copy) == "unloadable"


def test_nothing_is_asked_of_the_network(bert, monkeypatch):
    def refused(*args):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("socket.socket.connect", refused)
    assert os.environ.get("HF_HUB_OFFLINE") == "1"
    built("lora", bert)
