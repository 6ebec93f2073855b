"""The web form's values, checked before a test starts.

Locust checks neither types nor choices of custom parameters in the form (locust.md 1.6); without this a bad value
would start a test that ends at once, with the reason in a log that nobody looks at.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, jsonify, request

from loadgen.options import OPTIONS, OptionsError
from loadgen.preparation import check_endpoint, prepare


def install(environment: Any) -> None:
    """Answer the form's POST with the problems, all at once and in the form, instead of starting the test."""
    environment.web_ui.app.before_request(_guard(environment))


def _guard(environment: Any) -> Callable[[], Response | None]:
    def check() -> Response | None:
        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        try:
            host = request.form.get("host") or environment.host
            preparation = prepare(with_form(environment.parsed_options, request.form), host, environment.user_classes)
            check_endpoint(preparation.endpoint)
        except OptionsError as error:
            return jsonify({"success": False, "message": " · ".join(error.problems), "host": environment.host})
        return None

    return check


def with_form(parsed_options: Namespace, form: Mapping[str, str]) -> Namespace:
    """The options as they would be with the form's values, all of them still text."""
    values = dict(vars(parsed_options))
    for option in OPTIONS:
        name = option.flag.removeprefix("--").replace("-", "_")
        if name in form:
            values[name] = form[name] == "true" if isinstance(option.default, bool) else form[name]
    return Namespace(**values)
