"""Who gets in with `auth: verify`: botocore's own signer is the judge of what a right signature is."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials
from hypothesis import given
from hypothesis import strategies as st

from emulator.auth import AcceptAll, VerifySignatures, caller_region
from emulator.errors import ServiceError
from emulator.http import Request
from emulator.sigv4 import Credentials

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "127.0.0.1:8700"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
UNRECOGNIZED = "The security token included in the request is invalid."

#: Model ids as users write them, and as they may stand in a path: percent-encoded as one segment, or raw.
MODEL_IDS = st.sampled_from(
    [
        "amazon.nova-pro-v1:0",
        "us.anthropic.claude-3-5-haiku-20241022-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "arn:aws:bedrock:eu-west-1::foundation-model/cohere.command-r-v1:0",
    ]
)
SEGMENTS = st.builds(lambda name, is_raw: name if is_raw else quote(name, safe=""), MODEL_IDS, st.booleans())
PATHS = st.builds("/model/{}/{}".format, SEGMENTS, st.sampled_from(["converse", "converse-stream", "invoke"]))
ODD_PATHS = st.lists(st.sampled_from(["a", "..", ".", "", "v1:0", "%3A", "~b", "c,d", "漫"]), max_size=6).map(
    lambda parts: "/" + "/".join(parts)
)
QUERIES = st.lists(
    st.tuples(st.text("abc -~/=&漫", max_size=4), st.text("xyz +%:", max_size=4)).map(
        lambda pair: f"{quote(pair[0], safe='')}={quote(pair[1], safe='')}"
    ),
    max_size=4,
).map("&".join)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amzn-Bedrock-Service-Tier", "amz-sdk-request", "X-Custom", "Accept"]),
    st.text("abc \t,;=/é", max_size=12),
)
BODIES = st.binary(max_size=200)
REGIONS = st.sampled_from(["us-east-1", "eu-central-1", "ap-northeast-1"])
TOKENS = st.one_of(st.none(), st.text("abcXYZ/+=", min_size=1, max_size=30))


def signed(
    path: str = "/model/amazon.nova-pro-v1%3A0/converse",
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b'{"messages": []}',
    key_id: str = KEY_ID,
    secret: str = SECRET,
    token: str | None = None,
    region: str = "us-east-1",
    service: str = "bedrock",
) -> Request:
    """A request as the emulator reads it from an SDK that signs with botocore's signer."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    sent = AWSRequest("POST", url, {"Host": HOST, **(headers or {})}, body)
    SigV4Auth(SdkCredentials(key_id, secret, token), service, region).add_auth(sent)
    fields = {name.lower(): value.strip(" \t") for name, value in sent.headers.items()}
    target = (path + (f"?{query}" if query else "")).encode()
    return Request("POST", target, fields, body, 0.0, keep_alive=True, chunked_answer=True)


def changed(request: Request, **changes: Any) -> Request:
    """The request on its way to somebody else's hands."""
    fields = {name: getattr(request, name) for name in Request.__slots__}
    return Request(**{**fields, **changes})


def with_headers(request: Request, **headers: str | None) -> Request:
    """Headers replaced (names with underscores), or removed."""
    fields = {**request.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return changed(request, headers={name: value for name, value in fields.items() if value is not None})


def authorization(request: Request, old: str, new: str) -> Request:
    """Its Authorization header with a part replaced."""
    assert old in request.headers["authorization"]
    return with_headers(request, authorization=request.headers["authorization"].replace(old, new))


def door(token: str | None = None, bearer: str | None = None, clock: Any = None) -> VerifySignatures:
    credentials = Credentials(KEY_ID, SECRET, token)
    return VerifySignatures(credentials, bearer) if clock is None else VerifySignatures(credentials, bearer, clock)


def refusal(request: Request, at: VerifySignatures | None = None) -> tuple[int, str, str]:
    """Status, code and message that a request is refused with."""
    with pytest.raises(ServiceError) as caught:
        (at or door()).check(request)
    return caught.value.status, caught.value.code, caught.value.message


# --- signatures ----------------------------------------------------------------------------------------------


@given(path=PATHS, query=QUERIES, headers=HEADERS, body=BODIES, token=TOKENS, region=REGIONS)
def test_whatever_an_sdk_signs_gets_in(
    *, path: str, query: str, headers: dict[str, str], body: bytes, token: str | None, region: str
) -> None:
    door(token).check(signed(path, query=query, headers=headers, body=body, token=token, region=region))


@given(path=ODD_PATHS)
def test_paths_are_normalised_as_sdks_do(path: str) -> None:
    door().check(signed(path))


def test_a_header_that_is_not_ascii_may_be_signed_as_text_or_as_the_bytes_sent() -> None:
    as_text = signed(headers={"X-Custom": "é"})
    door().check(as_text)
    # The same signature, from a client that sent the character's UTF-8 bytes, which HTTP reads as Latin-1.
    door().check(with_headers(as_text, x_custom="é".encode().decode("latin-1")))
    assert refusal(with_headers(as_text, x_custom="è"))[2] == MISMATCH


def test_a_header_sent_twice_is_signed_as_a_list() -> None:
    request = AWSRequest("POST", f"http://{HOST}/", {"Host": HOST}, b"")
    for value in ("a", "b"):
        request.headers["X-Custom"] = value
    SigV4Auth(SdkCredentials(KEY_ID, SECRET), "bedrock", "us-east-1").add_auth(request)
    fields = {name.lower(): ",".join(request.headers.get_all(name)) for name in request.headers}

    assert fields["x-custom"] == "a,b"
    door().check(Request("POST", b"/", fields, b"", 0.0, keep_alive=True, chunked_answer=True))


@given(body=st.binary(min_size=1, max_size=60), place=st.integers(0), change=st.integers(1, 255))
def test_a_changed_byte_of_the_body_is_refused(body: bytes, place: int, change: int) -> None:
    request = signed(body=body)
    altered = bytearray(body)
    altered[place % len(body)] ^= change

    assert refusal(changed(request, body=bytes(altered))) == (403, "InvalidSignatureException", MISMATCH)


@given(path=PATHS, place=st.integers(0), letter=st.sampled_from("aZ0-._~%:é"))
def test_a_changed_letter_of_the_path_is_refused(path: str, place: int, letter: str) -> None:
    request = signed(path)
    place = 1 + place % (len(path) - 1)
    altered = path[:place] + letter + path[place + 1 :]
    if altered != path:
        assert refusal(changed(request, target=altered.encode()))[2] == MISMATCH


@given(place=st.integers(0, 63), letter=st.sampled_from("0123456789abcdefABCDEFé"))
def test_a_changed_letter_of_the_signature_is_refused(place: int, letter: str) -> None:
    request = signed()
    head, signature = request.headers["authorization"].rsplit("=", 1)
    altered = signature[:place] + letter + signature[place + 1 :]
    if altered != signature:
        assert refusal(with_headers(request, authorization=f"{head}={altered}"))[2] == MISMATCH


@pytest.mark.parametrize(
    "alter",
    [
        lambda request: changed(request, method="PUT"),
        lambda request: changed(request, target=request.target + b"?a=1"),
        lambda request: with_headers(request, host="example.test"),
        lambda request: with_headers(request, content_type="text/plain"),
        lambda request: with_headers(request, content_type=None),
        lambda request: authorization(request, "us-east-1", "us-west-2"),
        lambda request: authorization(request, "SignedHeaders=content-type;host;", "SignedHeaders=host;"),
    ],
    ids=["method", "query", "host", "header", "no header", "region", "header no longer signed"],
)
def test_nothing_else_that_was_signed_may_change(alter: Any) -> None:
    request = signed(headers={"Content-Type": "application/json"})
    door().check(request)

    assert refusal(alter(request)) == (403, "InvalidSignatureException", MISMATCH)


def test_a_path_signed_as_it_was_sent_is_refused_as_by_bedrock() -> None:
    """curl 7 forgets to encode the path once more."""
    sent = signed("/model/amazon.nova-pro-v1%3A0/converse")
    decoded = signed("/model/amazon.nova-pro-v1:0/converse")

    assert sent.headers["authorization"] != decoded.headers["authorization"]
    assert refusal(changed(decoded, target=sent.target))[2] == MISMATCH


def test_another_secret_is_a_wrong_signature() -> None:
    assert refusal(signed(secret=SECRET.lower())) == (403, "InvalidSignatureException", MISMATCH)


def test_a_checksum_header_does_not_stand_in_for_the_body() -> None:
    """AWS SDKs for other languages send the body's hash; the body itself is what counts."""
    body = b'{"a": 1}'
    digest = "1b16d0d8b4f5b7f8c4e1c4f5bd2fd9d3b6f5e0a6b9f7e1c2d3a4b5c6d7e8f901"

    assert refusal(signed(body=body, headers={"X-Amz-Content-SHA256": digest}))[2] == MISMATCH
    assert refusal(signed(body=body, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}))[2] == MISMATCH


def test_a_right_checksum_header_is_signed_like_any_other() -> None:
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}

    door().check(signed(body=b"{}", headers={"X-Amz-Content-SHA256": digest}))


# --- who signs -----------------------------------------------------------------------------------------------


def test_an_unknown_key_id_is_an_unrecognized_client() -> None:
    assert refusal(signed(key_id="SOMEONE")) == (403, "UnrecognizedClientException", UNRECOGNIZED)


@pytest.mark.parametrize(("sent", "expected"), [(None, "a"), ("b", "a"), ("a", None)])
def test_a_session_token_must_be_the_right_one(sent: str | None, expected: str | None) -> None:
    assert refusal(signed(token=sent), door(expected)) == (403, "UnrecognizedClientException", UNRECOGNIZED)


def test_without_a_key_pair_no_signature_gets_in() -> None:
    assert refusal(signed(), VerifySignatures(None, "token"))[1] == "UnrecognizedClientException"
    assert refusal(signed(secret=""), VerifySignatures(None, "token"))[1] == "UnrecognizedClientException"


def test_a_request_without_proof_is_told_so() -> None:
    missing = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")

    assert refusal(with_headers(signed(), authorization=None)) == missing
    assert refusal(with_headers(signed(), authorization=" ")) == missing


def test_a_scope_of_another_service_is_told_so() -> None:
    message = "Credential should be scoped to correct service: 'bedrock'."

    assert refusal(signed(service="bedrock-runtime")) == (403, "InvalidSignatureException", message)


def test_everything_wrong_with_a_scope_is_told_at_once() -> None:
    request = signed()
    stamp = request.headers["x-amz-date"]
    _, _, message = refusal(authorization(request, f"{stamp[:8]}/us-east-1/bedrock/aws4_request", "20200101/x/s3/end"))

    assert message == (
        "Credential should be scoped to correct service: 'bedrock'. "
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'end'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'20200101' != '{stamp[:8]}', from '{stamp}'."
    )


# --- when ----------------------------------------------------------------------------------------------------


def signed_at(request: Request) -> float:
    return datetime.fromisoformat(request.headers["x-amz-date"]).timestamp()


@pytest.mark.parametrize("late_s", [-300, 0, 300])
def test_five_minutes_of_skew_are_tolerated(late_s: int) -> None:
    request = signed()

    door(clock=lambda: signed_at(request) + late_s).check(request)


def test_an_old_signature_has_expired() -> None:
    request = changed(signed(), headers={**signed().headers, "x-amz-date": "20250130T203827Z"})
    at = datetime(2025, 1, 30, 20, 46, 31, tzinfo=UTC).timestamp()
    message = "Signature expired: 20250130T203827Z is now earlier than 20250130T204131Z (20250130T204631Z - 5 min.)"

    assert refusal(request, door(clock=lambda: at)) == (403, "InvalidSignatureException", message)


def test_a_signature_of_the_future_is_not_yet_current() -> None:
    request = changed(signed(), headers={**signed().headers, "x-amz-date": "20181017T093750Z"})
    at = datetime(2018, 10, 17, 9, 31, 39, tzinfo=UTC).timestamp()
    message = (
        "Signature not yet current: 20181017T093750Z is still later than 20181017T093639Z (20181017T093139Z + 5 min.)"
    )

    assert refusal(request, door(clock=lambda: at)) == (403, "InvalidSignatureException", message)


def test_the_date_header_will_do_where_there_is_no_other() -> None:
    """Botocore uses `Date` if a caller has set it."""
    request = signed(headers={"Date": "will be replaced"})

    assert "x-amz-date" not in request.headers
    door().check(request)


@pytest.mark.parametrize("date", ["now", "2026-11-21T06:45:12Z", "20261321T000000Z", "２０２６1121T000000Z"])
def test_a_date_in_another_form_is_told_so(date: str) -> None:
    status, code, message = refusal(with_headers(signed(), x_amz_date=date.encode().decode("latin-1")))

    assert (status, code) == (400, "IncompleteSignatureException")
    assert message.startswith("Date must be in ISO-8601 'basic format'. Got '")


# --- the header's form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Signature=", "Sig=", "Authorization header requires 'Signature' parameter."),
        ("SignedHeaders=", "Headers=", "Authorization header requires 'SignedHeaders' parameter."),
        (f"Credential={KEY_ID}", f"Credential= {KEY_ID}", "not a valid key=value pair (missing equal-sign)"),
        (
            f"Credential={KEY_ID}",
            "Credential=keyid/withslash",
            "Credential must have exactly 5 slash-delimited elements",
        ),
        (
            "HMAC-SHA256",
            "HMAC-SHA512",
            "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now).",
        ),
    ],
)
def test_a_malformed_header_is_told_so(old: str, new: str, message: str) -> None:
    status, code, told = refusal(authorization(signed(), old, new))

    assert (status, code) == (400, "IncompleteSignatureException")
    assert message in told


def test_everything_a_header_lacks_is_told_at_once() -> None:
    request = with_headers(signed(), authorization="Basic dXNlcjpwYXNzd29yZA==", x_amz_date=None)

    assert refusal(request) == (
        400,
        "IncompleteSignatureException",
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    )


def test_the_host_must_be_signed() -> None:
    _, code, message = refusal(authorization(signed(), "SignedHeaders=host;", "SignedHeaders="))

    assert code == "InvalidSignatureException"
    assert message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."


@given(
    header=st.text(st.characters(max_codepoint=255)) | st.text("AWS4-HMAC256 Credential=/,;SignedHeaders=Bearer ~é"),
    date=st.none() | st.text(st.characters(max_codepoint=255)) | st.text("0123456789TZ :,+-JanMonGMT"),
    name=st.sampled_from(["date", "x-amz-date"]),
)
def test_any_nonsense_is_refused_in_a_sentence_and_without_the_secret(header: str, date: str | None, name: str) -> None:
    fields = {"authorization": header, "host": HOST} | ({} if date is None else {name: date})
    request = Request("POST", b"/model/x/converse", fields, b"", 0.0, keep_alive=True, chunked_answer=True)
    status, code, message = refusal(request)

    assert status in (400, 403)
    assert code.endswith("Exception")
    assert SECRET not in message


def test_a_secret_in_the_place_of_the_key_id_is_not_repeated() -> None:
    """Swapping the two is the usual cause of one element too many."""
    _, _, message = refusal(authorization(signed(), f"Credential={KEY_ID}", f"Credential={SECRET}"))

    assert "exactly 5" in message
    assert SECRET not in message
    assert SECRET not in repr(Credentials(KEY_ID, SECRET, SECRET))


# --- bearer tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Bearer token-1", "bearer token-1", "Bearer  token-1 "])
def test_the_right_bearer_token_gets_in(header: str) -> None:
    door(bearer="token-1").check(with_headers(signed(), authorization=header))


@pytest.mark.parametrize(
    ("header", "expected"),
    [("Bearer token-2", "token-1"), ("Bearer", "token-1"), ("Bearer token-1é", "token-1"), ("Bearer None", None)],
)
def test_any_other_bearer_token_is_refused(header: str, expected: str | None) -> None:
    message = "Authentication failed: Please make sure your API Key is valid."

    assert refusal(with_headers(signed(), authorization=header), door(bearer=expected)) == (
        403,
        "AccessDeniedException",
        message,
    )


# --- who does not look, and where a caller is ----------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "nonsense", "Bearer x"])
def test_accept_lets_everybody_in(header: str | None) -> None:
    AcceptAll().check(with_headers(signed(), authorization=header))


@given(region=REGIONS, token=TOKENS)
def test_the_callers_region_is_that_of_the_signature(region: str, token: str | None) -> None:
    assert caller_region(signed(region=region, token=token).headers) == region


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=a/b/c, x",
        "AWS4-HMAC-SHA256 Credential=a/b//bedrock/aws4_request,",
    ],
)
def test_a_request_that_is_not_signed_has_no_region(header: str | None) -> None:
    assert caller_region({} if header is None else {"authorization": header}) is None


@given(st.text(st.characters(max_codepoint=255)))
def test_no_header_breaks_the_look_for_a_region(header: str) -> None:
    caller_region({"authorization": f"Credential={header}"})
