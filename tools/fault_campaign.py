"""Kill processes at every file event and at random times; nothing may be lost, doubled or left.

    python tools/fault_campaign.py [--kills 1000] [--only run,search] [--seed 0] [--folder DIR]

Each scenario is a command that is called again until it ends by itself. A child is killed by
SIGKILL right before its n-th file event (a file opened for writing, renamed, removed, a folder
made or removed), n running through all of them, or at a random time. Afterwards the folder must
hold what it holds when nobody kills:

* every run with the same predictions and weights, and a run that was stored was not stored again;
* no temporary file, lease, note of progress or checkpoint;
* the ledger and the campaign's ids whole; every trial of a study completed, none twice;
* the same leaderboard, to the digit.

Children are forked from a process that has imported everything, and train with no workers, so that
a kill costs about a second. `tests/test_fault_campaign.py` calls it with few kills.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

WATCHED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod"}
VOLATILE = ("access", "created", "seconds", "ledger", "notes")
"""Fields of a leaderboard that differ between two calls."""
CAMPAIGN = """\
campaign: tiny
title: Two tiny networks
data: bars.csv
defaults:
  task: {context: 20, tier: a20}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 8, patch_length: 5, stride: 5}
  recipe: {epochs: 1, batch_size: 64, precision: float32}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
experiments:
  - {id: T-1, priority: P1}
  - {id: T-2, priority: P1, model.d_model: 12}
"""
SEARCH = """\
search: small
title: Tiny networks
data: bars.csv
space:
  task: {context: 20, tier: a20}
  model:
    {kind: patchtst, d_model: {one_of: [8, 12]}, n_layers: {one_of: [1, 2]}, n_heads: 2, d_ff: 8,
     patch_length: 5, stride: 5}
  recipe: {epochs: 1, batch_size: 64, precision: float32, learning_rate: {one_of: [1e-3, 3e-3]}}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
"""
TRIALS = 4


# ------------------------------------------------------------------------------------- scenarios


@dataclass(frozen=True)
class Scenario:
    """Something to be killed.

    Attributes
    ----------
    name : str
    prepare : callable
        Writes what the work reads into a folder.
    work : callable
        The work, in a folder; called again after a kill.
    outcome : callable
        What the folder holds then, comparable with `==`.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    outcome: Callable[[Path], Any]


def _bars(folder: Path) -> None:
    from trueness.market import synthetic_bars

    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "tiny.yaml").write_text(CAMPAIGN)
    (folder / "small.yaml").write_text(SEARCH)


def _run(folder: Path) -> None:
    """A campaign with two baselines and two networks, then its leaderboard."""
    from trueness.campaign import load_campaign
    from trueness.judge.leaderboard import leaderboard
    from trueness.runner import run
    from trueness.store import Store

    whole, store = load_campaign(folder / "tiny.yaml"), Store(folder / "store")
    few = tuple(e for e in whole.baselines if e.spec.model.kind in ("base_rate", "logit"))
    run(replace(whole, baselines=few), store, device="cpu", workers=0)
    leaderboard(store, "tiny", access=("leaderboard", "sort"))


def _search(folder: Path) -> None:
    from trueness.search import load_search, open_storage, open_study, search_trials
    from trueness.search.studies import file_url
    from trueness.search.trainer import Objective, Trainer
    from trueness.store import Store

    goal, search = Objective("auc"), load_search(folder / "small.yaml")
    study = open_study(search, goal.names, open_storage(file_url(folder / "search.sqlite3")))
    trainer = Trainer(search, Store(folder / "store"), goal, device="cpu", workers=0)
    search_trials(search, study, trainer, trials=TRIALS)


def _stored(folder: Path) -> dict[str, Any]:
    """Digests of what every run says, ids of campaigns, the access log, the leaderboard."""
    from trueness.judge.leaderboard import leaderboard
    from trueness.store import Store
    from trueness.store.ledger import Ledger

    store = Store(folder / "store")
    runs, problems = store.all_runs()
    assert not problems, problems
    assert Ledger(store).damaged() == 0, "lines of the ledger are torn"
    kept = ("predictions.parquet", "model.safetensors")
    digests = {
        run.key: {n: f["sha256"] for n, f in run.record["files"].items() if n in kept}
        for run in runs
    }
    text = json.dumps(leaderboard(store).to_dict(), default=str).replace(str(folder), "")
    board = _plain(json.loads(text))
    return {"runs": digests, "ids": store.campaigns(), "leaderboard": board}


def _searched(folder: Path) -> dict[str, Any]:
    """As `_stored`, and the study; ids of trials depend on which numbers were killed."""
    import optuna

    from trueness.search.studies import file_url

    (study,) = optuna.get_all_study_summaries(file_url(folder / "search.sqlite3"))
    trials = optuna.load_study(
        study_name=study.study_name, storage=file_url(folder / "search.sqlite3")
    ).get_trials()
    states = [trial.state.name for trial in trials]
    assert states.count("COMPLETE") == TRIALS, states
    assert not {"RUNNING", "WAITING"} & {*states[:TRIALS]}, states
    keys = [t.user_attrs["key"] for t in trials if t.state.name == "COMPLETE"]
    assert len({*keys}) == TRIALS, keys
    stored = _stored(folder)["runs"]
    assert {*keys} <= {*stored}
    return {"baselines": {k: v for k, v in stored.items() if k not in keys}}


def _plain(content: object) -> object:
    if isinstance(content, dict):
        return {n: _plain(v) for n, v in content.items() if n not in VOLATILE}
    return [_plain(one) for one in content] if isinstance(content, list) else content


def _titles(folder: Path) -> None:
    from trueness.text.building import Plan, build
    from trueness.text.synthetic import Catalogue

    build(Catalogue(rows=700), folder / "corpus", Plan(validation=0.2, test=0.2, threshold=None))
    build(Catalogue(rows=400), folder / "earlier", Plan(validation=0.2, test=0.2, threshold=None))


def _train_titles(folder: Path) -> None:
    """A linear baseline, and an encoder that writes a checkpoint after every epoch."""
    from trueness.campaign import campaign_of
    from trueness.runner import run
    from trueness.spec.titles import TitlesSpec
    from trueness.store import Store
    from trueness.tasks import task_of

    data = task_of("titles").load({"data": folder / "corpus"}, True, None)
    spec = TitlesSpec.model_validate({
        "task": {
            "kind": "titles", "corpus": data.digest, "tokenizer": {"kind": "bpe", "vocabulary": 400}
        },
        "model": {
            "kind": "encoder", "d_model": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1,
            "d_ff": 32, "head": {"kind": "residual", "hidden": 16},
        },
        "recipe": {"epochs": 3, "warmup_steps": 2, "learning_rate": 0.01, "precision": "float32"},
        "evaluation": {"min_rows": 10, "draws": 100},
    })  # fmt: skip
    campaign = campaign_of(spec, data, "train", "E")
    few = tuple(e for e in campaign.baselines if e.spec.model.kind in ("majority", "tfidf"))[:1]
    run(replace(campaign, baselines=few), Store(folder / "store"), device="cpu", workers=0)


def _build(folder: Path) -> None:
    """A corpus in the place of an earlier one."""
    from trueness.text.building import Plan, build
    from trueness.text.synthetic import Catalogue

    build(Catalogue(rows=500), folder / "earlier", Plan(validation=0.2, test=0.2, threshold=None))


def _built(folder: Path) -> dict[str, Any]:
    from trueness.text.corpus import load_corpus

    corpus = load_corpus(folder / "earlier")
    corpus.verify()
    return {"digest": corpus.digest, "there": sorted(p.name for p in folder.iterdir())}


def _scores(folder: Path) -> None:
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    y = (rng.random(600) < 0.2).astype(int)
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2021, 8, 22), eager=True)
    scores = {name: skill * y + rng.normal(size=600) for name, skill in (("good", 1), ("coin", 0))}
    pl.DataFrame({"day": days, "y": y, **scores}).write_csv(folder / "scores.csv")


def _judge(folder: Path) -> None:
    from trueness.cli import main

    try:
        main(["judge", str(folder / "scores.csv"), "--label", "y", "--time", "day",
              "--scale", "rank", "--store", str(folder / "store"), "--json"])  # fmt: skip
    except SystemExit as end:
        if end.code:
            raise


def _one_run(folder: Path) -> None:
    """A stored baseline, and bars that go on after it."""
    from trueness.campaign import load_campaign
    from trueness.market import synthetic_bars
    from trueness.runner import run
    from trueness.store import Store

    longer = synthetic_bars(1300)
    _bars(folder)
    longer.head(1200).frame().write_csv(folder / "bars.csv")
    longer.frame().write_csv(folder / "longer.csv")
    whole = load_campaign(folder / "tiny.yaml")
    few = tuple(e for e in whole.baselines if e.spec.model.kind == "logit")
    run(replace(whole, baselines=few, experiments=()), Store(folder / "store"), device="cpu",
        workers=0)  # fmt: skip


def _used(folder: Path) -> None:
    """A bundle of the run, and its answers in the log."""
    from trueness.bundle.finalizing import finalize_named
    from trueness.bundle.predicting import load
    from trueness.store import Store

    place = folder / "bundle"
    if not (place / "bundle.json").exists():
        bars = {"data": str(folder / "bars.csv")}
        finalize_named(Store(folder / "store"), "a20/logit", bars, place, device="cpu")
    predictor = load(place)
    predictor.predict(predictor.load({"data": folder / "longer.csv"})).written_down()


def _answered(folder: Path) -> dict[str, Any]:
    from trueness.bundle.format import open_bundle
    from trueness.bundle.log import read_log

    bundle = open_bundle(folder / "bundle")
    kept = ("key", "promise", "refit", "members")
    log = read_log(bundle).predictions
    return {
        "bundle": {name: bundle.description[name] for name in kept},
        "files": sorted(bundle.description["files"]),
        "log": {i: line["score"] for i, line in log.items()}, "runs": _stored(folder)["runs"],
        "there": sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock")),
    }  # fmt: skip


SCENARIOS = (
    Scenario("run", _bars, _run, _stored),
    Scenario("search", _bars, _search, _searched),
    Scenario("titles", _titles, _train_titles, _stored),
    Scenario("build", _titles, _build, _built),
    Scenario("judge", _scores, _judge, _stored),
    Scenario("bundle", _one_run, _used, _answered),
)


# ----------------------------------------------------------------------------------------- killing


@dataclass
class Tally:
    """Kills of a scenario, and what was wrong after them."""

    kills: int = 0
    stories: int = 0
    events: int = 0
    faults: list[str] = field(default_factory=list)


def _watch(folder: Path, last: int) -> Callable[[], int]:
    """Count file events under a folder; kill this process right before the given one."""
    inside, count = str(folder), 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, mode, flags = arguments
            writes = any(c in (mode or "") for c in "wax+") or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            )
            if not writes:
                return
        elif event in WATCHED:
            path = arguments[0]
        else:
            return
        if str(path).startswith(inside):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: count


def _child(
    scenario: Scenario, folder: Path, *, last: int = 0, seconds: float | None = None
) -> tuple[str, int]:
    """How a child ended: "done", "killed" or what went wrong; and the events it counted."""
    note = folder.parent / f"{folder.name}.told"
    note.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            counted = _watch(folder, last)
            scenario.work(folder)
            _tell(note, ["done", counted()])
        except BaseException:  # told, then the child ends
            _tell(note, [traceback.format_exc(), 0])
        os._exit(0)
    if seconds is not None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                pid = 0
                break
            time.sleep(0.002)
        if pid:
            os.kill(pid, signal.SIGKILL)
    if pid:
        os.waitpid(pid, 0)
    if not note.exists():
        return "killed", 0
    text, events = json.loads(note.read_text())
    return text, events


def _tell(path: Path, answer: list[object]) -> None:
    """Write it whole or not at all: a kill may come here as well."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(answer))
    unfinished.replace(path)


def _in_child(function: Callable[[Path], object], folder: Path) -> object:
    """Answer of a function that a forked child calls, so that this process stays as it is."""
    note = folder.parent / f"{folder.name}.answer"
    pid = os.fork()
    if pid == 0:
        try:
            answer = {"answer": function(folder)}
        except BaseException:
            answer = {"fault": traceback.format_exc()}
        note.write_text(json.dumps(answer, default=str))
        os._exit(0)
    os.waitpid(pid, 0)
    content = json.loads(note.read_text())
    note.unlink()
    if "fault" in content:
        raise AssertionError(content["fault"])
    return content["answer"]


def _identities(folder: Path) -> dict[str, int]:
    """Which file each stored record is."""
    records = (folder / "store" / "runs").glob("[0-9a-f]*/record.json")
    return {path.parent.name: path.stat().st_ino for path in records}


def _debris(folder: Path) -> list[str]:
    """What a finished command should not leave."""
    every = [p for p in folder.rglob("*") if not p.name.endswith((".lock", "-wal", "-shm"))]
    result = [p for p in every if p.name.startswith((".tmp-", ".search")) or ".earlier" in p.name]
    store = folder / "store"
    for name in ("leases", "checkpoints", "status", "failures"):
        result += [p for p in (store / name).rglob("*") if p.is_file() and p in every]
    return [str(path.relative_to(folder)) for path in result]


def story(
    scenario: Scenario, template: Path, folder: Path, expected: object, first: int | None,
    chance: random.Random, tally: Tally, slow: float,
) -> None:  # fmt: skip
    """Kill one command until it ends, then compare; the first kill is before the event `first`."""
    shutil.copytree(template, folder)
    stored, last, seconds = {}, first, None
    tally.stories += 1
    for attempt in range(60):
        how, _ = _child(scenario, folder, last=last or 0, seconds=seconds)
        now = _identities(folder)
        again = [key for key, inode in stored.items() if now.get(key) != inode]
        if again:
            tally.faults.append(f"{scenario.name}, event {first}: stored again or lost: {again}")
        stored = now
        if how == "done":
            break
        if how != "killed":
            tally.faults.append(f"{scenario.name}, event {first}, call {attempt}: {how}")
            return
        tally.kills += 1
        last, seconds = None, None
        if attempt < 30 and chance.random() < 0.9:  # and again, somewhere
            if chance.random() < 0.5:
                last = chance.randint(1, max(tally.events // 4, 2))  # what is left is less
            else:
                seconds = chance.uniform(0.0, slow / 2)
    else:
        tally.faults.append(f"{scenario.name}, event {first}: never ends")
        return
    try:
        _in_child(lambda folder: _prepared(folder), folder)
        result = _in_child(scenario.outcome, folder)
        if result != expected:
            tally.faults.append(f"{scenario.name}, event {first}: {_difference(result, expected)}")
        if debris := _debris(folder):
            tally.faults.append(f"{scenario.name}, event {first}: left behind {debris}")
    except AssertionError as error:
        tally.faults.append(f"{scenario.name}, event {first}: {error}")


def _prepared(folder: Path) -> None:
    """What the next command does first: it sweeps."""
    from trueness.files import sweep
    from trueness.store import Store
    from trueness.store.leases import Leases

    sweep(folder)
    if (folder / "store").exists():
        Store(folder / "store").prepare()
        Leases(Store(folder / "store")).sweep()


def _difference(result: object, expected: object, where: str = "") -> str:
    if isinstance(result, dict) and isinstance(expected, dict):
        for name in {*result, *expected}:
            if result.get(name) != expected.get(name):
                return _difference(result.get(name), expected.get(name), f"{where}.{name}")
    if isinstance(result, list) and isinstance(expected, list) and len(result) == len(expected):
        for i, pair in enumerate(zip(result, expected, strict=True)):
            if pair[0] != pair[1]:
                return _difference(*pair, f"{where}[{i}]")
    return f"{where}: {str(result)[:200]} instead of {str(expected)[:200]}"


def campaign(scenario: Scenario, kills: int, folder: Path, seed: int) -> Tally:
    """Kill a scenario so many times."""
    tally, chance = Tally(), random.Random(f"{seed} {scenario.name}")
    template, whole = folder / "template", folder / "whole"
    template.mkdir(parents=True)
    _in_child(lambda into: scenario.prepare(into), template)
    shutil.copytree(template, whole)
    began = time.monotonic()
    how, tally.events = _child(scenario, whole)
    slow = time.monotonic() - began
    assert how == "done", how
    _in_child(lambda folder: _prepared(folder), whole)
    expected = _in_child(scenario.outcome, whole)
    order = [*range(1, tally.events + 1)]
    chance.shuffle(order)
    number = 0
    while tally.kills < kills:
        first = order[number % len(order)]
        story(scenario, template, folder / f"s{number}", expected, first, chance, tally, slow)
        shutil.rmtree(folder / f"s{number}", ignore_errors=True)
        number += 1
        if number % 5 == 0 or tally.faults:
            _say(f"{scenario.name}: {tally.kills} kills, {tally.stories} stories, "
                 f"{len(tally.faults)} faults")  # fmt: skip
        if len(tally.faults) >= 5:
            break
    return tally


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _import() -> None:
    """What children use, so that they need not."""
    import lightgbm  # noqa: F401
    import optuna
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401

    import trueness.bundle.finalizing
    import trueness.cli.external
    import trueness.cli.runs
    import trueness.judge.leaderboard
    import trueness.search.trainer
    import trueness.text.building  # noqa: F401

    optuna.logging.set_verbosity(optuna.logging.ERROR)


def main(arguments: list[str] | None = None) -> int:
    """Kill, and print a line per scenario; 1 if anything was wrong."""
    names = [one.name for one in SCENARIOS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, help="of all scenarios together")
    parser.add_argument("--only", default=",".join(names), help="scenarios, by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args(arguments)
    some = [one for one in SCENARIOS if one.name in options.only.split(",")]
    if not some:
        parser.error(f"choose scenarios from {', '.join(names)}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="trueness-faults-"))
    os.environ.setdefault("TRUENESS_CACHE", str(folder / "cache"))
    _import()
    wrong = total = 0
    for one in some:
        share = -(-options.kills // len(some))
        tally = campaign(one, share, folder / one.name, options.seed)
        print(f"{one.name}: {tally.kills} kills in {tally.stories} stories over {tally.events} "
              f"file events, {len(tally.faults)} faults", flush=True)  # fmt: skip
        for fault in tally.faults:
            print(f"  {fault}")
        total, wrong = total + tally.kills, wrong + len(tally.faults)
    print(f"{total} kills, {wrong} faults")
    if options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
