"""What can be told before a run about its comparison: better now than after an hour of paid traffic."""

from analysis.comparability import cell_differences, pair_cells, run_differences
from analysis.inputs import CellInfo, RunInfo, read_run_info
from analysis.rounds import representatives
from orchestrator.preflight import Preparation
from orchestrator.run_document import RunStart, first_content


def foreseeable_gaps(preparation: Preparation) -> list[str]:
    """A sentence for everything of this run that its baseline will not be comparable with; none without one."""
    path = preparation.settings.options.baseline
    if path is None:
        return []
    content = first_content(preparation.settings, preparation.cells, RunStart("", (), 0.0))
    cells = tuple(CellInfo(entry["cell"], entry["status"], entry) for entry in content["cells"])
    baseline = read_run_info(path)
    differs = run_differences(RunInfo(content, cells), baseline)
    if differs:
        return [f"This run will not be comparable with its baseline: {difference}" for difference in differs]
    planned = representatives([cell for cell in cells if cell.status != "skipped"])
    there = representatives([cell for cell in baseline.cells if cell.status == "finished"])
    pairs, alone, _ = pair_cells(planned, there)
    found = [f"Cell {cell.name} will have nothing to be compared with in the baseline" for cell in alone]
    for pair in pairs:
        apart = "; ".join(map(str, cell_differences(pair.this, pair.baseline)))
        found += [f"Cell {pair.this.name} will not be comparable: {apart}"] if apart else []
    return found
