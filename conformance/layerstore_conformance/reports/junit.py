"""``junit.xml``, as CI viewers read it: a suite of test cases for every group.

There are two schemas in use, Ant's and Jenkins'; this file is valid in both, and has all that either asks for.

pytest's own file is about tests: it has no groups, titles or clauses, counts a waived scenario as skipped without its
reason, and lacks the scenarios that never ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

if TYPE_CHECKING:
    from layerstore_conformance.reports.document import Document
    from layerstore_conformance.verdict.record import Record


def junit(made: Document) -> str:
    """Draw the report."""
    groups: dict[str, list[Record]] = {}
    for each in made["records"]:
        groups.setdefault(each["group"], []).append(each)
    root = Element("testsuites")
    for group, records in groups.items():
        suite = _suite(root, made, group, len(records), sum(each["seconds"] for each in records))
        for each in records:
            _case(suite, each)
        _end(suite)
    if made["verdict"]["outcome"] in ("incomplete", "error"):
        _whole(root, made)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, made: Document, name: str, tests: int, seconds: float) -> Element:
    attributes = {
        "name": name,
        "package": "layerstore",
        "id": str(len(root)),
        "hostname": "localhost",
        "timestamp": made["started"].removesuffix("Z"),
        "tests": str(tests),
        "time": f"{seconds:.3f}",
    }
    suite = SubElement(root, "testsuite", attributes)
    properties = SubElement(suite, "properties")
    for key, value in _properties(made).items():
        SubElement(properties, "property", {"name": key, "value": value})
    return suite


def _end(suite: Element) -> None:
    """Count the outcomes of the cases, and add the elements that Ant wants at the end of every suite."""
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))
    SubElement(suite, "system-out")
    SubElement(suite, "system-err")


def _properties(made: Document) -> dict[str, str]:
    driver = made["driver"]
    return {
        "driver": driver["driver_class"],
        "driver version": f"{driver['distribution']} {driver['version']}",
        "url": driver["url"],
        "suite version": made["suite"]["version"],
        "contract": made["contract"],
        "profile": made["profile"],
        "seed": str(made["seed"]),
    }


def _case(suite: Element, each: Record) -> None:
    named = {"classname": f"layerstore.{each['group']}", "name": each["id"], "time": f"{each['seconds']:.3f}"}
    case = SubElement(suite, "testcase", named)
    if each["outcome"] == "failed":
        _detail(case, "failure", _first(each), each["narration"])
    elif each["outcome"] == "skipped":
        _detail(case, "skipped", each["reason"], "")
    elif each["outcome"] == "waived":
        _detail(case, "skipped", f"waived {each['waiver']}", each["narration"])


def _whole(root: Element, made: Document) -> None:
    """Add a case for the run itself: a viewer would show nothing of scenarios that never ran."""
    suite = _suite(root, made, "run", 1, 0)
    case = SubElement(
        suite, "testcase", {"classname": "layerstore.run", "name": "the run is complete", "time": "0.000"}
    )
    _detail(case, "error", "; ".join(made["verdict"]["problems"]), made["verdict"]["sentence"])
    _end(suite)


def _detail(case: Element, kind: str, message: str, text: str) -> None:
    SubElement(case, kind, {"message": message, "type": f"layerstore.{kind}"}).text = text


def _first(each: Record) -> str:
    return each["reason"].partition("\n")[0] or each["title"]
