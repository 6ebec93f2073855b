"""What the SDK would do by its settings: where it would call, and whom it would trust. Sends nothing."""

import os
import ssl

import botocore.exceptions
import botocore.httpsession
import botocore.session
from botocore.config import Config

from bedrock.endpoint import EndpointError


def service_url(session: botocore.session.Session, region: str) -> str:
    """The service's endpoint of a region, by the SDK's own rules (FIPS, dual stack); EndpointError without one."""
    try:
        config = Config(ignore_configured_endpoint_urls=True)
        client = session.create_client("bedrock-runtime", region_name=region, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise EndpointError(f"The endpoint of {region} cannot be worked out: {error}") from error
    return str(client.meta.endpoint_url)


def trust(session: botocore.session.Session | None = None) -> ssl.SSLContext:
    """Verifies with the SDK's bundle: `AWS_CA_BUNDLE`, the profile's, or botocore's; EndpointError for a bad one."""
    session = session or botocore.session.get_session()
    bundle = (
        session.get_config_variable("ca_bundle")
        or os.environ.get("REQUESTS_CA_BUNDLE")
        or botocore.httpsession.get_cert_path(verify=True)
    )
    try:
        context = ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(f"The CA bundle {bundle} cannot be used: {error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context
