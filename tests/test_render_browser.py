"""Pages in a real browser: figures are drawn, nothing overflows, the console is silent."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from tests.sample_document import document
from trueness.report import write

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not here"),
]
FACTS = """JSON.stringify({
  drawn: document.querySelectorAll(".plot .main-svg").length > 0
    && [...document.querySelectorAll(".plot")].every(p => p.querySelector(".main-svg")),
  bars: document.querySelectorAll(".modebar-btn").length,
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  more: document.querySelectorAll(".frame.right").length,
  ground: getComputedStyle(document.body).backgroundColor,
  plot: getComputedStyle(document.querySelector(".plot .bg, .plot .main-svg")).backgroundColor,
  ticks: [...document.querySelectorAll(".plot .xtick text")].map(t => t.textContent),
})"""


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[1] / "tools" / "screenshots.py"
    spec = importlib.util.spec_from_file_location("screenshots", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write(document(), path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_is_drawn_at_every_width_and_in_every_light(tool, page, width, scheme):
    with tool.opened(page, width, scheme, "details") as browser:
        facts = json.loads(browser.evaluate(FACTS))
        assert not browser.said()
    assert facts["drawn"]
    assert not facts["bars"]
    assert facts["wide"] == 0
    assert facts["more"] >= (4 if width < 600 else 1)
    dark = facts["ground"] == "rgb(21, 24, 29)"
    assert dark == (scheme == "dark")
    assert not {"1.5", "2.5"} & set(facts["ticks"])
