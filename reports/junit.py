"""junit.xml: one test case for the verdict, one per objective, cell and validity check, as build servers read them.

FAIL is a failure with what was expected, observed and on how many samples. INCONCLUSIVE is skipped with the reason:
a promise nobody could judge is neither kept nor broken. A validity check that FAILs is a failure too, a warning
passes and says so in its output. A cell that did not come to its end is an error, and so is a run that was stopped.
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
    cells = [_cell_case(entry) for entry in material.summary.get("cells") or []]
    _add_properties(_suite(root, "verdict", [_verdict_case(material)]), material)
    _suite(root, "objectives", objectives)
    _suite(root, "cells", cells)
    compared = (material.summary.get("comparison") or {}).get("cells") or []
    if compared:
        _suite(root, "comparison", [_comparison_case(entry) for entry in compared])
    _suite(root, "validity", checks)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(each.get(name, "0")) for each in root)))
    ET.indent(root)
    body: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(root: ET.Element, name: str, cases: list[ET.Element]) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
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


def _verdict_case(material: Material) -> ET.Element:
    """Skipped while nobody can judge, an error where the run was stopped: green means PASS and nothing else."""
    found, stopped_by = verdict(material), material.run.get("stopped_by")
    reasons = "\n".join(str(reason) for reason in (material.summary.get("verdict") or {}).get("reasons") or [])
    case = ET.Element("testcase", classname="verdict", name="verdict")
    if stopped_by is not None:
        _child(case, "error", f"stopped by {stopped_by}: {found.reason}", reasons, type="run stopped")
    elif found.status == "PASS":
        _child(case, "system-out", None, reasons)
    elif found.status == "FAIL":
        _child(case, "failure", f"FAIL: {found.reason}", reasons, type="verdict")
    else:
        _child(case, "skipped", f"{found.status}: {found.reason}", reasons)
    return case


def _cell_case(entry: Mapping[str, Any]) -> ET.Element:
    status, reason = str(entry.get("status") or "finished"), entry.get("reason")
    case = ET.Element("testcase", classname="cells", name=str(entry.get("cell")))
    if status == "skipped":
        _child(case, "skipped", str(reason or "skipped"), None)
    elif status not in ("finished", "unlisted"):
        _child(case, "error", f"{status}: {reason or 'did not finish'}", None, type="cell not finished")
    else:
        requests = (entry.get("metrics") or {}).get("requests")
        _child(case, "system-out", None, f"requests: {numbers.count(requests)}")
    return case


def _comparison_case(entry: Mapping[str, Any]) -> ET.Element:
    """A cell against its baseline: a regression is a failure, what could not be compared is skipped."""
    case = ET.Element("testcase", classname="comparison", name=str(entry["cell"]))
    status = str(entry["status"])
    facts = "\n".join(f"{metric}: {verdict}" for metric, verdict in entry["metrics"].items())
    if status == "regressed":
        worse = [metric for metric, verdict in entry["metrics"].items() if verdict == "regressed"]
        _child(case, "failure", f"regressed against the baseline: {', '.join(worse)}", facts, type="regression")
    elif status == "not comparable":
        differs = "; ".join(f"{each['what']}: {each['this']} / {each['baseline']}" for each in entry["differs"])
        _child(case, "skipped", f"not comparable: {entry.get('reason') or differs or 'too few samples'}", None)
    else:
        _child(case, "system-out", None, f"{status}\n{facts}")
    return case


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
