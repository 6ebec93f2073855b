"""The web form's values, checked before a test starts.

Locust checks neither types nor choices of custom parameters in the form (locust.md 1.6); without this a bad value
would start a test that ends at once, with the reason in a log that nobody looks at.
"""

from locust.runners import STATE_INIT, STATE_STOPPED, MasterRunner
from locust.util.timespan import parse_timespan

import math
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Response, jsonify, request

from bedrock.loopback import is_loopback
from loadgen.options import AWS, OPTIONS, LoadOptions, OptionsError
from loadgen.plain_run import check_results_dir
from loadgen.preparation import check_endpoint, prepare
from loadgen.shapes import choose_shape, shape_of
from scenarios.run_directory import RunDirectoryError


def install(environment: Any) -> None:
    """Let only the page itself give orders, and answer a form with problems by naming them all, without a start."""
    environment.web_ui.app.before_request(_refuse_strangers)
    environment.web_ui.app.before_request(_guard(environment))


def _refuse_strangers() -> tuple[Response, int] | None:
    """A page of another site, open in the same browser, must not start a test that may cost money.

    Browsers name the page a POST comes from in `Origin`; one that is not the page's own address is refused, and so is
    an address that is a name of somebody else's for this machine (DNS rebinding), where it listens on loopback.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return None
    origin = request.headers.get("Origin") or request.headers.get("Referer")
    if origin is not None and urlsplit(origin).netloc != request.host:
        return jsonify({"success": False, "message": f"A page of {urlsplit(origin).netloc} may not do this."}), 403
    if is_loopback(request.remote_addr or "") and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
        return jsonify({"success": False, "message": f"{request.host} is not an address of this machine."}), 403
    return None


def _guard(environment: Any) -> Callable[[], Response | None]:
    def check() -> Response | None:
        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        if request.form.get("target") == AWS and environment.parsed_options.target != AWS:
            return _problems(environment, ["target: start Locust with --target aws to allow calls that cost money"])
        if _other(request.form, environment.parsed_options, "system_prompt_file"):
            return _problems(environment, ["system_prompt_file: start Locust with --system-prompt-file to send it"])
        try:
            host = request.form.get("host") or environment.host
            preparation = prepare(with_form(environment.parsed_options, request.form), host, environment.user_classes)
            check_endpoint(preparation.endpoint)
            if _other(request.form, environment.parsed_options, "results_dir"):
                check_results_dir(preparation.options.results_dir)
            _choose_shape(environment, preparation.options, request.form)
        except OptionsError as error:
            return _problems(environment, error.problems)
        except RunDirectoryError as error:
            return _problems(environment, [str(error)])
        return None

    return check


def _other(form: Mapping[str, str], parsed_options: Namespace, name: str) -> bool:
    return name in form and form[name] != str(getattr(parsed_options, name))


def _choose_shape(environment: Any, options: LoadOptions, form: Mapping[str, str]) -> None:
    """Give the test that is about to start the shape of its pattern; one that is going on keeps its own."""
    runner, given = environment.runner, environment.parsed_options
    if runner.state not in (STATE_INIT, STATE_STOPPED):
        return
    try:
        users, spawn_rate = int(form.get("user_count", given.num_users or 1)), float(form.get("spawn_rate", 1))
        run_time_s = parse_timespan(form["run_time"]) if form.get("run_time") else None
    except ValueError:  # Locust says so, and starts nothing
        return
    choose_shape(environment, options, max(users, 1), spawn_rate if spawn_rate > 0.0 else 1.0, run_time_s)
    if shape_of(environment) is None:
        return
    # What Locust checks for a plain test it does not for one with a shape.
    problems = {
        "user_count: must be at least 1": users < 1,
        "spawn_rate: must be above 0": not 0.0 < spawn_rate < math.inf,
        "pattern: users cannot follow a pattern under --class-picker": environment.web_ui.userclass_picker_is_active,
        "No worker is connected": isinstance(runner, MasterRunner) and not runner.clients.ready,
    }
    if any(problems.values()):
        raise OptionsError([problem for problem, applies in problems.items() if applies])


def _problems(environment: Any, problems: Sequence[str]) -> Response:
    return jsonify({"success": False, "message": " · ".join(problems), "host": environment.host})


def with_form(parsed_options: Namespace, form: Mapping[str, str]) -> Namespace:
    """The options as they would be with the form's values, all of them still text."""
    values = dict(vars(parsed_options))
    for option in OPTIONS:
        name = option.flag.removeprefix("--").replace("-", "_")
        if name in form:
            values[name] = form[name] == "true" if isinstance(option.default, bool) else form[name]
    return Namespace(**values)
