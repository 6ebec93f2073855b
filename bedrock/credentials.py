"""Whether calls to AWS could be signed at all, found out without sending anything to Bedrock."""

import os

import botocore.exceptions
import botocore.session

from bedrock.endpoint import Endpoint, EndpointError

#: Environment variable of a Bedrock API key, which replaces signing.
BEARER_TOKEN_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105 - the name of a variable, not a secret

#: What points SDKs at an endpoint of somebody's own, such as an emulator's.
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")


def check_credentials(endpoint: Endpoint) -> None:
    """EndpointError where the endpoint asks for AWS credentials and none can be found, or AWS may not be meant.

    Looks where the SDK looks: environment, profile, SSO, container, instance role. Loopback needs none.
    """
    _refuse_diverted_calls(endpoint)
    if endpoint.is_loopback or os.environ.get(BEARER_TOKEN_VARIABLE):
        return
    try:
        found = botocore.session.get_session().get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise EndpointError(f"AWS credentials cannot be used: {error}") from error
    if found is None:
        raise EndpointError(
            "No AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            f"or {BEARER_TOKEN_VARIABLE}; or leave --target at emulator"
        )


def _refuse_diverted_calls(endpoint: Endpoint) -> None:
    """A run against AWS must not be one against an emulator, nor the other way round, because of the environment."""
    if endpoint.url is not None:
        return
    for variable in _ENDPOINT_VARIABLES:
        if os.environ.get(variable):
            raise EndpointError(
                f"{variable} is set, which points SDKs away from AWS: unset it, "
                "or name the endpoint with --endpoint-url if it is the one you mean"
            )
