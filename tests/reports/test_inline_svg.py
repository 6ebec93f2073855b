import re
import xml.etree.ElementTree as ET

import pytest

from reports import style
from reports.inline_svg import Styles, inline, palette_css
from reports.style import DARK, LIGHT


def chart(text: str = "漫画 latency") -> bytes:
    with style.chart_style():
        figure = style.WIDE.figure(220)
        axes = figure.subplots()
        for position in range(len(LIGHT.series)):
            look = style.series(position)
            axes.plot([1, 2, 3], [100 + position, 300, 2000], color=look.color, marker=look.marker, linestyle=look.dash)
        axes.bar([1.5], [400], color=LIGHT.band, hatch="///", edgecolor=LIGHT.muted)
        axes.imshow([[0.0, 1.0]], extent=(1, 2, 500, 900), aspect="auto", cmap=style.MAGNITUDE_MAP)
        axes.set_title(text)
        return style.svg_bytes(figure)


@pytest.fixture(scope="module")
def drawing() -> bytes:
    return chart()


def test_a_chart_on_the_page_is_smaller_than_its_file_and_well_formed(drawing: bytes) -> None:
    text = inline(drawing, "a", Styles())

    assert len(text.encode()) < len(drawing)
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert root.attrib["width"] == "864"
    assert "漫画 latency" in [element.text for element in root.iter("text")]


def test_hatches_are_found_in_the_file_too(drawing: bytes) -> None:
    names = set(re.findall(r"url\(#([^)]*)\)", drawing.decode()))

    assert names <= set(re.findall(r' id="([^"]*)"', drawing.decode()))


def test_every_reference_leads_to_an_id_of_the_same_chart_and_every_id_is_needed(drawing: bytes) -> None:
    styles = Styles()
    text = inline(drawing, "a", styles)
    ids = set(re.findall(r' id="([^"]*)"', text))
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', text + styles.css()))

    assert ids == used
    assert all(name.startswith("a") for name in ids)
    assert not ids & set(re.findall(r' id="([^"]*)"', inline(drawing, "b", Styles())))


def test_two_charts_share_the_classes_of_equal_looks(drawing: bytes) -> None:
    styles = Styles()
    inline(drawing, "a", styles)
    alone = styles.css()
    inline(drawing, "b", styles)

    own = styles.css().removeprefix(alone).strip().splitlines()
    assert all("url(#b" in rule for rule in own)


def test_colours_of_the_palette_are_roles_and_both_palettes_have_them_all(drawing: bytes) -> None:
    styles = Styles()
    text = inline(drawing, "a", styles) + styles.css()

    assert not {color for color in re.findall("#[0-9a-f]{6}", text) if f":{color};" in palette_css(LIGHT)}
    wanted = set(re.findall(r"var\((--chart-[a-z0-9-]+)\)", text))
    for palette in (LIGHT, DARK):
        assert wanted <= set(re.findall("(--chart-[a-z0-9-]+):", palette_css(palette)))


def test_a_colour_in_a_text_stays_a_text() -> None:
    assert LIGHT.ink in inline(chart(f"limit {LIGHT.ink}"), "a", Styles())


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</text></svg><script>alert(1)</script>",
        "-->]]><!--",
        "&lt;b&gt; &#60;",
    ],
)
def test_text_stays_text_whatever_it_contains(hostile: str) -> None:
    root = ET.fromstring(inline(chart(hostile), "a", Styles()))  # noqa: S314 - our own

    assert hostile in [element.text for element in root.iter("text")]


def test_nothing_but_shapes_and_texts_is_kept() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="72pt" height="72pt">'
        "<script>alert(1)</script><foreignObject><b>x</b></foreignObject>"
        '<a xlink:href="javascript:x"><path d="M 0 0"/></a>'
        '<path d="M 0 0 L 1.234 5 L 2 3 z" onclick="alert(1)" style="background:url(http://x)"/>'
        '<image xlink:href="http://evil.example/x.png" width="1"/><use xlink:href="http://evil.example#a"/></svg>'
    )

    assert inline(svg.encode(), "a", Styles()) == (
        '<svg width="96" height="96"><path d="M0 0 1.2 5 2 3z"/><image width="1"/></svg>'
    )
