"""Pages: well-formed, self-contained, small, escaped; figures with our colours and ticks."""

import base64
import gzip
import json
import math
import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from tests.sample_document import HOSTILE, document
from trueness.document import (
    Column,
    Document,
    Figure,
    HConcat,
    Link,
    Section,
    Sentence,
    Shaded,
    Table,
)
from trueness.report import to_html, to_plotly
from trueness.report.figures import has_points
from trueness.report.palette import DARK, LIGHT, dark_of_light, rgba

VOID = {"meta", "br", "hr", "img", "input", "link"}
MOST_BYTES = 700_000


class Page(HTMLParser):
    """Elements of a page in order; an error where an end is missing."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words = [], [], {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), tag
        self.elements.append((tag, dict(attrs), [t for t in self.open]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert [tag] == self.open[-1:], f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        for tag in self.open:
            self.words[tag] = self.words.get(tag, "") + data

    def of(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def text():
    return to_html(document())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def parts(*some):
    return to_html(Document("Title", list(some)))


def picture(**trace):
    return Figure([{"x": [1, 2, 3], "y": [1.0, 2.0, 3.0], **trace}])


# -------------------------------------------------------------------------------------------- pages


def test_a_page_is_well_formed_small_and_needs_no_network(text, page):
    assert len(text.encode()) < MOST_BYTES
    assert "http:" not in text
    assert "https:" not in text
    assert not page.of("link")
    assert not any("src" in attributes for _, attributes, _ in page.elements)


def test_plotly_is_inside_once_and_only_for_figures(text):
    assert b"plotly.js (basic - minified)" in _unpacked(text, "plotly")
    alone = parts(Sentence("no picture"), Figure([{"x": [None], "y": [1.0]}]))
    assert "Plotly, Inc." not in alone
    assert len(alone) < 30_000


def test_data_never_becomes_markup(text, page):
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>alert('x')</script>" in page.words["td"] + page.words["th"]


def test_text_in_figures_cannot_end_a_script():
    figure = picture(name="</script><script>alert(1)</script>", text=["<b>", HOSTILE, "\x00"])
    note = Page(parts(figure))
    assert len(note.of("script")) == 3  # figures, library, page
    assert "alert" not in note.words["script"]


def test_ids_are_unique_and_links_inside_lead_somewhere(page):
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = [a["href"][1:] for a in page.of("a") if a["href"].startswith("#")]
    assert inside
    assert set(inside) <= set(ids)


def test_two_sections_of_one_name_are_two_places():
    note = Page(parts(*(Section("Same", [Sentence("x")], anchor="same") for _ in range(3))))
    assert [s["id"] for s in note.of("section")] == ["same", "same-2", "same-3"]


def test_codes_of_checks_are_links_only_where_they_lead_somewhere():
    table = Table([Column("checks", "link")], [[[Link("TRU008", hint="drift"), Link("TRU009")]]])
    note = Page(parts(table, Section("Drift", [Sentence("x")], "TRU008")))
    assert [a for a in note.of("a") if a["href"] == "#TRU008"] == [
        {"href": "#TRU008", "title": "drift"}
    ]
    assert "TRU009" in note.words["span"]


def test_links_cannot_run_programs():
    table = Table(
        [Column("x", "link")], [[Link("a", "javascript:alert(1)")], [Link("b", "b.html")]]
    )
    assert [a["href"] for a in Page(parts(table)).of("a")] == ["b.html"]


def test_long_documents_have_contents_and_short_ones_have_none(page):
    assert page.of("nav")
    folded = [Section(f"F{i}", [Section("Inside", [Sentence("x")])], folded=True) for i in range(4)]
    assert re.findall("F.|Inside", Page(parts(*folded)).words["nav"]) == ["F0", "F1", "F2", "F3"]
    assert not Page(parts(Section("One", [Sentence("x")]))).of("nav")


def test_headings_descend_by_one(page):
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_have_captions_scopes_and_sides():
    table = Table(
        [Column("id", "code"), Column("n", "count", help="How many.")], [["a", 3]], "Counts"
    )
    note = Page(parts(table))
    assert note.words["caption"] == "Counts"
    assert [h["scope"] for h in note.of("th")] == ["col", "col", "row"]
    assert note.of("td")[0]["class"] == "n"
    assert "How many." in note.words["dd"]


def test_folded_sections_are_details_and_long_tables_open():
    rows = [[f"r{i}"] for i in range(9)]
    note = Page(parts(Section("Detail", [Table([Column("a")], rows, shown=4)], folded=True)))
    assert "details" in [tag for tag, _, _ in note.elements]
    assert "Show all 9 rows" in note.words["button"]
    assert [body.get("class") for body in note.of("tbody")] == [None, "more"]


def test_backticks_are_code_and_numbers_hold_together():
    note = Page(parts(Sentence("`a|b` is 43 % (25–63) · 13/30")))
    assert note.words["code"] == "a|b"
    assert note.words["span"] == "43 % (25–63) · 13/30"


def test_shaded_cells_say_how_strongly():
    columns = [Column("share", "percent", shade="share"), Column("d", "count", shade="signed")]
    rows = [[0.25, Shaded("+4 ▲", 0.04)], [1.0, Shaded("−2", -0.02)], [None, Shaded("invalid")]]
    first = [Column("id", "code"), *columns]
    cells = Page(parts(Table(first, [["a", *row] for row in rows]))).of("td")
    notes = [(c.get("data-shade"), c.get("style")) for c in cells]
    assert notes == [
        ("share", "--s:0.25"), ("above", "--s:1.00"), ("share", "--s:1.00"), ("below", "--s:0.50"),
        (None, None), ("none", None),
    ]  # fmt: skip


def test_empty_documents_become_pages():
    Page(parts())
    Page(parts(Table([Column("a")], []), HConcat([]), Section("", [])))


# ------------------------------------------------------------------------------------------ figures


def _unpacked(text, name):
    (packed,) = re.findall(rf'id="{name}">([\w+/=]*)<', text)
    return gzip.decompress(base64.b64decode(packed))


def test_figures_are_plain_json_without_what_is_not_finite():
    text = parts(picture(), picture(y=[1.0, math.nan, math.inf]))
    first, second = json.loads(_unpacked(text, "figures"))["figures"]
    assert first["layout"]["height"] == 380
    assert second["data"][0]["y"] == [1.0, None, None]


def test_a_figure_without_points_is_a_note():
    blank = Figure([{"x": [1, None], "y": [math.nan, 2.0]}], caption="Nothing.")
    assert "nothing to draw" in parts(blank)
    assert not has_points(Figure([]))
    assert has_points(picture())
    assert has_points(Figure([{"type": "pie", "values": [1, 2]}]))


def test_colours_are_those_of_the_palette_and_words_stay_words():
    figure = picture(name="grey", text=["ink"] * 3, marker={"color": ["series-1/0.5", "#123456"]},
                     fillcolor="series-0/0.15")  # fmt: skip
    trace = to_plotly(figure)["data"][0]
    assert trace["name"] == "grey"
    assert trace["text"] == ["ink"] * 3
    assert trace["marker"]["color"] == ["rgba(194,87,26,0.5)", "#123456"]
    assert trace["fillcolor"] == "rgba(11,110,153,0.15)"
    assert to_plotly(figure, dark=True)["data"][0]["fillcolor"] == rgba("series-0/0.15", dark=True)


def test_a_page_turns_light_colours_into_the_dark_ones():
    swaps = dark_of_light()
    for name in LIGHT:
        light = re.findall(r"\d+,\d+,\d+", rgba(name))[0]
        assert f"rgba({swaps[light]},1)" == rgba(name, dark=True)


@pytest.mark.parametrize(("values", "dtick"), [([1, 3], 1), ([1, 200], None), ([], 1)])
def test_axes_of_whole_numbers_have_whole_ticks(values, dtick):
    figure = Figure([{"x": values, "y": values, "xaxis": "x2"}], {"xaxis2": {"integer": True}})
    axis = to_plotly(figure)["layout"]["xaxis2"]
    assert axis.get("dtick") == dtick
    assert axis["tickformat"] == ",d"
    assert "integer" not in axis


def test_logarithmic_axes_have_few_ticks():
    figure = picture(x=[1e-4, 1e-3, 1e-2])
    figure.layout["xaxis"] = {"type": "log", "title": "learning rate"}
    axis = to_plotly(figure)["layout"]["xaxis"]
    assert axis["ticktext"] == ["0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01"]
    assert axis["title"] == {"text": "learning rate"}


def test_plotly_of_python_takes_the_same_figures():
    import plotly.graph_objects as go

    for figure in document().figures():
        shown = go.Figure(to_plotly(figure))
        assert len(shown.data) == len(figure.data)
        assert shown.layout.template.layout.hovermode == "closest"


# ---------------------------------------------------------------------------------------- contrast


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    lit = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * lit[0] + 0.7152 * lit[1] + 0.0722 * lit[2]


def _contrast(one, two):
    high, low = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _mixed(colour, paper, share):
    ends = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (colour, paper)]
    return "#" + "".join(
        f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(*ends, strict=True)
    )


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_words_can_be_read_on_every_ground(colours):
    for background in ("paper", "wash"):
        for ink in ("ink", "soft", "accent", "warning", "error"):
            assert _contrast(colours[ink], colours[background]) >= 4.5, (ink, background)
    assert _contrast(colours["soft"], colours["line"]) >= 4.5
    css = files("trueness.report").joinpath("static/page.css").read_text()
    full_shade = max(int(n) for n in re.findall(r"calc\(var\(--s\) \* (\d+)%\)", css)) / 100
    for full in ("accent", "positive"):
        assert (
            _contrast(colours["ink"], _mixed(colours[full], colours["paper"], full_shade)) >= 4.5
        ), full
    (faded,) = re.findall(r"tr.muted > \S+ \{[^}]*calc\(var\(--s\) \* (\d+)%\)", css)
    background = _mixed(colours["accent"], colours["paper"], int(faded) / 100)
    assert _contrast(colours["soft"], background) >= 4.5
    for i in range(8):
        assert _contrast(colours[f"series-{i}"], colours["paper"]) >= 3.0, i
