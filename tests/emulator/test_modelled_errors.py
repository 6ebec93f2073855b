"""Every error of the service's model, asked for by a fault rule, as an unmodified SDK raises it."""

from typing import Any

import botocore.exceptions
import botocore.session
import pytest

from bedrock.outcome import classify_http_error
from emulator.modelled_errors import IN_STREAM, MODELLED, operations_with
from emulator.operations import Operation
from emulator.process import EmulatorProcess
from tests.support.faults import add_faults, admin
from tests.support.sdk import NOVA, ask, client

OPERATIONS = ["converse", "converse_stream"]
WORDINGS = [(code, name) for code, known in MODELLED.items() for name in known.wordings]
#: Of the service's model, but not of the operations emulated here.
NOT_OF_THE_RUNTIME = {"ConflictException"}


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same one for all tests, its rules removed."""
    admin(running, "DELETE", "/_emulator/faults")
    return running


def service_model() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def raised(bedrock: Any, operation: str = "converse") -> botocore.exceptions.ClientError:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(bedrock, operation)(**ask())
    return caught.value


def test_the_table_is_that_of_the_services_model() -> None:
    modelled = {shape.name: shape for shape in service_model().error_shapes if shape.name not in NOT_OF_THE_RUNTIME}

    assert MODELLED.keys() == modelled.keys()
    for code, shape in modelled.items():
        assert MODELLED[code].status == shape.metadata["error"]["httpStatusCode"], code
        assert {"message", *MODELLED[code].members} == set(shape.members), code


@pytest.mark.parametrize(
    ("output", "operation"),
    [("ConverseStreamOutput", Operation.CONVERSE_STREAM), ("ResponseStream", Operation.INVOKE_STREAM)],
)
def test_the_exceptions_of_a_stream_are_those_of_the_services_model(output: str, operation: Operation) -> None:
    members = service_model().shape_for(output).members
    modelled = {name: shape.name for name, shape in members.items() if name.endswith("Exception")}

    assert {name: code for name, code in IN_STREAM.items() if operation in operations_with(name)} == modelled


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", MODELLED)
def test_every_modelled_error_raises_its_exception_with_code_status_and_request_id(
    emulator: EmulatorProcess, bedrock: Any, operation: str, code: str
) -> None:
    add_faults(emulator, {"kind": "error", "code": code})
    error = raised(bedrock, operation)

    assert type(error) is getattr(bedrock.exceptions, code)
    assert error.response["Error"]["Code"] == code
    assert error.response["Error"]["Message"] == MODELLED[code].default_wording.replace("{model}", NOVA)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == MODELLED[code].status
    assert error.response["ResponseMetadata"]["RequestId"]
    for member, value in MODELLED[code].members.items():
        assert error.response[member] == (value.replace("{model}", NOVA) if isinstance(value, str) else value)


@pytest.mark.parametrize("code", MODELLED)
def test_the_truth_log_has_the_outcome_that_a_client_records(
    emulator: EmulatorProcess, bedrock: Any, code: str
) -> None:
    add_faults(emulator, {"kind": "error", "code": code})
    error = raised(bedrock)
    entry = emulator.truth()[-1]

    assert entry["request_id"] == error.response["ResponseMetadata"]["RequestId"]
    assert (entry["status"], entry["error_code"]) == (MODELLED[code].status, code)
    assert entry["fault"] == f"error:{code}"
    assert entry["outcome"] == classify_http_error(MODELLED[code].status, code, error.response["Error"]["Message"])
    assert (entry["input_tokens"], entry["output_tokens"], entry["served_tier"]) == (None, None, None)


@pytest.mark.parametrize(("code", "wording"), WORDINGS)
def test_a_wording_is_chosen_by_its_name(emulator: EmulatorProcess, bedrock: Any, code: str, wording: str) -> None:
    add_faults(emulator, {"kind": "error", "code": code, "message": wording})
    message = raised(bedrock).response["Error"]["Message"]

    assert message == MODELLED[code].wordings[wording].replace("{model}", NOVA)
    assert wording != message


@pytest.mark.parametrize(
    ("wording", "outcome"),
    [("requests", "throttled"), ("tokens", "throttled"), ("day", "throttled"), ("overloaded", "overloaded")],
)
def test_only_a_quotas_throttle_is_one(emulator: EmulatorProcess, bedrock: Any, wording: str, outcome: str) -> None:
    add_faults(emulator, {"kind": "error", "code": "ThrottlingException", "message": wording})
    raised(bedrock)

    assert emulator.truth()[-1]["outcome"] == outcome


def test_text_members_and_status_are_the_rules_where_it_gives_them(emulator: EmulatorProcess, bedrock: Any) -> None:
    rule = {
        "code": "ModelErrorException", "status": 499, "message": "Sorry from {model}: 漫画.",
        "original_status_code": 418, "resource_name": "a teapot",
    }  # fmt: skip
    add_faults(emulator, {"kind": "error", **rule})
    response = raised(bedrock).response

    assert response["Error"] == {"Message": f"Sorry from {NOVA}: 漫画.", "Code": "ModelErrorException"}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 499
    assert (response["originalStatusCode"], response["resourceName"]) == (418, "a teapot")


@pytest.mark.parametrize(("status", "outcome"), [(404, "client_error"), (418, "client_error"), (529, "server_error")])
def test_an_error_that_is_not_modelled_has_its_code_and_status(
    emulator: EmulatorProcess, bedrock: Any, status: int, outcome: str
) -> None:
    add_faults(emulator, {"kind": "error", "code": "FTUFormNotFilled", "status": status})
    error = raised(bedrock)

    assert type(error) is botocore.exceptions.ClientError
    assert error.response["Error"]["Code"] == "FTUFormNotFilled"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert emulator.truth()[-1]["outcome"] == outcome


def test_the_service_may_say_when_to_come_back(emulator: EmulatorProcess, bedrock: Any) -> None:
    add_faults(emulator, {"kind": "error", "code": "ThrottlingException", "retry_after_ms": 1500, "count": 1})

    assert raised(bedrock).response["ResponseMetadata"]["HTTPHeaders"]["x-amz-retry-after"] == "1500"
    assert "x-amz-retry-after" not in bedrock.converse(**ask())["ResponseMetadata"]["HTTPHeaders"]


def test_an_error_may_take_its_time(emulator: EmulatorProcess, bedrock: Any) -> None:
    add_faults(emulator, {"kind": "error", "code": "ModelTimeoutException", "delay_s": 0.3})
    raised(bedrock)
    entry = emulator.truth()[-1]

    assert entry["ended_at"] - entry["received_at"] >= 0.3
    assert entry["outcome"] == "timeout"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_sdks_retries_are_seen_as_attempts_until_it_succeeds(emulator: EmulatorProcess, operation: str) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "error", "code": "ServiceUnavailableException", "count": 2})
    answer = getattr(client(emulator, attempts=3), operation)(**ask())
    list(answer.get("stream", ()))
    entries = emulator.truth(before)

    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert [entry["attempt"] for entry in entries] == [1, 2, 3]
    assert [entry["outcome"] for entry in entries] == ["overloaded", "overloaded", "ok"]
    assert [entry["fault"] for entry in entries] == [*["error:ServiceUnavailableException"] * 2, None]


def test_an_error_that_is_not_retried_has_one_attempt(emulator: EmulatorProcess) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "error", "code": "ModelErrorException"})
    raised(client(emulator, attempts=3))

    assert [entry["attempt"] for entry in emulator.truth(before)] == [1]
