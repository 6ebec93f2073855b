"""Locust without its patches, before any module of these tests imports it."""

import tests.support.unpatched_locust  # noqa: F401 - for the import itself
