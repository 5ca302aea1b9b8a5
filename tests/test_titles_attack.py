"""Bad input to verbs on titles: one clear line, nothing half-written, no silent wrong number."""

import gzip
import io
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.holders import alive
from trueness.campaign import Entry, campaign_of
from trueness.cli import main
from trueness.engines import EncoderOptions
from trueness.engines.encoder import check_source_run
from trueness.errors import DataError, SpecError, StoreError, TruenessError
from trueness.evaluation.by_group import checked_groups
from trueness.files import read_json, sha256_of, write_json
from trueness.fit.titles.checkpoint import load_checkpoint
from trueness.losses.contrastive import CrossBatchMemory, supcon
from trueness.runner import run
from trueness.spec.titles import TitlesSpec
from trueness.store import Store
from trueness.tasks.titles import TitlesData
from trueness.text.building import Plan, build
from trueness.text.corpus import load_corpus
from trueness.text.synthetic import Catalogue
from trueness.text.tables import Table
from trueness.text.tokens import vocabulary_of
from trueness.titles.export import check_export_folder, export_folder

TINY = {
    "model": {
        "kind": "encoder", "d_model": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "d_ff": 32,
        "head": {"kind": "residual", "hidden": 16},
    },
    "recipe": {"epochs": 1, "warmup_steps": 2, "learning_rate": 0.01, "precision": "float32"},
    "evaluation": {"min_rows": 10, "draws": 100},
}  # fmt: skip


def _spec(corpus, **sections):
    task = {
        "kind": "titles",
        "corpus": corpus.digest,
        "tokenizer": {"kind": "bpe", "vocabulary": 400},
    }
    return TitlesSpec.model_validate({"task": task, **TINY, **sections})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attack") / "corpus"
    return build(Catalogue(rows=700), folder, Plan(validation=0.2, test=0.2, threshold=None))


@pytest.fixture(scope="module")
def stored(corpus, tmp_path_factory):
    """Store with one encoder and the majority baseline, and their runs; read only."""
    root = tmp_path_factory.mktemp("attack") / "store"
    whole = campaign_of(_spec(corpus), TitlesData(corpus, "corpus"), "train", "one")
    small = replace(whole, baselines=whole.baselines[:1])
    summary = run(small, Store(root), device="cpu")
    assert not summary.failed
    majority, one = summary.trained
    return root, Store(root).run(one), Store(root).run(majority)


@pytest.fixture
def refused(capsys):
    """Call a verb that must be refused with one line, which is returned."""

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["text", *map(str, arguments)])
        note = capsys.readouterr()
        assert caught.value.code == 2
        assert note.err.count("\n") == 1
        assert note.err.startswith("trueness: ")
        assert not note.out
        return note.err

    return call


@pytest.fixture
def answered(capsys):
    """Call a verb that must go well; its standard output."""

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["text", *map(str, arguments)])
        note = capsys.readouterr()
        assert caught.value.code == 0, note.err
        return note.out

    return call


# ----------------------------------------------------------------------------------------- building


@pytest.mark.parametrize("most", [0, -5])
def test_texts_cannot_be_cut_to_nothing(tmp_path, refused, most):
    (tmp_path / "a.csv").write_text("text,label\nabc,b\nabd,c\n")
    line = refused("build", "--table", tmp_path / "a.csv", "--max-chars", most,
                   "--out", tmp_path / "out")  # fmt: skip
    assert f"max_chars {most}" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("most", ["nan", "inf", "-1", "0"])
def test_an_archive_needs_a_limit_that_is_one(tmp_path, refused, most):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.json.gz", gzip.compress(b"{}"))
    (tmp_path / "m.tsv").write_text("1\tBooks\n2\tBaby\n")
    line = refused("build", "--zip", tmp_path / "a.zip", "--map", tmp_path / "m.tsv",
                   "--max-gb", most, "--out", tmp_path / "out")  # fmt: skip
    assert "max_gb" in line


def test_a_corpus_built_through_a_link_leaves_the_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    build(Catalogue(rows=400), tmp_path / "link", Plan(threshold=None))
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]
    assert load_corpus(tmp_path / "real").classes


def test_control_characters_in_labels_become_a_space(tmp_path):
    rows = [(f"text number {i} {i * 7}", f"\x1b[31mred{i % 2}\nline") for i in range(200)]
    pl.DataFrame(rows, schema=["text", "label"], orient="row").write_csv(tmp_path / "a.csv")
    made = build(Table(tmp_path / "a.csv"), tmp_path / "c",
                 Plan(validation=0.2, test=0.2, detect=False, threshold=None))  # fmt: skip
    assert made.classes == ("[31mred0 line", "[31mred1 line")


def test_a_refusal_never_sends_control_characters_to_the_terminal(tmp_path, refused):
    (tmp_path / "a.csv").write_text("\x1b[2Jcolumn,b\nx,y\n")
    line = refused("build", "--table", tmp_path / "a.csv", "--out", tmp_path / "out")
    assert "\x1b" not in line
    assert "?[2Jcolumn" in line


def _changed(corpus, folder, part, change):
    """Copy of a corpus with a part replaced and its size noted."""
    shutil.copytree(corpus.folder, folder)
    path = folder / f"{part}.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    note = read_json(folder / "corpus.json")
    note["files"][path.name] |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_json(folder / "corpus.json", note)
    return load_corpus(folder)


def _at(column, value):
    return pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(value)).otherwise(column).alias(column)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("test", lambda t: t.with_columns(_at("label", "Alien")), "digest"),
        ("test", lambda t: t.with_columns(_at("text", "another")), "digest"),
        ("train", lambda t: t.with_columns(_at("text", None)), "text is missing"),
        ("train", lambda t: t.with_columns(_at("language", None)), "language is missing"),
        ("test", lambda t: t.with_columns(_at("label", None)), "label is missing"),
        ("validation", lambda t: t.with_columns(_at("cluster", None)), "cluster is missing"),
        ("validation", lambda t: t.head(0), "no rows"),
    ],
    ids=["label", "text", "no text", "no language", "no label", "no cluster", "empty"],
)
def test_an_edited_corpus_trains_nothing(corpus, tmp_path, part, change, message):
    edited = _changed(corpus, tmp_path / "edited", part, change)
    with pytest.raises(DataError, match=message):
        run(
            campaign_of(_spec(edited), TitlesData(edited, "edited"), "train", "x"),
            Store(tmp_path / "s"),
        )
    assert not (tmp_path / "s").exists()


def test_a_description_without_counts_is_refused(corpus, tmp_path, refused):
    shutil.copytree(corpus.folder, tmp_path / "c")
    note = read_json(tmp_path / "c" / "corpus.json") | {"statistics": {}}
    write_json(tmp_path / "c" / "corpus.json", note)
    assert "cannot be read" in refused("show", tmp_path / "c")


# ----------------------------------------------------------------------------------------- training


def test_a_spec_about_another_corpus_trains_nothing(corpus, tmp_path):
    spec = _spec(replace(corpus, digest="abcdefabcdef"))
    with pytest.raises(DataError, match="abcdefabcdef"):
        run(campaign_of(spec, TitlesData(corpus, "corpus"), "train", "x"), Store(tmp_path))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("wrong", [{"every_epochs": 0}, {"every_minutes": float("nan")},
                                   {"every_minutes": -1.0}, {"workers": -1}])  # fmt: skip
def test_impossible_options_are_refused_before_anything_trains(corpus, tmp_path, wrong):
    campaign = campaign_of(_spec(corpus), TitlesData(corpus, "corpus"), "train", "x")
    how = {"workers": -1} if "workers" in wrong else {"encoders": EncoderOptions(**wrong)}
    with pytest.raises(TruenessError, match=r"needed|give 0"):
        run(campaign, Store(tmp_path), **how)
    assert not (tmp_path / "runs").exists()


def test_languages_that_are_all_too_small_are_refused_before_the_baselines(corpus, tmp_path):
    spec = _spec(corpus, evaluation={"min_rows": 10_000})
    with pytest.raises(TruenessError, match="no language has 10000 texts"):
        run(campaign_of(spec, TitlesData(corpus, "corpus"), "train", "x"), Store(tmp_path))
    assert not (tmp_path / "runs").exists()


def test_texts_without_any_language_cannot_be_judged_by_language():
    with pytest.raises(TruenessError, match="no text has a known language") as caught:
        checked_groups(["und"] * 50, 10, ("text", "language"))
    assert caught.value.code == "no_groups"


def test_half_precision_on_a_cpu_is_refused_before_the_baselines(corpus, tmp_path):
    spec = _spec(corpus, recipe={**TINY["recipe"], "precision": "fp16"})
    with pytest.raises(SpecError, match="fp16 needs a CUDA device"):
        run(campaign_of(spec, TitlesData(corpus, 'corpus'), "train", "x"), Store(tmp_path),
                   device="cpu")  # fmt: skip


def test_lenders_that_are_not_there_or_do_not_fit_are_refused_early(corpus, stored):
    root, one, majority = stored
    store = Store(root)

    def attempt(spec):
        run(campaign_of(spec, TitlesData(corpus, "corpus"), "train", "x"), store)

    teacher = {"teacher": {"run": "abcdefabcdef"}}
    with pytest.raises(SpecError, match=r"abcdefabcdef.* is not stored"):
        attempt(_spec(corpus, loss=teacher))
    with pytest.raises(SpecError, match="is not stored; give the whole key"):
        attempt(_spec(corpus, loss={"teacher": {"run": one.key[:5]}}))
    with pytest.raises(SpecError, match="neither teach nor lend"):
        attempt(_spec(corpus, loss={"teacher": {"run": majority.key}}))
    with pytest.raises(SpecError, match="has another model"):
        attempt(_spec(corpus, recipe={**TINY["recipe"], "start": one.key},
                      model={**TINY["model"], "d_ff": 48}))  # fmt: skip
    with pytest.raises(SpecError, match="knows other classes"):
        check_source_run(_spec(corpus, recipe={"start": one.key}), one, (*corpus.classes, "Zoo"))
    assert store.failures() == {}


def test_contradicting_flags_are_refused(corpus, stored, tmp_path, refused):
    root, one, _ = stored
    file = one.folder / "tokenizer.json"
    train = ("train", corpus.folder, "--store", root)
    assert "--vocabulary" in refused(*train, "--tokenizer", file, "--vocabulary", 500)
    assert "--resume" in refused(*train, "--resume", file, "--restart")
    assert "is no checkpoint" in refused(*train, "--resume", file)
    assert "give one" in refused(*train, "--batch-size", 8, "--batch-tokens", 99)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "metrics.json").touch()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert "holds something else" in refused(*train, "--out", tmp_path / "mine")
    assert "is a file" in refused(*train, "--out", file)


def test_a_run_that_another_process_is_at_is_waited_for_not_failed(corpus, tmp_path):
    first = _spec(corpus)
    second = _spec(corpus, recipe={**TINY["recipe"], "start": first.key})
    entries = tuple(Entry(id_, "P1", s) for id_, s in (("A", first), ("B", second)))
    campaign = replace(
        campaign_of(first, TitlesData(corpus, "corpus"), "two", "A"),
        baselines=(),
        experiments=entries,
    )
    store = Store(tmp_path)
    store.prepare()
    write_json(store.root / "leases" / first.key, {**alive(), "since": ""})
    summary = run(campaign, store, device="cpu")
    assert (summary.failed, summary.trained) == ([], [])
    assert summary.missing == [first.key, second.key]
    assert store.failures() == {}


def test_what_begins_with_a_run_that_failed_fails(corpus, tmp_path):
    first = _spec(corpus, recipe={**TINY["recipe"], "learning_rate": 1e30})
    second = _spec(corpus, recipe={**TINY["recipe"], "start": first.key})
    third = _spec(corpus, recipe={**TINY["recipe"], "start": second.key})
    entries = tuple(Entry(id_, "P1", s) for id_, s in (("A", first), ("B", second), ("C", third)))
    campaign = replace(
        campaign_of(first, TitlesData(corpus, "corpus"), "two", "A"),
        baselines=(),
        experiments=entries,
    )
    store = Store(tmp_path)
    summary = run(campaign, store, device="cpu")
    assert summary.failed == [first.key, second.key, third.key]
    assert "is not stored" in store.failures()[third.key]


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_stopped_leaves_nothing(tmp_path, number):
    command = [sys.executable, "-m", "trueness", "text", "build", "--synthetic", "--rows", "200000"]
    process = subprocess.Popen([*command, "--out", tmp_path / "c"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    note = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert "Traceback" not in note.decode()
    assert list(tmp_path.iterdir()) == []


class Evil:
    """Would run a command when unpickled."""

    def __reduce__(self):
        return print, ("evil",)


@pytest.mark.parametrize(
    "content",
    [Evil(), {"version": Evil()}, [1, 2], torch.zeros(3), {}, {"version": 1}, "text", None,
     {"version": 1, "key": "x", "digests": 3}],
    ids=lambda content: type(content).__name__,
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused_and_never_run(tmp_path, corpus, capsys, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(StoreError):
        load_checkpoint(tmp_path / "a.pt", _spec(corpus), {"corpus": corpus.digest})
    assert "evil" not in capsys.readouterr().out


def test_a_cut_or_changed_checkpoint_is_refused(tmp_path, corpus):
    buffer = io.BytesIO()
    torch.save(
        {"version": 1, "key": _spec(corpus).key, "digests": {}, "x": torch.zeros(99)}, buffer
    )
    whole = buffer.getvalue()
    rng = np.random.default_rng(0)
    for size in [0, 1, 10, *rng.integers(0, len(whole), 20).tolist()]:
        (tmp_path / "a.pt").write_bytes(whole[:size])
        with pytest.raises(StoreError):
            load_checkpoint(tmp_path / "a.pt", _spec(corpus), {"corpus": corpus.digest})


def test_an_embedding_has_room_for_tokenizers_with_missing_ids():
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 41}, unk_token="a"))
    assert vocabulary_of(tokenizer) == 42


# ------------------------------------------------------------------------------------------ exports


def test_an_export_replaces_an_export_and_nothing_else(stored, tmp_path):
    _, one, _ = stored
    export_folder(one, tmp_path / "out")
    export_folder(one, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(StoreError, match="holds something else"):
        export_folder(one, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").exists()


def test_an_export_into_the_folder_one_is_in_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("", ".", "x/.."):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(StoreError, match="folder you are in"):
            check_export_folder(tmp_path / name)


# ------------------------------------------------------------------------------------------- losses


def test_no_text_is_compared_with_itself_from_memory_or_drawn_twice():
    generator = torch.Generator().manual_seed(3)
    z = torch.nn.functional.normalize(torch.randn(7, 5, generator=generator), dim=1)
    y, language = torch.tensor([0, 1, 0, 1, 0, 1, 0]), torch.tensor([0, 1, 1, 0, 0, 1, 0])
    row = torch.tensor([10, 11, 12, 13, 14, 15, 16])
    memory = CrossBatchMemory(size=6, width=5)
    memory.push(z[:5], y[:5], language[:5], row[:5])
    anchors = [4, 5, 6, 5]  # 4 is remembered, 5 is drawn twice
    options = {"temperature": 0.1, "cross_weight": 2.0}
    loss, has = supcon(z[anchors], y[anchors], language=language[anchors], row=row[anchors],
                       memory=memory.points(), **options)  # fmt: skip
    for place, one in enumerate(anchors):
        pool = [*anchors, 0, 1, 2, 3, 4]
        kept = [j for j in pool if j != one]
        count = {g: sum(int(language[j]) == g for j in pool) for g in (0, 1)}
        s = {j: float(z[one] @ z[j]) / 0.1 for j in kept}
        total = np.logaddexp.reduce([s[j] for j in kept])
        w = {j: (2.0 if language[j] != language[one] else 1.0) / count[int(language[j])]
             for j in kept if y[j] == y[one]}  # fmt: skip
        doubled = [(j, w[j]) for j in kept if j in w]
        wanted = sum(v * (total - s[j]) for j, v in doubled) / sum(v for _, v in doubled)
        assert bool(has[place])
        assert loss[place].item() == pytest.approx(wanted, rel=1e-5)


def test_requests_of_latency_are_bounded(stored, refused):
    root, one, _ = stored
    for size in (0, -1, 10**11):
        assert "batch size" in refused("latency", one.key, "--batch", size, "--store", root)
