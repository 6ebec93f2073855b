"""A chart as a part of the page: elements that cannot do harm, styles shared by all charts, colours by role.

Charts on the page differ from their files in four ways. Ids carry a prefix, so that two charts never share one. Styles
are classes of one sheet for the whole page. Colours of the light palette are custom properties, so that dark mode
exchanges them and print does not. Coordinates have a tenth of a point.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html import escape

from reports.style import LIGHT, Palette, roles

#: Elements that matplotlib draws with; none of them runs, links or embeds anything, and no other is kept.
_ELEMENTS = frozenset(
    ("svg", "defs", "g", "path", "use", "text", "tspan", "rect", "circle", "line", "image", "clipPath", "pattern")
)
_ATTRIBUTES = frozenset(
    ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "transform", "viewBox", "id", "href",
     "clip-path", "patternUnits", "patternTransform")
)  # fmt: skip
#: Attributes that set a look; they become styles, where custom properties are understood.
_LOOKS = ("fill", "stroke", "opacity", "fill-opacity", "stroke-width")
_RULE = re.compile(r"\.([\w-]+)\{([^}]*)\}")
_REFERENCE = re.compile(r"url\(#([\w-]+)\)")
_TARGET = re.compile(r"#([\w-]+)")
_COMMAND = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_NUMBER = re.compile(r"-?\d+\.\d\d+")
_PX_PER_PT = 96 / 72
_COLOURS = {color: f"var(--chart-{role})" for role, color in roles(LIGHT)}
_COLOUR = re.compile("|".join(_COLOURS))


class Styles:
    """The classes of all charts of a page: equal looks share one, numbered as they come."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, css: str) -> str:
        """The class for a look."""
        return self._names.setdefault(css, f"k{len(self._names)}")

    def css(self) -> str:
        """The rules, a line each."""
        return "\n".join(f".{name}{{{css}}}" for css, name in self._names.items())


def palette_css(palette: Palette) -> str:
    """The custom properties of a palette, for a rule of the page."""
    return "".join(f"--chart-{role}:{color};" for role, color in roles(palette))


def inline(svg: bytes, prefix: str, styles: Styles) -> str:
    """A chart's file as an element of an HTML page; `prefix` makes its ids its own."""
    return "".join(_Chart(ET.fromstring(svg), prefix, styles).lines())  # noqa: S314 - drawn here, no DTD


class _Chart:
    def __init__(self, root: ET.Element, prefix: str, styles: Styles) -> None:
        sheet = "".join(element.text or "" for element in root.iter() if _local(element.tag) == "style")
        self._root, self._prefix, self._styles = root, prefix, styles
        self._rules = dict(_RULE.findall(sheet))
        self._used = {name for text in self._texts(root, sheet) for name in _TARGET.findall(text)}

    @staticmethod
    def _texts(root: ET.Element, sheet: str) -> Iterator[str]:
        """All that can refer to an element by its id."""
        yield sheet
        for element in root.iter():
            for key, value in element.attrib.items():
                if _local(key) in ("href", "clip-path", *_LOOKS):
                    yield value[:100]

    def lines(self) -> Iterator[str]:
        """The text of the chart in pieces."""
        for side in ("width", "height"):
            self._root.set(side, f"{float(self._root.get(side, '0pt').removesuffix('pt')) * _PX_PER_PT:.0f}")
        yield from self._element(self._root)

    def _element(self, element: ET.Element) -> Iterator[str]:
        name = _local(element.tag)
        if name not in _ELEMENTS:
            return
        inside = [escape(element.text or "", quote=False)] if name in ("text", "tspan") else []
        for child in element:
            inside += self._element(child)
            if name == "text":
                inside.append(escape(child.tail or "", quote=False))
        attributes = "".join(self._attributes(name, element))
        if not attributes and (name == "g" or not inside):  # holds things together in the file only
            yield from inside
        elif inside:
            yield from (f"<{name}{attributes}>", *inside, f"</{name}>")
        else:
            yield f"<{name}{attributes}/>"

    def _attributes(self, name: str, element: ET.Element) -> Iterator[str]:
        for key, value in element.attrib.items():
            if (attribute := _local(key)) in _ATTRIBUTES and (text := self._value(name, attribute, value)):
                yield f' {attribute}="{escape(text)}"'
        css = ";".join(
            [self._rules.get(element.get("class", ""), "")]
            + [f"{look}:{element.get(look)}" for look in _LOOKS if element.get(look)]
        ).strip(";")
        if css:
            yield f' class="{self._styles.name(self._look(css))}"'

    def _value(self, name: str, attribute: str, value: str) -> str | None:
        """The attribute's value on the page; None to leave it out."""
        if attribute == "id":
            return f"{self._prefix}{value}" if value in self._used else None
        if attribute == "href":
            inside = value.startswith("#")
            return f"#{self._prefix}{value[1:]}" if inside else value if value.startswith("data:image/png;") else None
        if attribute == "clip-path":
            return self._own_references(value)
        if attribute == "d":
            return _short_path(value)
        return _rounded(value) if attribute in ("x", "y") and name != "image" else value

    def _look(self, css: str) -> str:
        return _COLOUR.sub(lambda found: _COLOURS[found[0]], self._own_references(css))

    def _own_references(self, text: str) -> str:
        return _REFERENCE.sub(lambda found: f"url(#{self._prefix}{found[1]})", text)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rounded(text: str) -> str:
    return _NUMBER.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), text)


def _short_path(path: str) -> str:
    """The same path with a tenth of a point, no needless blanks, and the letter of a line only where it must be.

    Shapes with curves, which are markers, keep their hundredths: they would lose their roundness.
    """
    pieces, previous = [], ""
    for letter, numbers in _COMMAND.findall(path if "C" in path else _rounded(path)):
        is_implied = letter == "L" and previous in ("M", "L")
        pieces.append((" " if is_implied else letter) + numbers.strip())
        previous = letter
    return "".join(pieces)
