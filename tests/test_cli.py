"""The command line as a user meets it: real processes, real files, real kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import BASELINES
from trueness.cli import main
from trueness.files import read_json
from trueness.market import synthetic_bars


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def start(*arguments, cwd=None):
    code = "import sys; from trueness.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def _of(group, *, baseline):
    """Models of a group that are baselines, or are not."""
    return [model for model in group["models"] if model["baseline"] == baseline]


def _plain(groups):
    """Groups without how often they were looked at."""
    return [{name: value for name, value in group.items() if name != "access"} for group in groups]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with the tiny campaign, and the JSON that its first call printed."""
    from tests.conftest import TINY

    folder = tmp_path_factory.mktemp("finished")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "tiny.yaml").write_text(TINY + "data: bars.csv\n")
    process = start(
        "run",
        folder / "tiny.yaml",
        "--store",
        folder / "store",
        "--json",
        "--report",
        folder / "report.html",
    )
    out, err = process.communicate()
    assert process.returncode == 0, err
    return folder, json.loads(out)


def test_run_ends_with_a_leaderboard_that_holds_the_baselines(finished):
    _, content = finished
    assert len(content["trained"]) == len(BASELINES) + 2
    assert content["failed"] == content["problems"] == []
    (group,) = content["groups"]
    assert [row["ids"] for row in _of(group, baseline=False)] in (
        [["T-01"], ["T-02"]],
        [["T-02"], ["T-01"]],
    )
    assert {row["ids"][0] for row in _of(group, baseline=True)} == {
        f"a20/{kind}" for kind in BASELINES
    }
    for row in _of(group, baseline=False):
        auc = row["estimates"]["auc"]
        assert auc["low"] <= auc["value"] <= auc["high"]
        assert (auc["measured_on"], auc["chosen_on"], auc["n_candidates"]) == (
            "validation",
            "validation",
            2,
        )
        assert row["difference_to_best_baseline"]["n"] == auc["n"]
    text = json.dumps(content).lower()
    assert '"f1' not in text
    assert "accuracy" not in text


def test_differences_belong_to_the_store_not_to_the_run(finished, tmp_path, capsys):
    """A run made beside fewer baselines is compared with the best one as soon as that is there."""
    import shutil

    folder, content = finished
    copy = tmp_path / "store"
    shutil.copytree(folder / "store", copy)
    shutil.rmtree(copy / "index")
    (group,) = content["groups"]
    best = max(_of(group, baseline=True), key=lambda r: r["estimates"]["auc"]["value"])
    assert group["best_baseline"] == best["key"]
    for row in _of(group, baseline=False):
        difference = row["estimates"]["auc"]["value"] - best["estimates"]["auc"]["value"]
        assert row["difference_to_best_baseline"]["value"] == pytest.approx(difference)
    shutil.rmtree(copy / "runs" / best["key"])
    _, out, _ = call(capsys, "leaderboard", "--store", copy, "--json")
    (other,) = json.loads(out)["groups"]
    assert other["best_baseline"] != best["key"]
    _, out, _ = call(capsys, "show", "T-01", "--store", copy)
    assert "AUC minus that of the best baseline" in out


@pytest.mark.parametrize("which", ["networks", "baselines"])
def test_predictions_changed_on_disk_are_named(finished, tmp_path, capsys, which):
    import shutil

    folder, content = finished
    shutil.copytree(folder / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "index")
    (group,) = content["groups"]
    key = group["best_baseline"] if which == "baselines" else _of(group, baseline=False)[0]["key"]
    path = tmp_path / "store" / "runs" / key / "predictions.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    code, out, _ = call(capsys, "leaderboard", "--store", tmp_path / "store", "--json")
    (problem,) = json.loads(out)["problems"]
    assert code == 0
    assert problem["name"] == key
    assert "content differs" in problem["reason"]


def test_a_second_call_trains_nothing(finished, capsys):
    folder, content = finished
    began = time.perf_counter()
    code, out, _ = call(capsys, "run", folder / "tiny.yaml", "--store", folder / "store", "--json")
    assert time.perf_counter() - began < 20
    again = json.loads(out)
    assert (code, again["trained"]) == (0, [])
    assert _plain(again["groups"]) == _plain(content["groups"])


def test_stored_runs_hold_every_prediction(finished):
    import polars as pl

    from trueness.store import Store

    runs, problems = Store(finished[0] / "store").all_runs()
    assert (len(runs), problems) == (7, [])
    for run in runs:
        predictions = run.table()
        names = ["split", "fold", "id", "time", "y", "regime", "y_mirror", "score", "score_last"]
        assert predictions.columns == names
        counted = dict(predictions.group_by("split").len().iter_rows())
        assert counted == {part: n for part, (n, _) in run.record["folds"][0].items()}
        assert predictions["score"].is_finite().all()
        measured = predictions.filter(pl.col("split") == "validation")
        assert measured["y"].sum() == run.record["estimates"]["base_rate"]["k"]


def test_the_report_is_self_contained(finished):
    html = (finished[0] / "report.html").read_text()
    for name in (
        "T-01",
        "a20/forest",
        "AUC with intervals",
        "Precision and recall over the alarm rate",
        "Run by run",
        "Loss per epoch",
    ):
        assert name in html
    import re

    assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="http', html) == []
    assert "F1" not in html.split("</script>")[-1]


@pytest.mark.processes
def test_sigkill_at_any_moment_loses_and_repeats_nothing(tiny, tmp_path):
    """Kill the run again and again; every key is stored once, whole, and nothing temporary stays."""
    chance, store, kills = random.Random(1), tmp_path / "store", 0
    while True:
        process = start("run", tiny, "--store", store, "--json", "--workers", 1)
        try:
            process.wait(timeout=chance.uniform(2.5, 5.0) * 1.3**kills)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            assert kills < 12
            for record in (store / "runs").glob("[0-9a-f]*/record.json"):
                read_json(record)
            continue
        out, err = process.communicate()
        assert process.returncode == 0, err
        break
    assert kills > 0
    content = json.loads(out)
    assert len(set(content["trained"]) | set(content["reused"])) == len(BASELINES) + 2
    assert set(content["trained"]) & set(content["reused"]) == set()
    assert len(os.listdir(store / "runs")) == len(BASELINES) + 2
    assert content["problems"] == []


@pytest.mark.processes
def test_ctrl_c_keeps_what_is_finished(tiny, tmp_path):
    slow = tiny.read_text().replace("epochs: 2", "epochs: 100000, patience: 100000")
    tiny.write_text(slow)
    process = start("run", tiny, "--store", tmp_path / "store", "--json", "--workers", 2)
    deadline = time.time() + 60
    runs = tmp_path / "store" / "runs"
    while len(list(runs.glob("[0-9a-f]*"))) < len(BASELINES) and time.time() < deadline:
        time.sleep(0.2)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    content = json.loads(out)
    assert content["interrupted"] is True
    assert len(content["trained"]) == len(BASELINES)
    assert "Run the same command to resume" in err


@pytest.mark.long
def test_a_failing_member_is_recorded_and_the_campaign_goes_on(tiny, tmp_path, capsys):
    bad = "  - {id: BAD, recipe.learning_rate: 1e30, model.revin: false}\n"
    tiny.write_text(tiny.read_text().replace("data: bars.csv\n", bad + "data: bars.csv\n"))
    code, out, _err = call(
        capsys, "run", tiny, "--store", tmp_path / "store", "--json", "--workers", 0
    )
    content = json.loads(out)
    assert (code, len(content["failed"]), len(content["trained"])) == (1, 1, len(BASELINES) + 2)
    assert "not finite" in content["failures"][content["failed"][0]]
    code, out, _ = call(capsys, "leaderboard", "--store", tmp_path / "store")
    assert "failed" in out


@pytest.mark.long
def test_seeds_and_selection_reach_the_store(tiny, tmp_path, capsys):
    arguments = (
        "run",
        tiny,
        "--store",
        tmp_path / "s",
        "--json",
        "--id",
        "T-01",
        "--seeds",
        2,
        "--workers",
        0,
    )
    _, out, _ = call(capsys, *arguments)
    (group,) = json.loads(out)["groups"]
    assert sorted(row["ids"][0] for row in _of(group, baseline=False)) == ["T-01", "T-01@43"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",), ("list", "demo"), ("features", "--tier", "a20"), ("explain",), ("explain", "tru003"),
        ("data", "check", "sp500", "--calendar", "XNYS"), ("leaderboard",), ("leaderboard", "tiny", "--sort", "auc"),
        ("show", "T-01"), ("features", "audit", "--tier", "a20"), ("features", "build", "--tier", "a20", "--out", "f.parquet"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_verb_prints_text_and_json(finished, capsys, monkeypatch, arguments):
    monkeypatch.chdir(finished[0])
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    assert out.strip()
    code, out, err = call(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)


def test_sorting(finished, capsys):
    for sort in ("auc", "precision@15", "recall@0.5"):
        _, out, _ = call(
            capsys, "leaderboard", "--store", finished[0] / "store", "--sort", sort, "--json"
        )
        rows = _of(json.loads(out)["groups"][0], baseline=True)
        enough = [
            r for r in rows if r["estimates"][sort]["k"] is None or r["estimates"][sort]["n"] >= 5
        ]
        lows = [r["estimates"][sort]["low"] for r in enough]
        assert lows == sorted(lows, reverse=True)
        assert rows[: len(enough)] == enough


BAD = {
    "missing data": (["run", "demo", "--data", "nothing.csv"], "nothing.csv: no such file"),
    "wrong columns": (["run", "demo", "--data", "wrong.csv"], "no column"),
    "unknown tier": (["run", "demo", "--tier", "a500"], "has no tier 'a500'"),
    "unknown campaign": (["run", "dmeo"], "unknown campaign 'dmeo'"),
    "unknown id": (["run", "demo", "--id", "D-9"], "has no id 'D-9'"),
    "unknown priority": (["run", "demo", "--priority", "P7"], "has no priority 'P7'"),
    "unknown loss": (["run", "loss.yaml"], "loss.yaml:2: A: loss: unknown kind 'hinge'"),
    "heads": (["run", "heads.yaml"], "n_heads 5 does not divide d_model 128"),
    "long context": (["run", "context.yaml"], "too few for tier a20"),
    "small region": (["run", "region.yaml"], "validation has 0 windows"),
    "unwritable store": (
        ["run", "demo", "--store", "/proc/store"],
        "/proc/store: cannot be written",
    ),
    "store is a file": (["run", "demo", "--store", "wrong.csv"], "wrong.csv is a file"),
    "newer store": (["run", "demo", "--store", "newer"], "written by a newer trueness"),
    "newer store, leaderboard": (
        ["leaderboard", "--store", "newer"],
        "written by a newer trueness",
    ),
    "report folder": (
        ["run", "demo", "--report", "nowhere/report.html"],
        "cannot be written there",
    ),
    "protocol": (["run", "demo", "--protocol", "backtest"], "backtest"),
    "device": (["run", "demo", "--device", "tpu"], "device 'tpu' is not available"),
    "workers": (["run", "demo", "--workers", "-1"], "workers"),
    "seeds": (["run", "demo", "--seeds", "0"], "0 seeds"),
    "vix": (["run", "demo", "--vix", "wrong.csv"], "no column"),
    "unknown flag": (["run", "demo", "--sedes", "3"], "--sedes"),
    "no campaign": (["run"], "CAMPAIGN"),
    "list": (["list", "nothing"], "unknown campaign 'nothing'"),
    "leaderboard campaign": (
        ["leaderboard", "demo", "--store", "empty"],
        "no runs of a campaign 'demo'",
    ),
    "leaderboard limit": (["leaderboard", "--limit", "x"], "limit"),
    "show": (["show", "abcdef"], "no run has the id or key 'abcdef'"),
    "check": (["explain", "TRU999"], "unknown check 'TRU999'"),
    "features": (["features", "--tier", "b20"], "unknown tier 'b20'"),
    "data check": (["data", "check", "wrong.csv"], "no column"),
    "calendar": (["data", "check", "sp500", "--calendar", "MARS"], "unknown calendar 'MARS'"),
    "build tier": (
        ["features", "build", "--tier", "a21", "--out", "f.parquet"],
        "unknown tier 'a21'",
    ),
    "build out": (["features", "build", "--out", "nowhere/f.parquet"], "cannot be written there"),
    "build short": (
        ["features", "build", "--data", "short.csv", "--out", "f.parquet"],
        "are too few",
    ),
    "audit tier": (["features", "audit", "--tier", "a21"], "unknown tier 'a21'"),
    "audit data": (["features", "audit", "--data", "nothing.csv"], "no such file"),
    "audit blocks": (["features", "audit", "--block-days", "0"], "at least 1 day"),
    "reduce out": (["features", "reduce", "--out", "nowhere/r.yaml"], "cannot be written there"),
    "reduce rounds": (["features", "reduce", "--out", "r.yaml", "--rounds", "0"], "at least 1"),
    "reduce tier": (["features", "reduce", "--out", "r.yaml", "--tier", "b"], "unknown tier 'b'"),
    "device index": (["run", "demo", "--device", "cpu:x"], "device 'cpu:x' is not available"),
    "long path": (["leaderboard", "--store", "x" * 5000], "File name too long"),
    "nul": (["leaderboard", "--store", "a\0b"], "NUL"),
    "newline": (["run", "a\nb.yaml"], "no such file"),
    "verb": (["trane"], "trane"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_exit_2_and_nothing_written(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    synthetic_bars(60).frame().write_csv(tmp_path / "short.csv")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "store.json").write_text('{"version": 99}')
    for name, content in (
        ("loss", "{id: A, loss: hinge}"),
        ("heads", "{id: A, model: {kind: patchtst, n_heads: 5}}"),
        ("context", "{id: A, task.context: 5000}"),
        (
            "region",
            "{id: A, evaluation: {protocol: holdout, val_start: 2018-12-01, test_start: 2018-12-20}}",
        ),
    ):
        (tmp_path / f"{name}.yaml").write_text(f"experiments:\n  - {content}\n")
    before = sorted(tmp_path.rglob("*"))
    arguments, words = BAD[case]
    code, out, err = call(capsys, *arguments)
    assert code == 2, err
    assert out == ""
    assert err.startswith("trueness: ")
    assert err.count("\n") == 1
    assert words in err
    assert sorted(tmp_path.rglob("*")) == before


def test_trace_shows_the_rest():
    process = start("run", "dmeo", "--trace")
    _, err = process.communicate()
    assert "Traceback" in err
    assert "CampaignError" in err


def test_help_and_leaderboard_load_no_heavy_library(finished):
    code = (
        "import sys\nfrom trueness.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print([m for m in {heavy} if m in sys.modules])"
    )
    for arguments, heavy in (
        (["--help"], ("torch", "numpy", "polars", "sklearn", "pydantic", "plotly", "talib")),
        (
            ["leaderboard", "--store", str(finished[0] / "store")],
            ("torch", "sklearn", "arch", "talib", "optuna"),
        ),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(heavy=heavy), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip().endswith("[]"), ran.stdout[-300:]


def test_every_verb_has_an_example_in_its_help(capsys):
    verbs = [
        ["run"],
        ["list"],
        ["leaderboard"],
        ["show"],
        ["compare-published"],
        ["tracker"],
        ["data", "check"],
        ["features"],
        ["explain"],
    ]
    for verb in verbs:
        code, out, _ = call(capsys, *verb, "--help")
        assert code == 0
        assert "Example: trueness " + verb[0] in " ".join(out.split())
        assert "--json" in out


def test_output_into_a_closed_pipe_is_quiet():
    process = subprocess.Popen(
        f"{sys.executable} -c 'from trueness.cli import main; main([\"features\"])' | head -1",
        shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, err = process.communicate()
    assert out.count("\n") == 1
    assert err == ""


@pytest.mark.slow
def test_the_demo_finishes_under_a_seed_and_protocol(tmp_path):
    process = start(
        "run",
        "demo",
        "--protocol",
        "holdout",
        "--seeds",
        "2",
        "--store",
        tmp_path / "s",
        "--json",
        cwd=Path.cwd(),
    )
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert len(_of(json.loads(out)["groups"][0], baseline=False)) == 8


def test_a_large_campaign_asks_for_all(capsys, tmp_path):
    code, _, err = call(capsys, "run", "precision", "--store", tmp_path / "store")
    assert code == 2
    assert "precision has 183 experiments; choose with --priority" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "demo", "--seeds", "1.5", "--dry-run"),
        ("run", "demo", "--workers", "0.4", "--dry-run"),
        ("leaderboard", "--limit", "1.5"),
        ("features", "reduce", "--out", "x.yaml", "--rounds", "2.5"),
    ],
)
def test_half_a_thing_is_refused(capsys, arguments):
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert arguments[-1 if arguments[0] != "run" else 3] in err


@pytest.mark.processes
def test_two_processes_share_a_campaign(tiny, tmp_path):
    """Each run is trained by one of them; both stores' leaderboards are whole afterwards."""
    tiny.write_text(
        tiny.read_text()
        .replace("T-01..T-02", "T-01..T-06")
        .replace("[0.0, 0.2]", "[0.0, 0.2], seed: [1, 2, 3]")
    )
    both = [
        start("run", tiny, "--store", tmp_path / "store", "--workers", 1, "--json") for _ in "ab"
    ]
    answers = [json.loads(p.communicate()[0]) for p in both]
    assert [p.returncode for p in both] == [0, 0]
    trained = [key for a in answers for key in a["trained"]]
    assert len(trained) == len(set(trained)) == len(BASELINES) + 6
    assert not list((tmp_path / "store" / "claims").glob("[0-9a-f]*"))
    assert len(list((tmp_path / "store" / "runs").glob("[0-9a-f]*"))) == len(BASELINES) + 6
