"""junit.xml: one test case per objective and per validity check, as build servers read them.

FAIL is a failure with what was expected, observed and on how many samples. INCONCLUSIVE is skipped with the reason:
a promise nobody could judge is neither kept nor broken. A validity check that FAILs is a failure too, a warning
passes and says so in its output.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.material import Material
from reports.sections.first_screen import scope_text, verdict
from reports.sections.service import check_bounds, check_title, check_value

_PROPERTIES = ("run_id", "scenario", "target", "region", "git_commit", "load_model", "seed")


def render_junit(material: Material) -> str:
    """The XML text, UTF-8 declared, ending with a newline."""
    root = ET.Element("testsuites", name=str(material.run.get("scenario") or "load test"))
    objectives = [_objective_case(entry) for entry in material.summary.get("objectives") or []]
    checks = [_check_case(entry) for entry in (material.summary.get("validity") or {}).get("checks") or []]
    suite = _suite(root, "objectives", objectives)
    _add_properties(suite, material)
    _suite(root, "validity", checks)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(each.get(name, "0")) for each in root)))
    ET.indent(root)
    body: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(root: ET.Element, name: str, cases: list[ET.Element]) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.extend(cases)
    return suite


def _add_properties(suite: ET.Element, material: Material) -> None:
    found = verdict(material)
    properties = ET.Element("properties")
    pairs = [("verdict", found.status), ("exit_code", found.exit_code), ("reason", found.reason)]
    pairs += [(name, str(material.run[name])) for name in _PROPERTIES if material.run.get(name) is not None]
    for name, value in pairs:
        ET.SubElement(properties, "property", name=name, value=value)
    suite.insert(0, properties)


def _objective_case(entry: Mapping[str, Any]) -> ET.Element:
    metric, text = str(entry.get("metric") or ""), str(entry.get("objective"))
    case = ET.Element("testcase", classname="objectives", name=text)
    observed = numbers.quantity(metric, entry.get("observed"))
    facts = f"expected: {text}\nobserved: {observed}\nn: {numbers.count(entry.get('n'))}\n"
    facts += f"scope: {scope_text(entry.get('scope'))}\nmargin: {numbers.signed_percent(entry.get('margin_pct'))}"
    reason = entry.get("reason")
    if entry.get("status") == "FAIL":
        message = f"expected {text}, observed {observed}, n = {numbers.count(entry.get('n'))}"
        _child(case, "failure", message, f"{facts}\n{reason}" if reason else facts, type="objective missed")
    elif entry.get("status") != "PASS":
        _child(case, "skipped", f"INCONCLUSIVE: {reason or 'not judged'}", None)
    else:
        _child(case, "system-out", None, facts)
    return case


def _check_case(entry: Mapping[str, Any]) -> ET.Element:
    unit, status = str(entry.get("unit") or ""), entry.get("status")
    case = ET.Element("testcase", classname="validity", name=check_title(str(entry.get("name"))))
    observed, (good, bad) = check_value(entry.get("observed"), unit), check_bounds(entry)
    facts = f"expected: {good}\ninvalid: {bad}\nobserved: {observed}\n"
    facts += f"worst cell: {entry.get('cell') or numbers.MISSING}"
    reason, advice = entry.get("reason"), entry.get("advice")
    if status == "FAIL":
        message = f"expected {good}, observed {observed}: {reason or 'invalid'}"
        _child(case, "failure", message, f"{facts}\n{advice or ''}", type="measurement invalid")
    elif status == "NOT_MEASURED":
        _child(case, "skipped", f"not measured: {reason or 'no figures'}", None)
    else:
        warning = f"WARNING: {reason}. {advice}\n" if status == "WARN" else ""
        _child(case, "system-out", None, warning + facts)
    return case


def _child(case: ET.Element, tag: str, message: str | None, text: str | None, **attributes: str) -> None:
    child = ET.SubElement(case, tag, attributes)
    if message is not None:
        child.set("message", message)
    child.text = text
