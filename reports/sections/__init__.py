"""The parts of the page, each a function from results to tables and texts."""
