"""Ceilings, measured: how much load the project's parts carry on one core, and what stops them."""
