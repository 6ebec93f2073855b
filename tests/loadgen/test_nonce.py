"""A nonce stands before everything that a cache could compare."""

import re

from bedrock.bodies import api_request
from bedrock.invocation import Invocation
from loadgen.session import with_nonce

PLAIN = Invocation("converse_stream", "us.amazon.nova-pro-v1:0", "Where is my order?", 100)
NONCE = r"\[request( \d{4}){4}\]\n\n"


def test_it_begins_the_prompt_where_there_is_no_system_prompt():
    assert re.fullmatch(NONCE + re.escape(PLAIN.prompt), with_nonce(PLAIN).prompt)


def test_it_begins_the_system_prompt_where_there_is_one():
    invocation = with_nonce(Invocation("converse", "us.amazon.nova-pro-v1:0", "Hello", 100, system="Be a clerk."))
    body = api_request(invocation).document

    assert re.fullmatch(NONCE + re.escape("Be a clerk."), body["system"][0]["text"])
    assert body["messages"][0]["content"][0]["text"] == "Hello"


def test_every_attempt_gets_another():
    assert with_nonce(PLAIN).prompt != with_nonce(PLAIN).prompt
