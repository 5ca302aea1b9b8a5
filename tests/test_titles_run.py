"""Campaigns on titles, from the YAML file to the verbs that use a stored run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import f1_score

from trueness.campaign import load_campaign
from trueness.cli import main
from trueness.engines.encoder import tokenizer_file
from trueness.errors import CampaignError, SpecError, StoreError
from trueness.fit.device import choose_device
from trueness.judge.leaderboard import leaderboard
from trueness.runner import run
from trueness.spec.titles import TitlesSpec
from trueness.store import Store
from trueness.tasks.titles import TitlesData
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.synthetic import Catalogue
from trueness.titles.classifier import load_classifier
from trueness.titles.latency import measure_latency

HEAD = """\
campaign: tiny
data: corpus
reference: A
defaults:
  task: {kind: titles, tokenizer: {kind: bpe, vocabulary: 500}, max_tokens: 24}
  model: {kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, d_ff: 32, head: {kind: residual, hidden: 16}}
  recipe: {learning_rate: 0.01, batch_size: 64, epochs: 1, warmup_steps: 3, precision: float32}
  evaluation: {min_rows: 20, draws: 100}
experiments:
"""
PINNED = TitlesData(SimpleNamespace(digest="0123456789ab"), "pinned")
EXPERIMENTS = """\
  - {id: A, priority: P1}
  - {id: B, priority: P2, recipe: {start: A, learning_rate: 0.001, sampling_alpha: 0.3}, loss.teacher: {run: A}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, a campaign of two stages, and its store; read only."""
    folder = tmp_path_factory.mktemp("titles")
    plan = Plan(validation=0.15, test=0.2)
    build(Catalogue(rows=1500, english_share=0.7), folder / "corpus", plan)
    (folder / "tiny.yaml").write_text(HEAD + EXPERIMENTS)
    campaign = load_campaign(folder / "tiny.yaml")
    summary = run(campaign, Store(folder / "store"),
                         device="cpu", workers=0)  # fmt: skip
    assert summary.failed == summary.missing == []
    assert len(summary.trained) == 6
    return folder


@pytest.fixture
def store(folder):
    return Store(folder / "store")


def _campaign(folder):
    return load_campaign(folder / "tiny.yaml")


def _keys(folder):
    return {entry.id: entry.spec.key for entry in _campaign(folder).entries}


# --------------------------------------------------------------------------------------- campaigns


def test_keys_of_titles_do_not_change():
    """Pinned on 2026-11-20; a new field whose default means "as before" keeps them."""
    campaign = load_campaign("text", data=PINNED)
    keys = {e.id: e.spec.key for e in campaign.entries}
    pinned = {
        "majority": "584e32861c17", "tfidf_svm": "9d2776f42b7f", "V-1": "de2af6e34ee0",
        "V-2": "4b16baf54858", "V-3": "cb7eb2caadbd", "M-0": "b83d3fb90f70",
        "M-3": "310334beedf8", "M-8": "7200d1c55aaa", "M-13": "7e6434d7be7f",
        "M-17": "c04c22234ff2",
    }  # fmt: skip
    assert {name: keys[name] for name in pinned} == pinned
    assert len(set(keys.values())) == len(keys)


def test_equal_runs_on_titles_have_equal_keys():
    def key(**loss):
        content = {"task": {"kind": "titles", "corpus": "x"}, "loss": loss}
        return TitlesSpec.model_validate(content).key

    plain = key()
    assert key(classification={"kind": "focal", "gamma": 0}) == plain
    assert key(classification={"kind": "logitadjusted", "tau": 0}) == plain
    assert key(classification={"kind": "ldam", "max_margin": 0}) == plain
    focal = {"kind": "focal", "gamma": 2, "smooth": "beside"}
    assert key(classification=focal) == key(classification={**focal, "smooth": "product"})
    smoothed = {**focal, "smoothing": 0.1}
    assert key(classification=smoothed) != key(classification={**smoothed, "smooth": "product"})


def test_every_replicate_begins_with_the_replicate_of_its_seed():
    campaign = load_campaign("text", data=PINNED, seeds=3)
    keys = {e.id: e.spec.key for e in campaign.entries}
    needs = {e.id: e.spec.depends_on for e in campaign.entries if e.spec.depends_on}
    assert needs["M-17@43"] == {keys["M-0@43"]}
    assert needs["M-17"] == {keys["M-0"]}
    chosen = campaign.select(["M-17"], [])
    assert [e.id for e in chosen.experiments] == [
        "M-0",
        "M-0@43",
        "M-0@44",
        "M-17",
        "M-17@43",
        "M-17@44",
    ]
    assert {e.spec.key for e in chosen.baselines} == {e.spec.key for e in campaign.baselines}


MISTAKES = [
    ("  - {id: A, loss.classification: {kind: focall}}", "tiny.yaml:10: A: loss.classification: unknown kind 'focall'"),
    ("  - {id: A, loss.groups: {kind: dro, etaa: 1}}", "loss.groups.etaa: unknown field; did you mean eta? choose from over, eta, adjustment"),
    ("  - {id: A, model.n_kv_heads: 3}", "n_kv_heads 3 must divide n_heads 2"),
    ("  - {id: A, model.n_heads: 3}", "n_heads 3 must divide d_model 16 into even widths"),
    ("  - {id: A, loss.contrastive: {weight: 0.1}}", "go together; give both or neither"),
    ("  - {id: A, recipe.start: Z}", "recipe.start: no earlier experiment 'Z'; none stands before it"),
    ("  - {id: A, task.corpus: abc}", "task.corpus is set by `data:` or --data"),
    ("  - {id: A, recipe.sampling_alpha: 2}", "recipe.sampling_alpha: input should be less than or equal to 1"),
    ("  - {id: B}", "tiny.yaml:3: reference: no experiment or baseline 'A'; choose from B, "),
]  # fmt: skip


@pytest.mark.parametrize(("experiment", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_line(tmp_path, experiment, message):
    file = tmp_path / "tiny.yaml"
    file.write_text(HEAD + experiment + "\n")
    with pytest.raises(CampaignError) as caught:
        load_campaign(file, data=PINNED)
    assert message in str(caught.value)


def test_settings_are_laid_over_and_data_are_not_needed_to_list(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path))  # where no corpus was built yet
    campaign = load_campaign("text", settings={"recipe": {"epochs": 1}}, seeds=1, needed=False)
    assert {e.spec.recipe.epochs for e in campaign.experiments} == {1}
    assert {e.spec.task.corpus for e in campaign.entries} == {"unknown"}


def test_tasks_are_not_mixed_in_one_file(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(HEAD + "  - {id: A}\n  - {id: B, task: {kind: market}}\n")
    with pytest.raises(CampaignError, match=r"tiny.yaml:11: B: task.kind: choose from titles"):
        load_campaign(file, data=PINNED)


# -------------------------------------------------------------------------------------------- runs


@pytest.mark.long
def test_what_is_stored_is_not_trained_again(folder, store):
    summary = run(_campaign(folder), store, device="cpu")
    assert summary.trained == []
    assert len(summary.reused) == 6


@pytest.mark.long
def test_stored_logits_are_those_of_the_stored_weights(folder, store):
    corpus, run = load_corpus(folder / "corpus"), store.run(_keys(folder)["A"])
    table = run.table().filter(pl.col("split") == "test")
    titles = corpus.part("test")
    assert table["id"].to_list() == titles.ids.to_list()
    assert table["y"].to_list() == titles.y.tolist()
    classifier = load_classifier(run, choose_device("cpu"))
    one_by_one = np.concatenate([classifier.logits([text]) for text in titles.texts[:20]])
    assert np.allclose(table["scores"].to_numpy()[:20], one_by_one, atol=1e-5)


@pytest.mark.long
def test_slices_in_the_record_equal_scikit_learn(folder, store):
    for key in _keys(folder).values():
        run = store.run(key)
        part = run.predictions().part("validation")
        predicted, k, english = part.scores.argmax(1), len(part.classes), part.group == "en"
        f1 = f1_score(part.y[english], predicted[english], labels=range(k), average="macro",
                      zero_division=0)  # fmt: skip
        assert np.isclose(run.record["estimates"]["majority_group"]["value"], f1)
        assert run.record["slices"]["test"]["groups"]["en"]["rows"] > 20


@pytest.mark.long
def test_a_second_stage_starts_from_the_weights_of_the_first(folder, store):
    keys = _keys(folder)
    first, second = (store.run(keys[name]).history() for name in ("A", "B"))
    fresh = np.log(len(store.run(keys["A"]).record["classes"]))
    assert first["train_loss"][0] > second["train_loss"][0]
    assert second["train_loss"][0] < fresh


@pytest.mark.long
def test_what_begins_with_a_failed_run_fails_with_the_reason(folder, tmp_path):
    head = HEAD.replace("precision: float32", "precision: float32, clip_norm: null")
    wild = "  - {id: A, recipe.learning_rate: 1e30}\n  - {id: B, recipe.start: A}\n"
    (tmp_path / "tiny.yaml").write_text(head + wild)
    campaign = load_campaign(tmp_path / "tiny.yaml", data=folder / "corpus")
    runs = Store(tmp_path / "store")
    summary = run(campaign, runs, device="cpu", workers=0)
    first, second = (entry.spec.key for entry in campaign.experiments)
    assert summary.failed == [first, second]
    assert "not finite" in runs.failures()[first]
    assert f"is not stored: {first}" in runs.failures()[second]


@pytest.mark.long
def test_a_beginning_that_nobody_stored_is_refused_at_once(folder, tmp_path):
    (tmp_path / "tiny.yaml").write_text(HEAD + "  - {id: A, recipe.start: 0123456789ab}\n")
    campaign = load_campaign(tmp_path / "tiny.yaml", data=folder / "corpus")
    with pytest.raises(SpecError, match="run 0123456789ab, which encoder"):
        run(campaign, Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def _leaderboard(store, **options):
    (group,) = leaderboard(store, "tiny", **options).groups
    return group


@pytest.mark.long
def test_a_leaderboard_compares_with_the_reference_that_its_campaign_declared(folder, tmp_path):
    head = HEAD.replace("reference: A", "reference: tfidf_logit\ntitle: Which is best?")
    (tmp_path / "tiny.yaml").write_text(head + EXPERIMENTS)
    kept = Store(shutil.copytree(folder / "store", tmp_path / "store"))
    run(load_campaign(tmp_path / "tiny.yaml", data=folder / "corpus"), kept, workers=0)
    board = leaderboard(kept, "tiny")
    assert board.title == "Which is best?"
    assert board.groups[0].classes.comparison.reference == "tfidf_logit"
    assert _leaderboard(Store(folder / "store")).classes.comparison.reference == "A"
    assert _leaderboard(kept, reference="B").classes.comparison.reference == "B"


@pytest.mark.long
def test_nothing_is_compared_while_the_reference_is_not_trained(folder, store, tmp_path):
    kept = Store(shutil.copytree(folder / "store", tmp_path / "store"))
    kept.write_campaign("tiny", {"Z": "0123456789ab"}, "", "Z")  # an id that has no run yet
    group = _leaderboard(kept)
    assert group.classes.comparison is None
    assert group.classes.verdict_text.startswith("Nothing is compared yet: Z")
    assert [m.name for m in group.candidates] == [m.name for m in _leaderboard(store).candidates]
    document = leaderboard(kept, "tiny").document()
    assert sum("Nothing is compared yet" in text for text in document.sentences()) == 1
    with pytest.raises(StoreError) as caught:
        _leaderboard(kept, reference="Z")
    assert caught.value.code == "no_reference"


@pytest.mark.long
def test_methods_are_judged_together_and_the_test_part_is_counted(folder, store):
    def groups(**options):
        return leaderboard(store, "tiny", access=("text run", ""), reference="A", **options).groups

    (before,), (group,) = groups(), groups()
    assert (group.access.times - before.access.times, group.access.n_candidates) == (0, 2)
    methods = group.classes.comparison.methods
    assert set(methods) == {"majority", "tfidf_logit", "tfidf_svm", "wordllama", "A", "B"}
    assert group.classes.comparison.reference == "A"
    assert methods["majority"].majority_degraded == "yes"
    assert group.sort == "worst_group"
    seen = (store.root / "ledger.jsonl").read_text().count('"test"')
    (opened,) = groups(part="test", opened=True)
    assert (store.root / "ledger.jsonl").read_text().count('"test"') == seen + 1
    assert opened.n == len(load_corpus(folder / "corpus").part("test"))


@pytest.mark.long
def test_campaigns_of_two_tasks_share_a_store_but_no_name(folder, golden_market, tmp_path):
    shutil.copytree(golden_market.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    campaign = replace(_campaign(folder), name="golden")
    with pytest.raises(SpecError) as caught:
        run(campaign, store)
    assert caught.value.code == "campaign_kind"
    baselines = replace(campaign, name="mine", experiments=())
    run(baselines, store, device="cpu", workers=0)
    groups = leaderboard(store).groups
    assert {group.kind for group in groups} == {"binary", "classes"}
    assert leaderboard(store, "mine").groups[0].kind == "classes"


# ------------------------------------------------------------------------------------------- using


@pytest.mark.long
def test_latency_times_full_requests(folder, store):
    classifier = load_classifier(store.run(_keys(folder)["A"]), choose_device("cpu"))
    rows = measure_latency(classifier, ["a shoe", "ein Buch"], (1, 4), requests=12, warmup=2)
    assert [row.batch_size for row in rows] == [1, 4]
    for row in rows:
        assert 0 < row.p50_ms <= row.p95_ms <= row.p99_ms
        assert np.isclose(row.texts_per_s, 1000 * row.batch_size / row.mean_ms)


@pytest.mark.long
def test_weights_that_do_not_fit_the_tokenizer_are_refused(folder, store, tmp_path):
    shutil.copytree(folder / "store", tmp_path / "store")
    key = _keys(folder)["A"]
    run = Store(tmp_path / "store").run(key)
    content = json.loads((run.folder / "tokenizer.json").read_text())
    token = max(content["model"]["vocab"], key=content["model"]["vocab"].get)
    del content["model"]["vocab"][token]
    content["model"]["merges"].pop()
    (run.folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"bytes|do not fit"):
        load_classifier(Store(tmp_path / "store").run(key), choose_device("cpu"))


@pytest.mark.long
@pytest.mark.parametrize("harm", ["cut", "changed", "no_digest", "odd_digest"])
def test_a_damaged_tokenizer_of_the_cache_is_trained_again(folder, harm, monkeypatch, tmp_path):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path))
    spec = next(e.spec for e in _campaign(folder).entries if e.id == "A")
    corpus = load_corpus(folder / "corpus")
    file = tokenizer_file(spec.task, corpus, None)
    whole, digest = file.read_bytes(), file.with_suffix(".sha256")
    before = file.stat().st_mtime_ns
    assert tokenizer_file(spec.task, corpus, None).stat().st_mtime_ns == before  # kept
    if harm == "cut":
        file.write_bytes(whole[:100])
    elif harm == "changed":
        file.write_bytes(whole.replace(b'"a":', b'"\xc3\xa5":', 1))
    elif harm == "no_digest":
        digest.unlink()
    else:
        digest.write_bytes(b"\xff\xfe")
    assert tokenizer_file(spec.task, corpus, None).read_bytes() == whole
    assert digest.read_text() == hashlib.sha256(whole).hexdigest()
    assert {one.name for one in file.parent.iterdir()} == {file.name, digest.name}


# ------------------------------------------------------------------------------------------- verbs


def _cli(*words, expect=0):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert left.value.code == expect, words


SMALL = (
    "--d-model", 16, "--n-layers", 1, "--n-heads", 2, "--n-kv-heads", 1, "--d-ff", 32, "--epochs", 1,
    "--lr", 0.01, "--lr-warmup-steps", 2, "--vocabulary", 500, "--min-rows", 20, "--seq-len", 24,
    "--set", "evaluation.draws=100",
)  # fmt: skip


@pytest.mark.long
def test_train_show_and_evaluate_by_command(folder, tmp_path, capsys):
    store, out = tmp_path / "store", tmp_path / "model"
    page = tmp_path / "page.html"
    _cli("text", "train", folder / "corpus", "--head", "v3", *SMALL, "--contrastive-dim", 8,
         "--classifier-hidden", 16, "--store", store, "--out", out, "--report", page)  # fmt: skip
    note = capsys.readouterr().out
    assert "validation part" in note
    assert "macro-F1" in note
    assert page.stat().st_size > 10_000
    metrics = json.loads((out / "metrics.json").read_text())
    assert {p.name for p in out.iterdir()} == {
        "metrics.json", "model.safetensors", "spec.json", "tokenizer.json",
    }  # fmt: skip
    key = metrics["key"]
    _cli("show", key, "--store", store, "--json")
    assert json.loads(capsys.readouterr().out)["part"] == "validation"
    _cli("text", "evaluate", key, "--store", store, "--corpus", folder / "corpus", "--json")
    evaluation = json.loads(capsys.readouterr().out)
    assert evaluation["overall"]["rows"] > 100
    assert evaluation["data"] == f"corpus {folder / 'corpus'}"
    _cli("text", "evaluate", "tfidf_svm", "--store", store, "--corpus", folder / "corpus", "--json")
    assert json.loads(capsys.readouterr().out)["leaks"]["leaked"] < 5
    _cli("leaderboard", "--store", store, "--json")
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert {key, "majority"} <= {name for model in group["models"] for name in model["ids"]}
    _cli("compare", key, "tfidf_svm", "--store", store)
    assert "minus" in capsys.readouterr().out
    _cli("text", "latency", key, "--store", store, "--requests", 3, "--warmup", 0, "--json")
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 3


REFUSED = [
    (("train", "nowhere"), "nowhere"),
    (("train", "{corpus}", "--head", "v1", "--classifier-hidden", "9"), "model.head.hidden: unknown field"),
    (("train", "{corpus}", "--contrastive-dim", "8"), "--contrastive-dim belongs to --head v3, not v2"),
    (("train", "{corpus}", "--focal-alpha", "0.5"), "--focal-alpha without --focal-gamma"),
    (("train", "{corpus}", "--set", "seed"), "write a field and a value"),
    (("train", "{corpus}", "--set", "loss.groups.kind=dra"), "loss.groups: unknown kind 'dra'"),
    (("train", "{corpus}", "--amp", "fp16", "--device", "cpu"), "fp16 needs a CUDA device"),
    (("train", "{corpus}", "--resume", "nowhere.pt"), "no such checkpoint"),
    (("evaluate", "Z", "--corpus", "{corpus}", "--store", "{store}"), "no run has the id or key 'Z'"),
    (("evaluate", "A", "--store", "{store}"), "--corpus"),
    (("latency", "A", "--requests", "0", "--store", "{store}"), "requests 0"),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "message"), REFUSED, ids=lambda w: " ".join(w)[:40] if isinstance(w, tuple) else ""
)
def test_mistakes_get_one_line(folder, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    places = {"corpus": folder / "corpus", "store": folder / "store"}
    _cli("text", *(word.format(**places) for word in words), expect=2)
    (note,) = capsys.readouterr().err.strip().splitlines()
    assert message in note


@pytest.mark.slow
def test_two_processes_of_torchrun_store_one_run(folder, tmp_path):
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "trueness",
             "text", "train", folder / "corpus", *SMALL, "--classifier-hidden", 16, "--store",
             tmp_path / "store", "--device", "cpu"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True,
                          env=environment, timeout=220, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("5 trained") == 1
    runs, problems = Store(tmp_path / "store").all_runs()
    assert len(runs) == 5
    assert problems == []
