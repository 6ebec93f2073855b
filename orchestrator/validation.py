"""`validate FILE...`: every problem of scenarios and of what they name; nothing is started, nothing is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.preflight import Preparation, prepare
from orchestrator.settings import resolve
from scenarios.loading import Problem, ScenarioError


@dataclass(frozen=True, slots=True)
class Validation:
    """One scenario file: its problems, or the plan that it makes."""

    file: Path
    problems: tuple[Problem, ...]
    preparation: Preparation | None

    @property
    def is_valid(self) -> bool:
        """Whether a run of it could start."""
        return self.preparation is not None


def validate(file: Path) -> Validation:
    """The file by itself, without flags and variables, with its mix, routings, prompts and emulator section."""
    try:
        return Validation(file, (), prepare(resolve(file, {}, {})))
    except ScenarioError as error:
        return Validation(file, error.problems, None)


def validation_text(validations: Sequence[Validation]) -> str:
    """A line for each problem, as compilers write them, and one for each valid file."""
    lines: list[str] = []
    for validation in validations:
        lines += map(str, validation.problems)
        if validation.preparation is not None:
            lines.append(f"{validation.file}: valid, {_cells(validation.preparation)}")
    return "".join(f"{line}\n" for line in lines)


def _cells(preparation: Preparation) -> str:
    cells, skipped = len(preparation.plan.cells), len(preparation.plan.skipped)
    said = f"{cells} cell{'' if cells == 1 else 's'}"
    return f"{said}, {skipped} skipped because Bedrock refuses them" if skipped else said


def validation_document(validations: Sequence[Validation]) -> dict[str, Any]:
    """The same as one JSON document; line and column are null where a problem has none."""
    return {
        "schema_version": 1,
        "valid": all(validation.is_valid for validation in validations),
        "files": [
            {
                "file": str(validation.file),
                "valid": validation.is_valid,
                "cells": len(validation.preparation.plan.cells) if validation.preparation else None,
                "problems": [_problem(problem) for problem in validation.problems],
            }
            for validation in validations
        ],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    position = problem.position
    return {
        "place": problem.place,
        "line": position.line if position else None,
        "column": position.column if position else None,
        "problem": problem.text,
    }
