"""Checks of stored runs: a planted market, limits and mutes of a store, records of older versions."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import polars as pl
import pytest

from tests import signed
from trueness.campaign import load_campaign
from trueness.checks import (
    Mute,
    add_mute,
    findings_of_run,
    limits_in,
    mutes_in,
    next_move,
    stored_findings,
)
from trueness.cli import main
from trueness.errors import StoreError, TruenessError
from trueness.evaluation import Estimate
from trueness.files import read_json, write_json
from trueness.judge.findings import findings_of_runs, not_applicable
from trueness.judge.leaderboard import leaderboard
from trueness.market import synthetic_bars
from trueness.runner import run
from trueness.store import Store

PLANTED = """\
campaign: planted
title: One column that foretells
data: bars.csv
defaults:
  task: {context: 5, columns: [volume_ratio_20d]}
  evaluation: {protocol: holdout, val_start: 1994-06-01, test_start: 1998-01-01}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5, revin: false, dropout: 0.0}
  recipe: {epochs: 12, batch_size: 64, learning_rate: 1e-2, precision: float32}
experiments:
  - {id: P-01, priority: P1}
"""


def volatile_bars(n_days=2000, seed=0):
    """Volume foretells how far the next day reaches to either side, and nothing of the side."""
    rng, z = np.random.default_rng(seed), np.zeros(n_days)
    for t in range(1, n_days):
        z[t] = 0.5 * z[t - 1] + np.sqrt(0.75) * rng.standard_normal()
    reach = 0.7 * np.exp(0.6 * np.append(0, z[:-1]))
    up, down = reach * rng.exponential(1, (2, n_days))
    close = 100 * np.cumprod(1 + (up - down) * rng.uniform(0, 0.2, n_days) / 100)
    before = np.append(100.0, close[:-1])
    high = np.maximum(before * (1 + up / 100), close)
    low = np.minimum(before * (1 - down / 100), close)
    changed = {"open": before, "high": high, "low": low, "close": close}
    return dataclasses.replace(synthetic_bars(n_days), **changed, volume=np.exp(18 + 0.5 * z))


def trained(folder, bars, kinds=()):
    """Store of the planted campaign on these bars, with some of the baselines."""
    bars.frame().write_csv(folder / "bars.csv")
    (folder / "planted.yaml").write_text(PLANTED)
    campaign = load_campaign(folder / "planted.yaml")
    some = tuple(e for e in campaign.baselines if e.spec.model.kind in kinds)
    store = Store(folder / "store")
    summary = run(dataclasses.replace(campaign, baselines=some), store, device="cpu", workers=0)
    assert summary.failed == []
    return store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store in which volatility was learnt; read only."""
    return trained(tmp_path_factory.mktemp("volatile"), volatile_bars(), ("one_feature",))


@pytest.fixture
def store(made, tmp_path):
    """A copy that a test may change."""
    return Store(shutil.copytree(made.root, tmp_path / "store"))


def network(store):
    (group,) = leaderboard(store).groups
    (model,) = group.candidates
    return model


def codes(store):
    return [f.code for f in network(store).findings]


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def rewrite(store, change, without=()):
    """Change the predictions of the network, and take entries out of its record."""
    key = network(store).run.key
    folder = store.kept.runs / key
    record = read_json(folder / "record.json")
    path = folder / "predictions.parquet"
    change(store.run(key).table()).write_parquet(path)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    record["files"][path.name] = {"bytes": path.stat().st_size, "sha256": sha}
    record = {name: value for name, value in record.items() if name not in without}
    write_json(folder / "record.json", record)
    return store.run(key)


def test_a_market_of_volatility_alone_is_found_out(made):
    row = network(made)
    finding = next(f for f in row.findings if f.code == "TRU010")
    assert finding.numbers["mirror"] > 0.6
    assert row.run.record["checks"]
    assert "TRU010" in [f["code"] for f in row.run.record["findings"]]
    table = row.run.table()
    assert set(table["y_mirror"].unique()) == {0, 1}
    assert (table["y_mirror"] != table["y"]).any()


def test_a_market_of_direction_alone_is_not_accused(tmp_path):
    store = trained(tmp_path, synthetic_bars(2000, strength=1.5))
    assert network(store).estimates["auc"].low > 0.7
    assert "TRU010" not in codes(store)


def test_findings_against_baselines_are_made_on_reading(store):
    assert not {"TRU004", "TRU009"} & set(codes(store))
    rewrite(store, lambda table: table.with_columns(score=-pl.col("score")))
    assert {"TRU004", "TRU009"} <= set(codes(store))
    assert "TRU004" not in [f["code"] for f in network(store).run.record["findings"]]


def test_limits_of_a_store_are_read_on_reading_and_cached(store, monkeypatch):
    plain = codes(store)
    assert "TRU007" not in plain
    (store.root / "checks.yaml").write_text("limits: {tied_share: 0}\n")
    assert limits_in(store) == {"tied_share": 0}
    assert set(codes(store)) == {*plain, "TRU007"}
    (index,) = (store.root / "index").glob("findings-*.json")
    monkeypatch.setattr("trueness.checks.stored.findings_of_run", None)  # not made twice
    assert set(codes(store)) == {*plain, "TRU007"}
    monkeypatch.undo()
    index.write_text("{")
    assert set(codes(store)) == {*plain, "TRU007"}
    (store.root / "checks.yaml").unlink()
    assert codes(store) == plain


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("limits: {drift_rate: 2}", "checks.yaml: unknown limit 'drift_rate'"),
        ("limits: {drift_ratio: many}", "limit drift_ratio is 'many'"),
        ("limits: 5", "a mapping with `limits:` is needed"),
        ("", "a mapping with `limits:` is needed"),
        ("mute: [{check: TRU008}]", "keeps its mutes elsewhere"),
        ("limits: {", "not valid YAML"),
    ],
)
def test_a_wrong_file_of_limits_is_refused(store, capsys, content, words):
    (store.root / "checks.yaml").write_text(content)
    for verb in (("leaderboard",), ("show", "P-01")):
        code, out, err = call(capsys, *verb, "--store", store.root)
        assert (code, out) == (2, "")
        assert words in err
        assert err.count("\n") == 1


def test_a_wrong_file_of_limits_stops_a_run_before_it_trains(store, tmp_path):
    (store.root / "checks.yaml").write_text("limits: {few: 1}")
    volatile_bars(600).frame().write_csv(tmp_path / "bars.csv")
    short = PLANTED.replace("1994-06-01", "1991-06-01").replace("1998-01-01", "1992-06-01")
    (tmp_path / "planted.yaml").write_text(short)
    with pytest.raises(TruenessError, match="unknown limit 'few'"):
        run(load_campaign(tmp_path / "planted.yaml"), store, workers=0)


def older(store, without=("checks", "best_epochs", "last_epochs", "incidents")):
    """Make the network look as if an older version had stored it."""
    return rewrite(store, lambda table: table.drop("y_mirror"), without)


def test_runs_of_older_versions_open_and_are_checked_by_what_they_hold(store):
    before = set(codes(store))
    needs = {"TRU010", "TRU013", "TRU014"}  # mirror labels, epochs, warnings
    old = older(store)
    assert "y_mirror" not in old.predictions()
    assert set(codes(store)) == before - needs
    actual, problems = stored_findings(store, [old])
    assert problems == []
    assert [f.code for f in actual[old.key]] == [
        c for c in codes(store) if c not in ("TRU004", "TRU009")
    ]


def test_damaged_predictions_leave_the_findings_of_the_record(store):
    old = older(store)
    path = store.kept.runs / old.key / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    actual, (problem,) = stored_findings(store, [old])
    assert (problem.name, "content differs" in problem.reason) == (old.key, True)
    assert [f.code for f in actual[old.key]] == [f["code"] for f in old.record["findings"]]
    assert [p.name for p in leaderboard(store).problems].count(old.key) == 1


def test_mutes_through_the_command_line(store, capsys):
    at, plain = ("--store", store.root), codes(store)
    key, text = network(store).key, "known: the target is a touch"
    code, out, _ = call(capsys, "mute", "tru010", "--run", "P-01", "--reason", text, *at)
    assert code == 0
    assert f"TRU010 is muted for run {key}" in out
    (kept,) = mutes_in(store)
    assert (kept.check, kept.run, kept.reason, len(kept.date)) == ("TRU010", key, text, 10)

    _, out, _ = call(capsys, "show", "P-01", *at)
    shown = " ".join(out.split())
    assert f"TRU010 muted for run {key} ({kept.date}: {text}): volatility, not direction" in shown
    assert next_move("TRU010")[:40] not in shown
    _, out, _ = call(capsys, "leaderboard", "--json", *at)
    (model,) = [m for m in json.loads(out)["groups"][0]["models"] if not m["baseline"]]
    assert [f["code"] for f in model["findings"]] == [c for c in plain if c != "TRU010"]
    assert (model["muted"][0]["code"], model["muted"][0]["mute"]["reason"]) == ("TRU010", text)
    call(capsys, "leaderboard", "--report", store.root / "page.html", *at)
    assert text in (store.root / "page.html").read_text()

    code, out, _ = call(capsys, "mute", "--list", *at)
    assert (code, text in out, f"run {key}" in out) == (0, True, True)
    code, out, _ = call(capsys, "mute", "TRU010", "--run", key[:6], "--undo", *at)
    assert code == 0
    assert f"TRU010 counts again for run {key}" in out
    assert (codes(store), mutes_in(store)) == (plain, [])
    _, out, _ = call(capsys, "mute", "--list", *at)
    assert "nothing is muted" in out
    _, out, _ = call(capsys, "mute", "--list", "--json", *at)
    assert json.loads(out)["mutes"] == []


def test_mutes_of_campaigns_and_of_all_runs(store, capsys):
    at = ("--store", store.root)
    (store.root / "checks.yaml").write_text("limits: {tied_share: 0}\n")
    store.write_campaign("other", {"X": "0123456789ab"})
    add_mute(store, Mute("TRU010", "not this one", campaign="other"))
    assert "TRU010" in codes(store)
    call(capsys, "mute", "TRU010", "--campaign", "planted", "--reason", "first", *at)
    call(capsys, "mute", "TRU010", "--campaign", "planted", "--reason", "better said", *at)
    _, out, _ = call(
        capsys, "mute", "TRU007", "--all", "--reason", "no  baseline\nis meant", *at, "--json"
    )
    assert json.loads(out)["reason"] == "no baseline is meant"
    assert [(m.scope, m.reason) for m in mutes_in(store)] == [
        ("campaign other", "not this one"), ("campaign planted", "better said"),
        ("all runs", "no baseline is meant"),
    ]  # fmt: skip
    assert [m.finding.code for m in network(store).muted] == ["TRU007", "TRU010"]


BAD = {
    "no reason": (["TRU008", "--all"], "needs a reason"),
    "empty reason": (["TRU008", "--all", "--reason", "  "], "needs a reason"),
    "unknown check": (["TRU999", "--all", "--reason", "x"], "unknown check 'TRU999'"),
    "no check": (["--all", "--reason", "x"], "which check?"),
    "no scope": (["TRU008", "--reason", "x"], "give one of --run, --campaign and --all"),
    "two scopes": (["TRU008", "--all", "--run", "P-01", "--reason", "x"], "give one of"),
    "unknown run": (["TRU008", "--run", "P-99", "--reason", "x"], "no run has the id or key"),
    "unknown campaign": (["TRU008", "--campaign", "x", "--reason", "x"], "no campaign 'x'; choose from planted"),
    "nothing to undo": (["TRU008", "--all", "--undo"], "TRU008 is not muted for all runs"),
    "undo with a reason": (["TRU008", "--all", "--undo", "--reason", "x"], "--undo needs no --reason"),
    "list with a check": (["TRU008", "--list"], "--list stands alone"),
    "no store": (["TRU008", "--all", "--reason", "x", "--store", "nowhere"], "nowhere is no store"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_wrong_mutes_are_refused_in_one_line(made, capsys, case, tmp_path, monkeypatch):
    arguments, words = BAD[case]
    monkeypatch.chdir(tmp_path)
    at = [] if "--store" in arguments else ["--store", made.root]
    code, out, err = call(capsys, "mute", *arguments, *at)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert not (made.root / "mutes.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "5",
        '{"a": 1}',
        "[1]",
        '[{"check": "TRU008"}]',
        '[{"check": "TRU008", "reason": "r", "date": "2026-01-01", "run": 5}]',
        '[{"check": "TRU008", "reason": "r", "date": "2026-01-01", "campaign": ["a"]}]',
        '[{"check": "TRU999", "reason": "r", "date": "2026-01-01"}]',
    ],
)
def test_damaged_mutes_are_named_and_nothing_is_hidden(store, content):
    before = codes(store)
    signed.entries(store.root / "mutes.json", content)
    assert codes(store) == before
    (problem,) = leaderboard(store).problems
    assert problem.name == "mutes.json"
    with pytest.raises(StoreError, match="damaged"):
        mutes_in(store)


def test_show_prints_each_finding_with_its_next_move(store, capsys):
    _, out, _ = call(capsys, "show", "P-01", "--store", store.root)
    shown = " ".join(out.replace("`", "").split())
    for finding in network(store).findings:
        text = f"{finding.code} {finding.title}: {finding.evidence}. {next_move(finding.code)}"
        assert " ".join(text.replace("`", "").split()) in shown


def test_findings_made_anew_are_those_of_the_record(made):
    run_ = network(made).run
    fired = [f.code for f in findings_of_run(run_, {})]
    assert fired == [f["code"] for f in run_.record["findings"]]


def test_what_is_not_applicable_is_told_with_its_reason(store, capsys):
    assert not_applicable(store, network(store).run) == []
    (baseline,) = (m.run for m in leaderboard(store).groups[0].baselines)
    assert not_applicable(store, baseline) == []
    unwatched = older(store, without=("checks", "incidents"))
    lacking = {one.code: one.why for one in not_applicable(store, unwatched)}
    assert lacking.keys() == {"TRU010", "TRU014"}
    _, out, _ = call(capsys, "show", "P-01", "--json", "--store", store.root)
    assert json.loads(out)["not_applicable"] == lacking
    call(capsys, "show", "P-01", "--report", store.root / "page.html", "--store", store.root)
    assert lacking["TRU010"] in (store.root / "page.html").read_text()


# ------------------------------------------------------------------------------------------ K classes


def test_titles_are_compared_with_their_linear_baseline(golden_titles):
    (group,) = leaderboard(golden_titles).groups
    assert [model.findings for model in group.baselines] == [[]]
    run_, best = group.candidates[0].run, group.reference
    assert best.spec.model.kind == "tfidf_logit"
    for high, fires in ((-0.01, True), (0.01, False)):
        against = {run_.key: Estimate(-0.05, -0.1, high, 100)}
        actual, problems = findings_of_runs(golden_titles, [run_], {}, against, {}, best)
        fired = {f.code for f in actual[run_.key].findings}
        assert problems == []
        assert ("TRU103" in fired) == fires
        assert "TRU004" not in fired
