"""What a run would do, told before anything is trained or written."""

import json
import re
from pathlib import Path

from tests.conftest import BASELINES
from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.engines import Setting
from trueness.fit import Device
from trueness.plan import plan, planned
from trueness.plan.dry_run import size_text
from trueness.report import to_markdown
from trueness.store import Store

CPU = Setting(Device("cpu", has_bf16=False), Path("store"))


def test_dry_run_writes_nothing(tiny, tmp_path, capsys):
    arguments = ("run", tiny, "--store", tmp_path / "store", "--dry-run")
    code, out, _ = call(capsys, *arguments, "--json")
    content = json.loads(out)
    assert (code, content["schema"], content["kind"]) == (0, 1, "dry_run")
    assert not (tmp_path / "store").exists()
    network = next(row for row in content["rows"] if row["id"] == "T-01")
    about = (
        (Path(__file__).parents[1] / "docs" / "reference" / "json.md")
        .read_text()
        .partition('"dry_run"')[2]
    )
    described = set(re.findall(r"`(\w+)`", about.partition("\n\n")[0]))
    assert {*content["rows"][0], *content["size"]} <= described
    assert network["parameters"] > 0
    assert network["work_gflop"] > 0
    assert network["folds"][0]["validation"]["positives"] > 0
    code, out, _ = call(capsys, *arguments)
    assert f"To train: {len(BASELINES)} baselines; 2 models, at most " in out
    assert not (tmp_path / "store").exists()


def test_what_the_evaluation_set_can_show_is_told_before_training(tiny, tmp_path, capsys):
    code, out, _ = call(capsys, "run", tiny, "--store", tmp_path / "s", "--dry-run", "--json")
    content = json.loads(out)
    (actual,) = content["power"]
    fold = next(row for row in content["rows"] if row["id"] == "T-01")["folds"][0]
    assert code == 0
    assert (actual["part"], actual["candidates"], actual["alarms"]) == ("validation", 2, 30)
    assert actual["positives"] == fold["validation"]["positives"]
    assert actual["samples"] == fold["validation"]["n"]
    _, text, _ = call(capsys, "run", tiny, "--store", tmp_path / "s", "--dry-run")
    assert all(line in " ".join(text.split()) for line in actual["lines"])
    code, _, err = call(
        capsys, "run", tiny, "--store", tmp_path / "s", "--json", "--workers", 0, "--id", "T-01"
    )
    assert code == 0
    assert err.index("Minimum detectable with 80 % power") < err.index("T-01")


def _document(campaign, store):
    return planned(campaign, plan(campaign, store), CPU, 1).document()


def test_experiments_and_splits_are_typed(tiny, tmp_path):
    store = Store(tmp_path / "store")
    document = _document(load_campaign(tiny, seeds=2), store)
    experiments, splits = document.tables()
    names = [column.title for column in experiments.columns]
    assert [row[names.index("id")] for row in experiments.rows] == [
        "T-01", "T-01@43", "T-02", "T-02@43"]  # fmt: skip
    assert {row[names.index("stored")] for row in experiments.rows} == {"no"}
    (fold,) = splits.rows
    assert [column.title for column in splits.columns] == ["fold", "train", "validation", "test"]
    assert all(share.low is None and 0 < share.k < share.n for share in fold[1:])


def test_every_way_of_splitting_has_a_table_and_failures_are_left_out(tiny, tmp_path):
    text = tiny.read_text()
    tiny.write_text(text.replace(
        "data: bars", "  - {id: H-01, priority: P1, task.horizon: 3}\ndata: bars"
    ))  # fmt: skip
    campaign, store = load_campaign(tiny), Store(tmp_path / "store")
    store.prepare()
    store.write_failure(campaign.experiments[0].spec, "Traceback\nValueError: no")
    document = _document(campaign, store)
    titles = [table.title for table in document.tables()[1:]]
    assert len(titles) == 2
    assert any("H-01" in title and "T-01" not in title for title in titles)
    page = to_markdown(document)
    assert "1 run failed before and left out; --retry tries them again" in page
    assert re.search(r"To train: \d+ baselines; 2 models", page)


def test_no_work_is_not_counted_in_gflop():
    size = {"baselines": 1, "networks": 0, "folds": 3, "fits": 0, "gflop_at_most": 0.0,
            "gflop_expected": None, "hours_at_most": None, "hours_expected": None,
            "memory_bytes": 0}  # fmt: skip
    assert "GFLOP" not in size_text(size)
    assert "GFLOP" in size_text(size | {"gflop_at_most": 2.0})
