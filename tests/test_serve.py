"""The workbench, in process: pages, who may ask, bad stores."""

import json
import re
import shlex
import shutil
import socket
import time
from html import unescape

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from tests.golden import named
from tests.test_cli import call
from trueness.judge.finding import ids_by_key
from trueness.serve import guard
from trueness.serve.app import application
from trueness.serve.rows import judge_runs
from trueness.serve.workbench import Workbench
from trueness.store import Store
from trueness.store.leases import Leases
from trueness.store.ledger import FILE, Ledger

ORIGIN = "http://localhost:8765"


def _client(bench, **more):
    return TestClient(application(bench), base_url=ORIGIN, **more)


@pytest.fixture
def served(tmp_path, golden_market):
    """Workbench of a copy of the golden store, and a client of it."""
    shutil.copytree(golden_market.root, tmp_path / "store")
    bench = Workbench.of(tmp_path / "store")
    with _client(bench) as client:
        yield bench, client


def _whole(client, address):
    """A page as it is when every judgement on it is there."""
    for _ in range(600):
        answer = client.get(address)
        if "<body data-waits" not in answer.text:
            return answer
        time.sleep(0.05)
    raise AssertionError(address)


def command_of(page):
    """Words of the command that a page offers, without the name of the program."""
    text = re.search(r'data-copy="([^"]*)"', page)[1]
    program, *words = shlex.split(unescape(text))
    assert program == "trueness"
    return words


# ------------------------------------------------------------------------------------------- access


def test_a_page_names_its_policy_and_runs_no_inline_script(served):
    answer = served[1].get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    scripts = [one.split(">")[0] for one in answer.text.split("<script")[1:]]
    assert all("src=" in one or "application/json" in one for one in scripts)
    assert " onclick=" not in answer.text


@pytest.mark.parametrize("address", ["/nowhere", "/static/nothing", "/run/000000000000"])
def test_refusals_have_the_policy_too(served, address):
    answer = served[1].get(address)
    assert answer.status_code == 404
    assert "content-security-policy" in answer.headers
    assert "<main" in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8765", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("localhost.", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("192.168.0.7", 421), ("", 421),
        ("evil@localhost:1@evil.example", 421),
    ],
)  # fmt: skip
def test_other_host_names_are_refused(served, host, status):
    assert served[1].get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
    ],
)
def test_other_sites_cannot_load_pages_into_theirs(served, headers, status):
    assert served[1].get("/", headers=headers).status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_methods_that_would_change_something_are_refused(served, method):
    assert served[1].request(method, "/").status_code == 405


def test_pages_cannot_be_posted_to(served):
    answer = served[1].post("/", headers={"origin": ORIGIN})
    assert answer.status_code == 405


PLACES = ["store.json", "ledger.jsonl", "runs", "../store.json", "..%2fstore.json", "%2e%2e/store",
          "....//store.json", "..%5cstore.json", "%2fetc%2fpasswd", "/etc/passwd", "%00"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("before", ["/run/", "/static/", "/"])
def test_no_address_leads_to_a_file(served, before, place):
    answer = served[1].get(f"{before}{place}")
    assert answer.status_code in (400, 404)
    assert '"version"' not in answer.text
    assert "root:" not in answer.text


def _foreign(tmp_path, golden_market):
    bench = Workbench.of(golden_market.root, "0.0.0.0")
    return bench, _client(bench)


def test_another_host_needs_the_token_once(tmp_path, golden_market):
    bench, client = _foreign(tmp_path, golden_market)
    with client:
        assert client.get("/").status_code == 401
        assert client.get("/static/page.js").status_code == 401
        answer = client.get(f"/nowhere?token={bench.door.token}&x=1", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/nowhere?x=1")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert bench.door.token not in cookie
        assert client.get("/").status_code == 200


def test_the_token_leads_to_no_other_host(tmp_path, golden_market):
    bench, client = _foreign(tmp_path, golden_market)
    with client:
        answer = client.get(
            f"{ORIGIN}//evil.example/?token={bench.door.token}", follow_redirects=False
        )
        assert answer.headers["location"] == "/evil.example/"


def test_guesses_of_the_token_are_bounded(tmp_path, golden_market, monkeypatch):
    bench, client = _foreign(tmp_path, golden_market)
    with client:
        for i in range(guard.GUESSES):
            assert client.get(f"/?token=wrong{i}").status_code == 401
        assert client.get("/?token=one-more").status_code == 429
        assert client.get(f"/?token={bench.door.token}").status_code == 429, (
            "the right one waits too"
        )
        monkeypatch.setattr(guard, "GUESSES_S", 0.0)
        assert client.get(f"/?token={bench.door.token}").status_code == 200


def test_wrong_cookies_are_guesses(tmp_path, golden_market):
    _, client = _foreign(tmp_path, golden_market)
    with client:
        for i in range(guard.GUESSES):
            answer = client.get("/", headers={"cookie": f"trueness=wrong{i}"})
            assert answer.status_code == 401
        assert client.get("/", headers={"cookie": "trueness=x"}).status_code == 429


# --------------------------------------------------------------------------------------------- home


def test_the_first_page_names_runs_and_records_nothing(served):
    bench, client = served
    page = client.get("/").text
    assert sum(f'href="/run/{key}"' in page for key in named(Store(bench.root))) >= 12
    assert "Nothing runs now." in page
    assert not (bench.root / FILE).exists()


NOTE = {
    "began": "2026-01-01T00:00:00", "stage": "networks", "done": 25.0, "total": 100.0,
    "running": ["bce_1"], "trained": 3, "failed": 1, "word": "loss 0.5", "seconds": 60.0,
    "memory": 3_500_000_000,
}  # fmt: skip


def test_what_runs_now_is_told_with_what_is_left(served):
    bench, client = served
    leases = Leases(Store(bench.root))
    leases.write_status("golden", NOTE)
    assert leases.acquire("0123456789ab")
    page = client.get("/").text
    leases.write_status("golden", None)
    for text in ("networks", "3 min", "3.3 GiB", "loss 0.5", "0123456789ab", "/running/"):
        assert text in page, text
    assert '<td class="n">25.0 %' in page or "25 %" in page


def test_damaged_runs_failures_and_accesses_are_told(served):
    bench, client = served
    store = Store(bench.root)
    key = next(iter(named(store)))
    run = store.run(key)
    Ledger(store).record([run], "oof", "show", "why")
    store.write_failure(run.spec, "Traceback\nValueError: of no use")
    (bench.root / "runs" / key / "record.json").write_text("{}")
    time.sleep(1.1)
    page = client.get("/").text
    assert "unreadable" in page
    assert "ValueError: of no use" in page
    assert "why" in page


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_names_of_campaigns_and_ids_are_no_markup(served):
    bench, client = served
    key = next(iter(named(Store(bench.root))))
    Store(bench.root).write_campaign("c", {HOSTILE: key})
    Leases(Store(bench.root)).write_status("c", {**NOTE, "stage": HOSTILE, "running": [HOSTILE]})
    time.sleep(1.1)
    page = client.get("/").text
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "<img" not in page


# ---------------------------------------------------------------------------------------- bad stores


def test_a_store_that_is_not_there_is_said(tmp_path):
    with _client(Workbench.of(tmp_path / "nothing")) as client:
        assert "trueness run demo" in client.get("/").text
    assert not (tmp_path / "nothing").exists()


def test_a_store_of_a_newer_version_is_said(tmp_path):
    (tmp_path / "store.json").write_text('{"version": 999}')
    with _client(Workbench.of(tmp_path)) as client:
        answer = client.get("/")
    assert answer.status_code == 500
    assert "a newer trueness" in answer.text


def test_a_store_that_is_deleted_while_open_is_said(served):
    bench, client = served
    assert client.get("/").status_code == 200
    shutil.rmtree(bench.root)
    time.sleep(1.1)
    answer = client.get("/")
    assert answer.status_code == 200
    assert "No runs yet" in answer.text


def test_a_run_deleted_under_its_page_is_said(served):
    bench, client = served
    key = next(iter(named(Store(bench.root))))
    Store(bench.root).remove(key)
    time.sleep(1.1)
    assert client.get(f"/run/{key}").status_code == 404


def test_a_port_in_use_is_refused_in_one_line(tmp_path, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = call(capsys, "serve", "--store", tmp_path, "--port", port)
    assert (code, out) == (2, "")
    assert "--port" in err


@pytest.mark.parametrize("words", [
    ("--port", 70000), ("--host", "no.such.host.invalid"), ("--store", "no-such-store"),
])  # fmt: skip
def test_addresses_that_cannot_be_are_refused(tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").mkdir()
    code, _, err = call(capsys, "serve", *words)
    assert code == 2
    assert len(err.splitlines()) == 1


def test_the_token_is_in_the_address_of_another_host_only():
    from trueness.serve.running import address_of

    assert address_of(Workbench.of("x"), 1) == "http://127.0.0.1:1/"
    bench = Workbench.of("x", "0.0.0.0")
    assert address_of(bench, 1).endswith(f":1/?token={bench.door.token}")


def test_events_tell_what_changes(served):
    bench, _ = served
    from trueness.serve.pages.home import places

    before = places(bench)
    leases = Leases(Store(bench.root))
    leases.write_status("golden", NOTE)
    assert "networks" in places(bench)["now"]
    leases.write_status("golden", None)
    assert places(bench) == before
    assert json.dumps(before)


# ---------------------------------------------------------------------------------------- leaderboard


def _rows(page):
    """Ids of the rows that may be ticked, in order."""
    table = page.split('value="')
    del table
    return re.findall(r'name="run" value="([0-9a-f]{12})"', page)


def test_the_leaderboard_has_the_verdict_and_order_of_the_command_line(served, capsys):
    bench, client = served
    page = _whole(client, "/leaderboard").text
    _, out, _ = call(capsys, "leaderboard", "--store", bench.root, "--json")
    (group,) = json.loads(out)["groups"]
    assert _rows(page) == [model["key"] for model in group["models"]]
    from markupsafe import escape

    verdict = group["verdict"]
    for name in ("better_than_chance", "better_than_siblings", "better_than_best_baseline"):
        text = page.replace('<span class="number">', "").replace("</span>", "")
        assert str(escape(verdict[name]["text"])) in text, name


def test_the_ledger_hears_of_a_leaderboard_once(served):
    bench, client = served
    for _ in range(3):
        _whole(client, "/leaderboard")
    (access,) = Ledger(Store(bench.root)).accesses()
    assert (access.verb, len(access.keys)) == ("leaderboard", len(named(Store(bench.root))))


def test_rows_are_sorted_filtered_searched_and_paged(served, monkeypatch):
    from trueness.serve.pages import board

    bench, client = served
    store = Store(bench.root)
    aucs = {key: store.run(key).record["estimates"]["auc"]["value"] for key in named(store)}
    some = _rows(client.get("/leaderboard?where=auc>0.6").text)
    assert set(some) == {key for key, auc in aucs.items() if auc > 0.6}
    assert 0 < len(some) < len(aucs)
    parameters = {key: store.run(key).record["parameters"] for key in aucs}
    rising = _rows(client.get("/leaderboard?sort=parameters").text)
    assert [parameters[key] for key in rising] == sorted(parameters.values())
    falling = _rows(client.get("/leaderboard?sort=parameters&order=descending").text)
    assert [parameters[key] for key in falling] == sorted(parameters.values(), reverse=True)
    names = {name: key for key, name in named(store).items()}
    assert _rows(client.get("/leaderboard?search=FOREST").text) == [names["forest"]]
    monkeypatch.setattr(board, "ROWS", 5)
    every = [_rows(client.get(f"/leaderboard?sort=auc&page={n}").text) for n in (1, 2, 3)]
    assert [len(one) for one in every] == [5, 5, len(aucs) - 10]
    assert {key for one in every for key in one} == set(aucs)
    kinds = [_rows(client.get(f"/leaderboard?kind={k}").text) for k in ("candidates", "baselines")]
    assert {store.run(key).spec.is_baseline for key in kinds[0]} == {False}
    assert {store.run(key).spec.is_baseline for key in kinds[1]} == {True}


def test_runs_are_grouped_by_any_field(served):
    page = served[1].get("/leaderboard?by=loss").text
    assert "where=loss%3Dfocal" in page
    assert "trueness leaderboard --by loss" in page
    some = _rows(served[1].get("/leaderboard?where=loss.kind=focal").text)
    store = Store(served[0].root)
    assert some
    assert {store.run(key).spec.loss.kind for key in some} == {"focal"}


@pytest.mark.parametrize(
    "query",
    ["sort=nothing", "by=__class__", "where=auc", "where=spec.__init__=1", "columns=_x", "page=0",
     "page=-1", "page=1e9", "group=none", "campaign=none", f"search={'x' * 300}",
     "&".join(f"columns=auc{i}" for i in range(30))],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_on_a_page(served, query):
    answer = served[1].get(f"/leaderboard?{query}")
    assert answer.status_code == 400
    assert "<main" in answer.text


def test_the_state_of_a_leaderboard_is_in_its_address():
    from starlette.datastructures import QueryParams

    from trueness.serve.query import Query

    query = Query(
        sort="auc", order="ascending", columns=("seed", "loss"), where=("auc>0.6",), page=3
    )
    address = query.address(page=3)
    assert Query.of(QueryParams(address.partition("?")[2])) == query
    assert Query().address() == "/leaderboard"


def test_intervals_are_drawn_in_the_cells(served):
    page = served[1].get("/leaderboard").text
    assert page.count('<svg class="bar"') >= 2 * len(_rows(page)) - 2


@pytest.mark.long
def test_many_runs_are_judged_by_a_process_of_their_own(served, monkeypatch):
    from trueness.serve import answers

    bench, client = served
    here = _whole(client, "/leaderboard").text
    monkeypatch.setattr(answers, "HERE_MOST", 0)
    with _client(Workbench.of(bench.root)) as other:
        apart = _whole(other, "/leaderboard").text
    assert _rows(apart) == _rows(here)


@pytest.mark.long
def test_every_page_of_a_large_store_comes_from_another_process(served, monkeypatch):
    from trueness.serve import answers

    bench, client = served
    keys = sorted(bench.shelf.current_view().runs)[:3]
    places = [f"/run/{keys[0]}", f"/run/{keys[0]}/thresholds?at=3",
              f"/compare?run={keys[0]}&run={keys[1]}",
              "/compare?" + "&".join(f"run={key}" for key in keys)]  # fmt: skip
    here = [_whole(client, place).text for place in places]
    monkeypatch.setattr(answers, "HERE_MOST", 0)
    with _client(Workbench.of(bench.root)) as other:
        apart = [_whole(other, place).text for place in places]
    for place, one, two in zip(places, here, apart, strict=True):
        rows, others = (re.findall(r"<(?:tr|h2).*?</(?:tr|h2)>", text, re.S) for text in (one, two))
        assert rows == others, place
        assert len(rows) > 2, place


def test_titles_have_a_leaderboard_of_their_measures(golden_titles, tmp_path):
    shutil.copytree(golden_titles.root, tmp_path / "store")
    with _client(Workbench.of(tmp_path / "store")) as client:
        page = _whole(client, "/leaderboard").text
    assert len(_rows(page)) == len(named(golden_titles, "golden-titles"))
    assert "mean_group" in page


@pytest.mark.parametrize(
    ("names", "leads"), [(["constant"], False), (["constant", "linear16"], True)]
)
def test_a_run_is_marked_as_leader_only_where_one_leads(golden_market, names, leads):
    ids = ids_by_key(golden_market, "golden")
    keys = {name: key for key, some in ids.items() for name in some if name in names}
    judged = judge_runs(golden_market, frozenset(keys.values()), "golden")
    assert judged.leader == (keys["linear16"] if leads else "")
