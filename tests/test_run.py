"""Run control: plan, retry, hours, guard, status, notes; real training of tiny networks."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import BASELINES
from trueness.callback import Callback
from trueness.campaign import load_campaign
from trueness.engines import Setting, engine_of
from trueness.errors import SpecError
from trueness.fit import Device
from trueness.plan import hours_text, measured_rate, plan, size_text
from trueness.report.progress import ProgressCallback
from trueness.runner import run
from trueness.store import Store
from trueness.store.leases import Leases

CPU = Setting(Device("cpu", has_bf16=False), Path("store"))
GPU = Setting(Device("cuda", has_bf16=True), Path("store"))


class Diary(Callback):
    def __init__(self):
        self.begins, self.ends, self.broken, self.notes, self.amounts = [], [], [], [], {}

    def on_stage_start(self, stage, total):
        self.stage = stage
        self.amounts[stage] = [total, 0.0]

    def on_run_start(self, ids):
        self.begins.append(ids[0])

    def on_progress(self, amount, text=""):
        self.amounts[self.stage][1] += amount

    def on_run_stored(self, ids, record):
        self.ends.append(ids[0])

    def on_run_failed(self, ids, reason):
        self.broken.append(ids[0])

    def on_note(self, text):
        self.notes.append(text)


def test_a_plan_counts_stacks_members_work_and_memory(tiny, tmp_path, monkeypatch):
    todo = plan(load_campaign(tiny, seeds=3), Store(tmp_path / "store"))
    size = todo.size(CPU, 2)
    assert (size["networks"], size["stacks"], size["fits"]) == (6, 6, 6)  # one fit each on a CPU
    assert size["baselines"] == len(BASELINES)
    assert size["modes"] == ["eager"]
    assert size["gflop_at_most"] == pytest.approx(
        sum(r["work_gflop"] for r in todo.rows if r["parameters"]), abs=0.01
    )
    assert size["hours_at_most"] is not None  # tried on this machine
    assert size["hours_expected"] is None  # nothing was stored yet
    monkeypatch.setattr(Device, "free_bytes", lambda self: 80 * 10**9)
    assert todo.size(GPU, 1)["hours_at_most"] is None
    assert "time known after the first" in size_text(todo.size(GPU, 1))
    assert size["folds"] == 1
    assert size_text(size).startswith(f"{len(BASELINES)} baselines; 6 models, at most ")
    assert "2 models × 3 folds = 6 fits" in size_text({**size, "networks": 2, "folds": 3})


def test_on_an_accelerator_seeds_losses_and_dropout_share_a_stack(tiny, tmp_path, monkeypatch):
    text = tiny.read_text().replace(
        "[0.0, 0.2]", "[0.0, 0.2], loss: [bce, {kind: softauc}, {kind: poly}]"
    )
    tiny.write_text(text.replace("T-02", "T-06"))
    todo = plan(load_campaign(tiny, seeds=2), Store(tmp_path / "store"))
    monkeypatch.setattr(Device, "free_bytes", lambda self: 80 * 10**9)
    (job,) = todo.jobs(todo.missing, GPU)
    assert (job.fits, job.width) == (12, 12)
    few = 2.5 * job.bytes / 12 / 0.8  # memory for two and a half members
    monkeypatch.setattr(Device, "free_bytes", lambda self: int(few))
    assert [one.fits for one in todo.jobs(todo.missing, GPU)] == [2] * 6


def test_what_is_stored_already_is_shown_without_loading_torch(tiny, tmp_path):
    run(load_campaign(tiny), Store(tmp_path / "store"), workers=0)
    code = (
        "import sys\nfrom trueness.cli import main\ntry:\n    main()\nexcept SystemExit as end:\n"
        "    print('status', end.code or 0, 'torch' in sys.modules)"
    )
    words = ["run", str(tiny), "--store", str(tmp_path / "store")]
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True,
                            check=True)  # fmt: skip
    assert answer.stdout.splitlines()[-1] == "status 0 False"


@pytest.mark.long
def test_priorities_run_in_the_order_of_the_file_and_work_adds_up(tiny, tmp_path):
    wide = "{id: Z-01, priority: P0, model.d_model: 16}"
    last = "{id: Z-02, priority: P2, model.d_model: 16, seed: 1}"
    text = tiny.read_text().replace("experiments:\n", f"experiments:\n  - {wide}\n")
    tiny.write_text(text.replace("data: bars", f"  - {last}\ndata: bars"))
    diary, store = Diary(), Store(tmp_path / "store")
    summary = run(load_campaign(tiny), store, workers=0, callback=diary)
    first = len(BASELINES)
    assert diary.begins[first:] == diary.ends[first:] == ["Z-01", "T-01", "T-02", "Z-02"]
    assert len(summary.trained) == first + 4
    assert diary.notes[0].startswith(f"{first} baselines; 4 models, at most ")
    for total, done in diary.amounts.values():
        assert done == pytest.approx(total)
    assert Leases(store).statuses("tiny") == []
    again = plan(load_campaign(tiny), store)
    assert measured_rate(again.store, "stack", "cpu") > 0
    assert again.size(CPU, 2)["networks"] == 0
    more = plan(load_campaign(tiny, seeds=3), store).size(CPU, 2)  # 2 of 2 were trained
    assert more["gflop_expected"] == more["gflop_at_most"]


@pytest.mark.long
def test_what_is_expected_is_the_epochs_that_stored_runs_took(tiny, tmp_path):
    tiny.write_text(tiny.read_text().replace("epochs: 2", "epochs: 40, patience: 1"))
    store = Store(tmp_path / "store")
    run(load_campaign(tiny), store, workers=0)
    taken = [r.record["last_epochs"][0] for r in store.all_runs(9)[0] if "last_epochs" in r.record]
    size = plan(load_campaign(tiny, seeds=3), store).size(CPU, 2)
    assert max(taken) < 40
    share = size["gflop_expected"] / size["gflop_at_most"]
    assert share == pytest.approx(sum(taken) / len(taken) / 40, abs=1e-3)


def test_the_time_told_for_shapes_between_those_tried_lies_between(tiny, tmp_path):
    widths = "experiments:\n" + "".join(
        f"  - {{id: W-{w}, priority: P1, model.d_model: {w}, model.d_ff: {2 * w}}}\n"
        for w in (8, 16, 32, 64)
    )
    tiny.write_text(tiny.read_text().split("experiments:")[0] + widths + "data: bars.csv\n")
    todo = plan(load_campaign(tiny), Store(tmp_path / "store"))
    jobs = todo.jobs(todo.missing, CPU)
    rates = engine_of("stack").rates(jobs, CPU)
    assert len(rates) == 4
    ends = sorted((rates[0], rates[2]))
    assert ends[0] <= rates[1] <= ends[1]


@pytest.mark.long
def test_failed_runs_are_recorded_left_out_and_retried_on_request(tiny, tmp_path):
    tiny.write_text(
        tiny.read_text()
        .replace("1e-3", "1e30")
        .replace("{kind: patchtst,", "{kind: patchtst, revin: false,")
    )
    campaign, store = load_campaign(tiny), Store(tmp_path / "store")
    first = run(campaign, store, workers=0)
    keys = [e.spec.key for e in campaign.experiments]
    assert sorted(first.failed) == sorted(keys)
    assert all("not finite in epoch" in reason for reason in store.failures().values())
    diary = Diary()
    second = run(campaign, store, workers=0, callback=diary)
    assert sorted(second.failed) == sorted(keys)
    assert diary.begins == []  # left out
    assert "networks" not in diary.amounts
    third = run(campaign, store, workers=0, retry=True, callback=diary)
    assert diary.broken == ["T-01", "T-02"]
    assert third.failed == keys


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 1])
def test_when_the_hours_are_over_the_rest_is_missing(tiny, tmp_path, workers):
    tiny.write_text(tiny.read_text().replace("epochs: 2", "epochs: 100000, patience: 100000"))
    campaign, store = load_campaign(tiny), Store(tmp_path / "store")
    began = time.monotonic()
    summary = run(campaign, store, workers=workers, max_hours=5 / 3600)
    assert time.monotonic() - began < 40
    assert summary.out_of_time
    assert not summary.interrupted
    assert set(summary.missing) >= {e.spec.key for e in campaign.experiments}
    assert summary.failed == []
    assert list((store.root / "runs").glob(".tmp-*")) == []
    for hours in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SpecError, match="more than 0"):
            run(campaign, store, max_hours=hours)


@pytest.mark.long
def test_incidents_are_recorded_with_epoch_and_cause(tiny, tmp_path):
    text = tiny.read_text().replace(
        "epochs: 2", "epochs: 15, patience: 15, optimizer: adamw, weight_decay: 500"
    )
    tiny.write_text(text)
    campaign, store = load_campaign(tiny), Store(tmp_path / "store")
    run(campaign, store, workers=0)
    record = store.run(campaign.experiments[0].spec.key).record
    actual = {i["what"]: i for i in record["incidents"]}
    assert actual["collapsed scores"]["epoch"] >= 1
    assert actual["collapsed scores"]["until"] is None
    assert actual["collapsed scores"]["cause"]
    history = store.run(campaign.experiments[0].spec.key).history()
    narrow = (history["val_high"] - history["val_low"] < 0.1).to_list()  # a fifth of at most 0.5
    assert all(narrow[actual["collapsed scores"]["epoch"] - 1 :])


def test_status_names_what_runs_now(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    note = {"began": "", "stage": "networks", "done": 1.0, "total": 2.0, "trained": 0, "failed": 0}
    Leases(store).write_status("c", {**note, "running": ["A"]})
    Leases(store).write_status("c-2", {**note, "running": ["B"]})
    (actual,) = Leases(store).statuses("c")
    assert actual["running"] == ["A"]
    path = next((store.root / "status" / "c").glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 2**22 + 1}))
    assert Leases(store).statuses("c") == []  # that process is gone
    Leases(store).write_status("c-2", None)
    assert Leases(store).statuses("c-2") == []


def test_hours_read_well():
    assert [hours_text(h) for h in (0.1, 1.5, 30)] == ["6 min", "90 min", "30.0 h"]


@pytest.mark.parametrize("watch", [True, False])
def test_progress_on_a_terminal(tiny, tmp_path, watch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140, height=40)
    with ProgressCallback(console, watch) as shown:
        run(load_campaign(tiny), Store(tmp_path / "store"), workers=0, callback=shown)
    text = out.getvalue()
    assert "T-02" in text
    assert "AUC" in text
    assert ("best so far by its lower end: " in text) == watch
    assert ("7 done, 0 running, 0 failed" in text) == watch


def test_a_network_that_cannot_fit_is_refused(tiny, tmp_path):
    tiny.write_text(
        tiny.read_text().replace("d_model: 8", "d_model: 65536").replace("d_ff: 16", "d_ff: 262144")
    )
    with pytest.raises(SpecError, match="GB are free on cpu; make it or its batch smaller"):
        run(load_campaign(tiny), Store(tmp_path / "store"), workers=0)
