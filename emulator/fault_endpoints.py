"""Fault rules at run time: `GET`, `POST` and `DELETE /_emulator/faults`, and `DELETE /_emulator/faults/ID`."""

import json
from collections.abc import Iterable
from typing import Any

from bedrock.catalog import Catalog
from bedrock.clock import now
from emulator.config_faults import parse_rules
from emulator.faults import FaultBook, RuleInForce
from emulator.http import Exchange


class FaultEndpoints:
    """Lists, adds and removes the rules of a book."""

    def __init__(self, book: FaultBook, catalog: Catalog) -> None:
        self._book = book
        self._catalog = catalog

    def show(self, exchange: Exchange) -> None:
        """All rules in force, in the order in which they are looked at, and how often each has hit."""
        exchange.respond_json(200, _listing(self._book.rules))

    def add(self, exchange: Exchange) -> None:
        """Put a rule, or a list of rules, behind those in force: all of them, or none if one has a mistake."""
        problems: list[str] = []
        rules = parse_rules(_decoded(exchange.request.body, problems), self._catalog, problems, where="rule")
        if problems:
            exchange.respond_json(400, {"message": f"No rule was added: {'; '.join(problems)}", "problems": problems})
        else:
            exchange.respond_json(200, _listing(self._book.add(rules, now())))

    def remove_all(self, exchange: Exchange) -> None:
        """Take all rules out; answers that were hit already keep their faults."""
        exchange.respond_json(200, {"removed": self._book.clear()})

    def remove(self, exchange: Exchange) -> None:
        """Take the rule out whose id is the last segment of the path."""
        given = exchange.request.path.partition("/faults/")[2]
        ids = {str(rule.number): rule.number for rule in self._book.rules}
        if given in ids:
            self._book.remove(ids[given])
            exchange.respond_json(200, {"removed": 1})
        else:
            known = ", ".join(ids) or "none"
            exchange.respond_json(404, {"message": f"There is no rule {given[:100]!r}; the ids are: {known}."})


def _listing(rules: Iterable[RuleInForce]) -> dict[str, Any]:
    return {"faults": [rule.to_dict() for rule in rules]}


def _decoded(body: bytes, problems: list[str]) -> list[Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        why = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        problems.append(f'The body must be a rule or a list of rules in JSON, like {{"kind": "stall"}}{why}')
        return []
    return document if isinstance(document, list) else [document]
