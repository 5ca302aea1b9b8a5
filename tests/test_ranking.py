import json

import pytest

from tests.stores import named
from tests.test_cli import call
from tests.test_store import _write
from trueness.evaluation import Estimate
from trueness.judge.leaderboard import rank_of
from trueness.judge.ranking import ranking
from trueness.store.ledger import Ledger

SHARES = [(3, 4), (20, 30), (25, 30), (0, 0), (28, 30), (5, 5), (25, 30)]


def _filled(store, make_spec):
    """Runs whose order is known; their shares, by key."""
    shares = {}
    for seed, (k, n) in enumerate(SHARES):
        spec = make_spec(seed=seed)
        estimates = {
            "precision@30": Estimate.proportion(k, n).to_dict(),
            "auc": Estimate(0.5 + seed / 100, 0.4, 0.9, 50).to_dict(),
        }
        _write(store, spec, {"estimates": estimates})
        shares[spec.key] = {name: Estimate.from_dict(e) for name, e in estimates.items()}
    store.write_campaign("c", {f"A-{i}": key for i, key in enumerate(shares)})
    return shares


class Known:
    def __init__(self, estimates):
        self.estimates = estimates


def test_runs_are_ranked_as_the_leaderboard_ranks_them(store, make_spec):
    shares = _filled(store, make_spec)
    expected = sorted(shares, key=lambda k: rank_of(Known(shares[k]), "precision@30"), reverse=True)
    rows = ranking(store).rows
    assert [row["key"] for row in rows] == expected
    assert [row["rank"] for row in rows] == list(range(1, len(SHARES) + 1))
    best = shares[expected[0]]["precision@30"]
    assert (rows[0]["k"], rows[0]["n"], rows[0]["low"]) == (best.k, best.n, best.low)
    assert rows[0]["id"] == f"A-{list(shares).index(expected[0])}"
    assert len(ranking(store, n=2).rows) == 2


def test_no_run_is_opened_for_a_list_a_second_time(store, make_spec, monkeypatch):
    _filled(store, make_spec)
    ranking(store)
    monkeypatch.setattr(type(store.kept), "open", None)
    monkeypatch.setattr("trueness.store.run.read_run", None)
    assert len(ranking(store).rows) == len(SHARES)


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_damaged_index_is_made_again(tmp_path, make_spec, content):
    from trueness.store import Store

    store = Store(tmp_path)
    store.prepare()
    _filled(store, make_spec)
    before = ranking(store).rows
    path = tmp_path / "index" / "runs.parquet"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    assert ranking(store).rows == before


def test_the_verb_counts_what_it_shows_and_refuses_in_one_line(store, make_spec, capsys):
    at = ("--store", named(store))
    status, out, err = call(capsys, "runs", "list", *at)
    assert (status, out, err.count("\n")) == (2, "", 1)
    shares = _filled(store, make_spec)
    assert call(capsys, "runs", "list", "none", *at)[0] == 2
    assert call(capsys, "runs", "list", "-n", "0", *at)[0] == 2
    status, out, _ = call(capsys, "runs", "list", "c", "-n", "2", "--json", *at)
    assert (status, len(json.loads(out)["rows"])) == (0, 2)
    (access,) = Ledger(store).accesses()
    assert (access.verb, access.keys) == ("runs list", tuple(sorted(shares)))
