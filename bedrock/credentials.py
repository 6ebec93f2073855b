"""Whether calls to AWS could be signed at all, found out without sending anything to Bedrock."""

import os

import botocore.exceptions
import botocore.session

from bedrock.endpoint import Endpoint, EndpointError

#: Environment variable of a Bedrock API key, which replaces signing.
BEARER_TOKEN_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105 - the name of a variable, not a secret


def check_credentials(endpoint: Endpoint) -> None:
    """EndpointError where the endpoint asks for AWS credentials and none can be found.

    Looks where the SDK looks: environment, profile, SSO, container, instance role. Loopback needs none.
    """
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
