"""Runs survive new data: stored weights score new bars, old scores stay, only new folds train."""

import json

import numpy as np
import polars as pl
import pytest

from tests.test_cli import call
from trueness.campaign import load_campaign
from trueness.errors import CampaignError
from trueness.market import synthetic_bars
from trueness.recorder import Listener
from trueness.runner import run
from trueness.store import Store

OLD = 1250
BARS = synthetic_bars(2000)
CAMPAIGN = """\
campaign: growing
defaults:
  task: {context: 20, horizon: 3}
  evaluation: {protocol: walk_forward}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}
  recipe: {epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}
experiments:
  - {id: G-1}
  - {id: G-2, model: logit}
  - {id: G-3, ensemble: {of: G-1, seeds: 2}}
"""


class Heard(Listener):
    """Collects notes, and epochs as work that networks took."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A campaign whose runs on the shorter bars are stored."""
    folder = tmp_path_factory.mktemp("growing")
    (folder / "growing.yaml").write_text(CAMPAIGN)
    carried(folder, OLD)
    return folder


def bars_of(folder, rows, bars=BARS):
    file = folder / f"bars-{rows}.csv"
    bars.head(rows).frame().write_csv(file)
    return file


def carried(folder, rows, update=False, bars=BARS, **options):
    """Campaign, store, summary and notes of a run on so many bars."""
    store, heard = Store(folder / "store"), Heard()
    campaign = load_campaign(
        folder / "growing.yaml", data=bars_of(folder, rows, bars),
        continues=store if update else None, **options,
    )  # fmt: skip
    summary = run(campaign, store, device="cpu", workers=0, listener=heard, update=update)
    assert summary.failed == []
    return campaign, store, summary, heard.notes


def spec_of(campaign, id_):
    return next(e.spec for e in campaign.experiments if e.id == id_)


def test_x(folder):
    import time
    for new in (1, 20, 500):
        t=time.time()
        c, s, su, notes = carried(folder, OLD + new, update=True)
        print(new, time.time()-t, notes, su.trained)
        for e in c.entries:
            r = s.run(e.spec.key)
            print(e.id, r.record.get("continues"), r.record.get("trained_folds"), r.record["seconds"], r.record["gflop"] if "gflop" in r.record else None)
        print(r.record["notes"], c.experiments[0].spec.evaluation)
    assert 0
