import re
import xml.etree.ElementTree as ET
from itertools import product

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from reports import numbers, style
from reports.style import DARK, LIGHT, Palette

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str = "漫画 latency", canvas: style.Canvas = style.WIDE) -> Figure:
    figure = canvas.figure(220)
    axes = figure.subplots()
    for position in range(len(LIGHT.series)):
        look = style.series(position)
        axes.plot([1, 2, 3], [100 + position, 300, 2000], color=look.color, marker=look.marker, linestyle=look.dash)
    axes.set_title(text)
    axes.axhline(400, color=LIGHT.limit)
    style.log_axis(axes, "y")
    return figure


def svg(text: str = "漫画 latency") -> bytes:
    with style.chart_style():
        return style.svg_bytes(drawn(text))


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_same_data_give_the_same_bytes() -> None:
    assert svg() == svg()


def test_nothing_in_a_file_says_when_or_by_what_it_was_written() -> None:
    text = svg().decode()

    assert "<metadata" not in text
    assert "Matplotlib" not in text
    assert not re.search(r"\d{4}-\d\d-\d\dT", text)


def test_text_stays_text_and_japanese_survives() -> None:
    texts = [element.text for element in ET.fromstring(svg()).iter(f"{SVG}text")]  # noqa: S314 - our own

    assert "漫画 latency" in texts
    assert "2,000" in texts


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", r"$\frac{1}{0}$", "$unclosed", "_hidden", "a\nb", '"&amp;', "0.123456 > 0.5"],
)
def test_text_is_drawn_as_it_is_whatever_it_contains(hostile: str) -> None:
    root = ET.fromstring(svg(hostile))  # noqa: S314 - our own

    assert "".join(hostile.split()) in "".join("".join(t.itertext()) for t in root.iter(f"{SVG}text")).replace(" ", "")
    assert not list(root.iter(f"{SVG}script"))


def test_a_hatch_refers_to_a_pattern_that_is_there() -> None:
    with style.chart_style():
        figure = style.WIDE.figure(120)
        figure.subplots().bar([0], [1], hatch="///")
        drawn = style.svg_bytes(figure).decode()
    patterns = set(re.findall(r'<pattern id="([^"]*)"', drawn)) | set(re.findall(r'<pattern [^>]* id="([^"]*)"', drawn))

    assert patterns
    assert patterns & set(re.findall(r"fill:url\(#([^)]*)\)", drawn)) == patterns


def test_no_text_is_smaller_than_12_px() -> None:
    sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", svg().decode())]

    assert sizes
    assert min(sizes) * style.CSS_DPI / 72 >= 12


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out_on_every_surface(palette: Palette) -> None:
    surfaces = (palette.surface, palette.band)
    for ink, surface in product((palette.ink, palette.muted, palette.limit), surfaces):
        assert contrast(ink, surface) >= 4.5, (ink, surface)
    for color in palette.series[:2]:  # the series that carry percentiles
        assert contrast(color, palette.surface) >= 3.0, color


@pytest.mark.parametrize("share", [i / 20 for i in range(21)])
def test_numbers_on_a_heat_map_are_readable_on_every_colour(share: float) -> None:
    color = mpl.colormaps[style.MAGNITUDE_MAP](share)
    hexed = "#" + "".join(f"{round(channel * 255):02x}" for channel in color[:3])

    assert contrast(style.readable_on(color), hexed) >= 4.5


def test_series_are_told_apart_without_colour() -> None:
    looks = [style.series(position) for position in range(6)]

    assert len({look.marker for look in looks}) == 6
    assert len({str(look.dash) for look in looks}) == 6


def test_drawing_leaves_the_users_settings_alone() -> None:
    before = dict(mpl.rcParams)
    svg()

    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("low", "high"), [(1, 1.2), (90, 400), (100, 9000), (0.5, 2e6), (3, 3)])
@pytest.mark.parametrize("most_ticks", [3, 5, 8])
def test_a_log_axis_has_a_few_ticks_written_in_full(low: float, high: float, most_ticks: int) -> None:
    with style.chart_style():
        axes = style.WIDE.figure(200).subplots()
        axes.plot([low, high], [0, 1])
        style.log_axis(axes, "x", most_ticks)
        left, right = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
        labels = axes.xaxis.get_major_formatter().format_ticks(ticks)

    assert 1 <= len(ticks) <= most_ticks + 3
    assert not any("e" in label or "^" in label for label in labels)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3725, "1:02:05")])
def test_elapsed_time_reads_like_a_clock(seconds: float, text: str) -> None:
    assert numbers.clock(seconds) == text
