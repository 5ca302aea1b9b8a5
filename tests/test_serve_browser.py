"""The workbench in a real browser: watch a campaign, sort, filter, compare, decide, open."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

pytest.importorskip("starlette")
pytest.importorskip("playwright")

from playwright.sync_api import sync_playwright

from tests.conftest import TINY
from tests.test_cli import call
from tests.test_serve_bundles import deployed, made  # noqa: F401 - fixtures
from tests.test_serve_titles import hostile  # noqa: F401 - a fixture
from trueness.bundle.log import OUTCOME, PREDICTION, append
from trueness.market import synthetic_bars
from trueness.store import Store
from trueness.store.ledger import Ledger

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here"),
]
LONGER = TINY.replace("epochs: 2", "epochs: 60") + "data: bars.csv\n"
PATIENCE_MS = 60_000


def _started(*words, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "trueness", *map(str, words)], cwd=cwd, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "longer.yaml").write_text(LONGER.replace("campaign: tiny", "campaign: longer"))
    return folder


@contextmanager
def _serving(folder, *words):
    """Address of a server, which ends without a word."""
    server = _started("serve", "--port", 0, *words, cwd=folder)
    try:
        yield re.search(r"http://\S+", server.stderr.readline())[0].rstrip("/")
    finally:
        server.terminate()
        said = server.communicate(timeout=20)[1]
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def address(folder):
    """Address of a server of an empty store."""
    (folder / "store").mkdir()
    with _serving(folder) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page whose console must stay silent."""
    page, said = chromium.new_page(viewport={"width": 1280, "height": 900}), []
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    yield page
    page.close()
    assert not said


def _open(page, address):
    page.goto(address)
    page.wait_for_selector("body:not([data-waits])")


@pytest.fixture(scope="module")
def store(folder, address, chromium):
    """The store after a campaign that was watched while it trained."""
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}/")
    assert page.get_by_text("Nothing runs now.").count() == 1
    campaign = _started("run", "longer.yaml", "--workers", 0, cwd=folder)
    page.wait_for_selector("#now table")  # no reload: the server said so
    page.get_by_role("cell", name="T-01").first.wait_for()
    link = page.locator('#now a[href^="/running/"]').first
    page.goto(f"{address}{link.get_attribute('href')}")
    if page.locator("#training").count():
        page.wait_for_url("**/running/**")
    campaign.communicate(timeout=120)
    page.goto(f"{address}/")
    page.get_by_text("Nothing runs now.").wait_for()
    page.close()
    return Store(folder / "store")


def _key(store, name):
    return store.campaigns()["longer"][name][-1]


def test_a_campaign_is_watched_live(store):
    assert len(store.all_runs()[0]) >= 2


def test_rows_are_sorted_filtered_and_compared(store, address, page):
    _open(page, f"{address}/leaderboard")
    first = page.locator(".verdict").first.inner_text()
    assert " leads" in first
    page.get_by_role("link", name="AUC", exact=True).click()
    assert "sort=auc" in page.url
    aucs = [store.run(k).record["estimates"]["auc"]["value"] for k in _ticks(page)]
    assert len(aucs) == len(store.all_runs()[0])
    page.keyboard.press("/")
    page.keyboard.type("T-0")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=T-0**")
    page.wait_for_selector("body:not([data-waits])")
    assert set(_ticks(page)) == {_key(store, "T-01"), _key(store, "T-02")}
    for box in page.locator('input[name="run"]').all():
        box.check()
    page.get_by_role("button", name="Compare ticked runs").click()
    page.wait_for_url("**/compare?**")
    page.wait_for_selector("body:not([data-waits])")
    assert page.get_by_role("cell", name="model.dropout").or_(
        page.get_by_role("rowheader", name="model.dropout")).count()  # fmt: skip


def _ticks(page):
    return [box.get_attribute("value") for box in page.locator('input[name="run"]').all()]


def test_the_slider_reads_what_the_command_line_gives(store, address, page, capsys):
    key = _key(store, "T-01")
    _, out, _ = call(capsys, "thresholds", key, "--store", store.root, "--json")
    rows = json.loads(out)["runs"][0]["thresholds"]
    _open(page, f"{address}/run/{key}/thresholds")
    slider = page.locator('.slider input[type="range"]')
    for at in (0, len(rows) // 2, len(rows) - 1):
        slider.evaluate("(one, at) => { one.value = at; one.dispatchEvent(new Event('input')); "
                        "one.dispatchEvent(new Event('change')); }", at)  # fmt: skip
        shown = page.locator(".slider").first.locator("dd").all_inner_texts()
        precision = rows[at]["precision"]
        assert shown[1:3] == [f"{rows[at]['alarms']:,}", f"{rows[at]['hits']:,}"]
        assert f"{100 * precision['value']:.0f} %" in shown[3]
        assert shown[3].endswith(f"{precision['k']}/{precision['n']}")
        assert f"at={at}" in page.url
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".slider").first.locator("dd").nth(1).inner_text() == (
        f"{rows[-2]['alarms']:,}")  # fmt: skip


def test_a_sealed_part_is_opened_and_stands_in_the_ledger(store, address, page):
    key = _key(store, "T-02")
    assert not any(one.opened for one in Ledger(store).accesses())
    _open(page, f"{address}/run/{key}")
    page.get_by_role("button", name=re.compile("Open the sealed test part")).click()
    page.get_by_text("was opened").wait_for()
    (opened,) = [one for one in Ledger(store).accesses() if one.opened]
    assert (opened.part, opened.keys) == ("test", (key,))
    page.goto(f"{address}/")
    assert page.locator("tr.warning").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 2560])
@pytest.mark.parametrize("place", ["/", "/leaderboard", "/run/T", "/run/T/thresholds"])
def test_pages_fit_every_width_and_light(store, address, chromium, place, width, scheme):
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    _open(page, f"{address}{place.replace('T', _key(store, 'T-01'), 1)}")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(21, 24, 29)") == (scheme == "dark")
    page.close()


HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


def test_names_from_a_store_run_no_script(store, address, page):
    key = _key(store, "T-01")
    store.write_campaign("other", {HOSTILE: key})
    page.wait_for_timeout(1500)
    for place in (
        "/",
        "/leaderboard",
        f"/run/{key}",
        f"/compare?run={key}&run={_key(store, 'T-02')}",
    ):
        _open(page, f"{address}{place}")
        assert page.title() != "broken"
        assert page.locator("img").count() == 0
    (store.root / "campaigns" / "other.json").unlink()


def test_the_keyboard_reaches_everything(store, address, page):
    _open(page, f"{address}/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url("**/leaderboard")


WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_a_bundle_is_watched_and_its_inputs_are_looked_at(made, deployed, page):  # noqa: F811
    bundle = deployed[2]
    with _serving(made, "--bundles", bundle.folder) as address:
        _open(page, f"{address}/")
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.wait_for_url("**/bundles")
        page.wait_for_selector("body:not([data-waits])")
        page.locator('a[href="/bundles/1"]').click()
        page.wait_for_url("**/bundles/1")
        page.get_by_text("nothing was predicted yet").wait_for()
        ids = [f"2031-01-{i:02}" for i in range(1, 9)]
        append(bundle, PREDICTION, [
            {"id": i, "time": i, "score": 2.0, "calibrated": 0.9, "answer": "alarm"} for i in ids
        ])  # fmt: skip
        append(bundle, OUTCOME, [{"id": i, "y": n % 2} for n, i in enumerate(ids)])
        page.get_by_text("is not refuted").wait_for()  # no reload: the server said so
        page.locator("#sequence .plot svg").first.wait_for()
        assert page.get_by_role("button", name="Copy as command").count() == 1
        page.keyboard.press("g")
        page.keyboard.press("f")
        page.wait_for_url("**/features")
        page.get_by_role("link", name="x", exact=True).first.wait_for()
        page.locator('select[name="feature"]').select_option("x")
        page.wait_for_url("**feature=x**")
        page.get_by_text("AUC of the label by it alone").first.wait_for()
        page.locator(".plot svg").first.wait_for()
        for width in (390, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(WIDE) == 0


def test_texts_are_browsed_and_run_no_script(hostile, page):  # noqa: F811
    (key,) = Store(hostile / "store").campaigns()["words"]["A"]
    with _serving(hostile) as address:
        _open(page, f"{address}/")
        page.keyboard.press("g")
        page.keyboard.press("t")
        page.wait_for_url("**/titles**")
        page.wait_for_selector("body:not([data-waits])")
        _open(page, f"{address}/titles?run={key}")
        page.get_by_role("link", name="its texts").click()
        page.wait_for_url("**/texts")
        page.get_by_text("texts of").first.wait_for()
        page.locator('select[name="language"]').select_option("de")
        page.wait_for_url("**language=de**")
        page.wait_for_selector("body:not([data-waits])")
        assert {one.inner_text() for one in page.locator("tbody td:nth-child(2)").all()} == {"de"}
        page.locator("tbody th a").first.click()
        page.wait_for_url("**/text?n=*")
        page.get_by_text("keeps no weights").wait_for()
        assert page.title() != "broken"
        assert page.locator("img").count() == 0
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate(WIDE) == 0
