"""The workbench, in process: pages of one run and of some beside each other."""

import json
import re
import time

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from tests.conftest import TINY
from tests.golden import named
from tests.test_cli import call
from tests.test_serve import HOSTILE, ORIGIN, _client, _whole, command_of, served  # noqa: F401 - a fixture
from trueness import recorder
from trueness.callback import Callback
from trueness.campaign import load_campaign
from trueness.document.numbers import estimate, share
from trueness.evaluation import Estimate
from trueness.market import synthetic_bars
from trueness.runner import run
from trueness.serve.workbench import Workbench
from trueness.store import Store
from trueness.store.ledger import Ledger
from trueness.store.memory import MemoryStore


def _key(bench, name="bce_1"):
    return {name: key for key, name in named(Store(bench.root)).items()}[name]


def _plain(page):
    return re.sub(r"<[^>]+>", "", page).replace("\u00a0", " ")


def _positions(page):
    return json.loads(re.search(r'class="positions">(.*?)</script>', page, re.DOTALL)[1])


def test_a_run_is_shown_as_the_command_line_shows_it(served, capsys):  # noqa: F811
    bench, client = served
    key = _key(bench)
    page = _plain(_whole(client, f"/run/{key}").text)
    _, out, _ = call(capsys, "show", key, "--store", bench.root, "--json")
    for name, content in json.loads(out)["estimates"].items():
        assert name in page
        assert str(Estimate.from_dict(content)) in page, name
    assert f"trueness show {key} --store" in page
    assert "Alarms over time" in page


def test_a_slider_reads_the_numbers_of_the_command_line(served, capsys):  # noqa: F811
    bench, client = served
    key = _key(bench)
    content = _positions(_whole(client, f"/run/{key}/thresholds").text)
    _, out, _ = call(capsys, "thresholds", key, "--store", bench.root, "--json")
    rows = json.loads(out)["runs"][0]["thresholds"]
    assert len(content["rows"]) == len(rows)
    for shown, row in zip(content["rows"], rows, strict=True):
        assert shown[1:3] == [f"{row['alarms']:,}", f"{row['hits']:,}"]
        assert shown[3] == share(Estimate.from_dict(row["precision"]))
        assert shown[4] == share(Estimate.from_dict(row["recall"]))
    for row, alarms in zip(rows, content["raised"], strict=True):
        if row["alarms"] <= len(content["units"]):
            assert sum(hit for _, hit in content["units"][:alarms]) == row["hits"]


def test_the_place_of_the_slider_is_in_the_address(served):  # noqa: F811
    bench, client = served
    key = _key(bench)
    page = _whole(client, f"/run/{key}/thresholds?at=3").text
    assert re.search(r'<input type="range"[^>]*value="3"', page)
    assert client.get(f"/run/{key}/thresholds?at=x{HOSTILE}").status_code == 200


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Store of two tiny networks, with a sealed test part."""
    folder = tmp_path_factory.mktemp("trained")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "tiny.yaml").write_text(TINY + "data: bars.csv\n")
    campaign = load_campaign(folder / "tiny.yaml")
    assert not run(campaign, Store(folder / "store"), device="cpu", workers=0).failed
    return folder / "store"


@pytest.fixture
def sealed(trained):
    """Workbench of it, a client, the key of a network, and its sealed part."""
    bench = Workbench.of(trained)
    with _client(bench) as client:
        (key,) = Store(trained).campaigns()["tiny"]["T-01"]
        yield bench, client, key, "test"


def test_a_sealed_part_opens_for_a_form_of_this_server_only(sealed):
    bench, client, key, part = sealed
    page = _whole(client, f"/run/{key}").text
    assert f'action="/run/{key}/open" method="post"' in page
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    place, own = f"/run/{key}/open", {"origin": ORIGIN}
    before = len(Ledger(Store(bench.root)).accesses())
    refused = [
        client.post(place, data={"part": part, "csrf": csrf}),
        client.post(place, data={"part": part, "csrf": csrf}, headers={"origin": "http://evil.example"}),
        client.post(place, data={"part": part, "csrf": csrf},
                    headers={**own, "sec-fetch-site": "cross-site"}),
        client.post(place, data={"part": part, "csrf": csrf}, headers={"origin": "null"}),
        client.post(place, data={"part": part}, headers=own),
        client.post(place, data={"part": part, "csrf": "guessed"}, headers=own),
        client.get(place),
    ]  # fmt: skip
    assert [one.status_code for one in refused] == [403] * 6 + [405]
    assert len(Ledger(Store(bench.root)).accesses()) == before
    assert client.post(place, data={"part": "oof", "csrf": csrf}, headers=own).status_code == 400
    assert client.post(place, content=b"x" * 10_000, headers=own).status_code == 413
    opened = client.post(place, data={"part": part, "csrf": csrf}, headers=own)
    assert opened.status_code == 200
    assert "was opened" in opened.text
    last = Ledger(Store(bench.root)).accesses()[-1]
    assert (last.part, last.opened, last.keys) == (part, True, (key,))


def test_files_of_a_run_come_by_their_name_and_no_other_does(served):  # noqa: F811
    bench, client = served
    key = _key(bench)
    folder = bench.root / "runs" / key
    answer = client.get(f"/run/{key}/files/spec.json")
    assert answer.content == (folder / "spec.json").read_bytes()
    assert "attachment" in answer.headers["content-disposition"]
    for name in ("..%2f..%2fstore.json", "record.json%00", "nothing", "..%2e", "store.json"):
        assert client.get(f"/run/{key}/files/{name}").status_code in (307, 404), name


def test_predictions_of_a_sealed_part_are_no_download(sealed):
    _, client, key, _ = sealed
    assert client.get(f"/run/{key}/files/predictions.parquet").status_code == 404
    assert client.get(f"/run/{key}/files/model.safetensors").status_code == 200
    page = _whole(client, f"/run/{key}").text
    assert "Loss per epoch" in page
    drawn = page.partition('class="figures"')[2]
    assert "1993-" in drawn
    assert not re.search(r"1994-(0[4-9]|1)", drawn), "days of the test part"


def _figures(page):
    return json.loads(re.search(r'class="figures">(.*?)</script>', page, re.DOTALL)[1])["figures"]


def test_alarms_stand_on_prices_and_the_sealed_part_is_marked_only(sealed, capsys):
    bench, client, key, _ = sealed
    page = _whole(client, f"/run/{key}/prices").text
    figure = _figures(page)[-1]
    (mark,) = figure["layout"]["annotations"]
    assert mark["text"] == "test part, sealed"
    shape = figure["layout"]["shapes"][-1]
    drawn = [day for trace in figure["data"] for day in trace["x"]]
    assert max(drawn) < shape["x0"][:10] < shape["x1"][:10] == mark["x"][:10]
    assert mark["xanchor"] == "right", "words that begin there would leave a narrow picture"
    _, out, _ = call(capsys, "payoff", key, "--store", bench.root, "--json")
    alarms = json.loads(out)["alarms"]
    marks = {trace["name"]: len(trace["x"]) for trace in figure["data"][1:]}
    assert marks["hit"] == sum(one["y"] == 1 for one in alarms)
    assert marks["miss"] == sum(one["y"] == 0 for one in alarms)
    assert f"trueness payoff {key}" in page
    run_page = _whole(client, f"/run/{key}").text
    assert f'href="/run/{key}/prices"' in run_page
    for text in ("By year", "By regime", "platt"):
        assert text in run_page, text


def test_prices_that_are_nowhere_are_told(served, golden_titles):  # noqa: F811
    _, client = served
    page = _whole(client, f"/run/{_key(served[0])}/prices").text
    assert 'class="warning"' in page
    with _client(Workbench.of(golden_titles.root)) as other:
        key = next(iter(named(golden_titles, "golden-titles")))
        assert other.get(f"/run/{key}/prices").status_code == 404


def test_code_that_a_store_names_is_not_run(served):  # noqa: F811
    bench, _ = served
    from trueness.errors import TruenessError
    from trueness.serve.pages.prices import priced

    run = Store(bench.root).run(_key(bench))
    run.record["data"]["features"] = "mine.py:build"
    store = MemoryStore()
    store.add([run], {})
    with pytest.raises(TruenessError) as caught:
        priced(store, run.key)
    assert caught.value.code == "own_code"


def test_a_file_that_changed_is_refused(served):  # noqa: F811
    bench, client = served
    key = _key(bench)
    client.get("/")
    path = bench.root / "runs" / key / "history.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    assert client.get(f"/run/{key}/files/history.parquet").status_code == 500


def test_a_link_that_leads_out_of_a_run_is_not_followed(served):  # noqa: F811
    bench, client = served
    key = _key(bench)
    client.get("/")
    path = bench.root / "runs" / key / "history.parquet"
    moved = bench.root / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)
    assert client.get(f"/run/{key}/files/history.parquet").status_code == 404


def test_two_runs_are_compared_as_by_the_command_line(served, capsys):  # noqa: F811
    bench, client = served
    one, other = _key(bench), _key(bench, "focal_1")
    page = _plain(_whole(client, f"/compare?run={one}&run={other}").text)
    _, out, _ = call(capsys, "compare", one, other, "--store", bench.root, "--json")
    actual = json.loads(out)["measures"]["auc"]
    assert str(Estimate.from_dict(actual["first"])) in page
    assert "What differs in them" in page
    assert "loss" in page


def test_up_to_six_runs_are_compared(served, capsys):  # noqa: F811
    bench, client = served
    keys = list(named(Store(bench.root)))
    runs = [f"run={key}" for key in keys]
    page = _plain(_whole(client, f"/compare?{'&'.join(runs[:4])}").text)
    assert "Agreement of alarms" in page
    assert page.count("hold for all 6 pairs together") == 2
    assert page.count("hold for all 15 pairs together") == 0
    whole = _whole(client, f"/compare?{'&'.join(runs[:4])}").text
    _, out, _ = call(capsys, *command_of(whole), "--json")
    measures = json.loads(out)["measures"]
    assert {len(pairs) for pairs in measures.values()} == {6}
    for one in measures["AUC"]:
        for name in ("pointwise", "simultaneous"):
            assert estimate(Estimate.from_dict(one[name]), signed=True) in page
    for some in (runs[:1], runs[:7], [runs[0], runs[0]], []):
        assert client.get(f"/compare?{'&'.join(some)}").status_code == 400
    assert client.get(f"/compare?{runs[0]}&run=nothing").status_code == 404


def test_titles_have_pages_too(golden_titles, tmp_path):
    import shutil

    shutil.copytree(golden_titles.root, tmp_path / "store")
    keys = list(named(golden_titles, "golden-titles"))
    with _client(Workbench.of(tmp_path / "store")) as client:
        assert "macro" in _whole(client, f"/run/{keys[0]}").text
        assert "binary" in _whole(client, f"/run/{keys[0]}/thresholds").text
        for n in (2, 3):
            some = "&".join(f"run={key}" for key in keys[:n])
            page = _plain(_whole(client, f"/compare?{some}").text)
            assert ("hold for all 3 pairs together" in page) == (n == 3)


def test_a_run_that_trains_shows_its_curves(tmp_path, trained):
    """What the recorder notes while a campaign trains is what the page of a run draws."""
    from trueness.serve.pages.training import running_places
    from trueness.store.leases import Leases

    root = tmp_path / "store"
    campaign = load_campaign(trained.parent / "tiny.yaml")
    bench, seen = Workbench.of(root), []

    class Watching(Callback):
        def on_progress(self, amount, text=""):
            del amount, text
            for key in {entry.spec.key for entry in campaign.experiments}:
                if Leases(Store(root)).epochs(key):
                    seen.append((key, running_places(bench, key)))

    note = recorder.REPORT_EVERY_S
    recorder.REPORT_EVERY_S = 0.0
    try:
        run(campaign, Store(root), device="cpu", workers=0, callback=Watching())
    finally:
        recorder.REPORT_EVERY_S = note
    key, places = seen[0]
    assert "Loss per epoch so far" in places["training"]
    assert not list((root / "status").rglob("*.epochs")), "nothing stays behind"
    time.sleep(1.1)
    assert running_places(bench, key) == {"over": ""}
    with _client(bench) as client:
        assert f'href="/run/{key}"' in client.get(f"/running/{key}").text
        assert client.get("/running/0123456789ab").status_code == 200
        assert client.get("/running/..%2f..").status_code == 404
