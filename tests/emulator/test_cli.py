"""The command `python -m emulator`, as a process: its lines, its exit codes, its end."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from emulator.certificates import make_pair
from emulator.process import PROJECT_ROOT
from tests.support.sdk import FAST, NOVA

COMMAND = [sys.executable, "-m", "emulator"]
READY = re.compile(r"^listening on (https?://127\.0\.0\.1:(\d+))\n$")
FIELDS = 21
#: Far more than any step here takes; only a hanging process is ended by it.
PATIENCE_S = 60.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command; what a failed test leaves running is killed."""
    with ExitStack() as running:

        def run(*options: str, **environment: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*COMMAND, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=PROJECT_ROOT,
                env={**os.environ, **environment},
            )
            running.callback(reap, process)
            return process

        yield run


def reap(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    ready = READY.match(line)
    assert ready, line
    return ready[1]


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str, str]:
    """Exit code, the rest of stdout, and stderr."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def fails(*options: str) -> str:
    """Stderr of a start that must end with 4 and write nothing to stdout."""
    done = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd=PROJECT_ROOT
    )
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def get(url: str, ca_bundle: Path | None = None) -> bytes:
    trust = None if ca_bundle is None else ssl.create_default_context(cafile=ca_bundle)
    with urllib.request.urlopen(url, timeout=PATIENCE_S, context=trust) as response:  # noqa: S310 - loopback
        body: bytes = response.read()
        return body


def post_converse(url: str, operation: str) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()
    with urllib.request.urlopen(f"{url}/model/{NOVA}/{operation}", body, timeout=PATIENCE_S) as response:  # noqa: S310
        answer: bytes = response.read()
        return answer


def config_file(directory: Path, settings: Mapping[str, object]) -> str:
    path = directory / "emulator.yaml"
    path.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    return str(path)


def test_port_0_picks_a_free_port_and_stdout_has_only_the_ready_line(start: Start) -> None:
    one, other = start("--port", "0"), start("--port", "0")
    urls = [url_of(one), url_of(other)]

    assert len(set(urls)) == 2
    for url in urls:
        assert json.loads(get(f"{url}/_emulator/health"))["status"] == "ok"
    for process in (one, other):
        code, rest, _ = end(process)
        assert (code, rest) == (0, "")


def banner_of(process: subprocess.Popen[str]) -> list[str]:
    """The lines before the last one of the banner."""
    assert process.stderr is not None
    return list(iter(process.stderr.readline, "Stop with Ctrl-C.\n"))


@pytest.mark.parametrize("auth", ["accept", "verify"])
@pytest.mark.parametrize("is_tls", [False, True])
def test_the_exports_of_the_banner_are_all_that_the_aws_cli_needs(
    start: Start, tmp_path: Path, auth: str, is_tls: bool
) -> None:
    tls = ["--tls", "--tls-dir", str(tmp_path / "a directory's name")] if is_tls else []
    process = start("--port", "0", "--config", config_file(tmp_path, {**FAST, "auth": auth}), *tls)
    url = url_of(process)
    messages = json.dumps([{"role": "user", "content": [{"text": "Hi"}]}])
    converse = [*[sys.executable, "-m", "awscli", "bedrock-runtime", "converse"], "--model-id", NOVA]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_BEARER_TOKEN_BEDROCK": "left over", "AWS_CONFIG_FILE": os.devnull, "AWS_PAGER": ""}
    environment |= {"AWS_SESSION_TOKEN": "left over"}
    exports = [line.strip() for line in banner_of(process) if re.match(r"\s+(export|unset) ", line)]

    assert f"export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={url}" in exports
    done = subprocess.run(
        ["sh", "-c", "\n".join([*exports, '"$@"']), "sh", *converse, "--messages", messages],
        capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stopReason"] == "end_turn"


def test_a_busy_port_is_one_sentence(start: Start) -> None:
    port = url_of(start("--port", "0")).rsplit(":", 1)[1]
    message = fails("--port", port)

    assert message == (
        f"emulator: port {port} on 127.0.0.1 is in use; choose another with --port, or --port 0 for a free one.\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test"])  # noqa: S104
def test_a_host_that_others_can_reach_needs_its_flag(host: str) -> None:
    message = fails("--port", "0", "--host", host)

    assert message.startswith(f"emulator: {host} is not a loopback address;")
    assert "--allow-remote" in message


OWN_KEYS = {"mode": "verify", "access_key_id": "AKID", "secret_access_key": "hush-hush", "bearer_token": "hush-token"}


@pytest.mark.parametrize(
    ("auth", "tls", "warning"),
    [
        ("accept", [], "there is no authentication (auth: accept); the traffic is not encrypted (no --tls);"),
        ("verify", ["--tls"], "signatures are verified, but against credentials that everybody knows"),
        (OWN_KEYS, ["--tls"], "signatures are verified; the traffic is encrypted; /_emulator/ is open to everybody."),
    ],
)
def test_with_its_flag_such_a_host_is_used_under_a_warning(
    start: Start, tmp_path: Path, auth: object, tls: list[str], warning: str
) -> None:
    config = config_file(tmp_path, {"auth": auth})
    options = ["--port", "0", "--host", "0.0.0.0", "--allow-remote", "--config", config, *tls]  # noqa: S104
    process = start(*options, XDG_CACHE_HOME=str(tmp_path))
    assert process.stdout is not None
    scheme, port = re.findall(r"(https?)://.*:(\d+)", process.stdout.readline())[0]
    ca_bundle = tmp_path / "bedrock-emulator" / "tls" / "ca.pem" if tls else None

    assert json.loads(get(f"{scheme}://127.0.0.1:{port}/_emulator/health", ca_bundle))["status"] == "ok"
    code, _, err = end(process)
    assert code == 0
    assert err.startswith("WARNING: listening on 0.0.0.0, other machines may connect: " + warning)
    assert "hush" not in err


# --- HTTPS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "lines"),
    [
        (
            OWN_KEYS,
            [
                "export AWS_ACCESS_KEY_ID=AKID AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1",
                "export AWS_SECRET_ACCESS_KEY=  # that of `auth` in the configuration",
                "unset AWS_SESSION_TOKEN",
                "unset AWS_BEARER_TOKEN_BEDROCK   # or, to use one in place of the keys: "
                "export AWS_BEARER_TOKEN_BEDROCK=  # that of `auth` in the configuration",
            ],
        ),
        (
            {"bearer_token": "hush-token"},
            [
                "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1",
                "# no key pair is accepted, only the bearer token",
                "export AWS_BEARER_TOKEN_BEDROCK=  # that of `auth` in the configuration",
            ],
        ),
        (
            {"access_key_id": "A&B", "secret_access_key": "hush-hush", "session_token": "hush"},
            [
                "export AWS_ACCESS_KEY_ID='A&B' AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1",
                "export AWS_SECRET_ACCESS_KEY=  # that of `auth` in the configuration",
                "export AWS_SESSION_TOKEN=  # likewise",
                "unset AWS_BEARER_TOKEN_BEDROCK   # no bearer token is accepted",
            ],
        ),
    ],
)
def test_own_credentials_are_asked_for_and_never_shown(
    start: Start, tmp_path: Path, auth: object, lines: list[str]
) -> None:
    process = start("--port", "0", "--tls-dir", str(tmp_path), "--config", config_file(tmp_path, {"auth": auth}))
    url_of(process)
    shown = banner_of(process)
    code, out, err = end(process)

    assert [line.strip() for line in shown[5 : 5 + len(lines)]] == lines
    assert code == 0
    assert "hush" not in "".join(shown) + out + err


def given_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate and its key in files of their own."""
    server = make_pair(["127.0.0.1"], datetime.now(UTC)).server
    certificate, key = directory / "given.crt", directory / "given.key"
    certificate.write_bytes(server.partition(b"-----BEGIN PRIVATE KEY")[0])
    key.write_bytes(b"-----BEGIN PRIVATE KEY" + server.partition(b"-----BEGIN PRIVATE KEY")[2])
    return certificate, key


def test_a_given_certificate_is_used_and_its_authority_left_to_the_user(start: Start, tmp_path: Path) -> None:
    certificate, key = given_certificate(tmp_path)
    process = start("--port", "0", "--tls-cert", str(certificate), "--tls-key", str(key))
    host, port = url_of(process).removeprefix("https://").split(":")

    assert ssl.get_server_certificate((host, int(port))) == certificate.read_text(encoding="utf-8")
    code, _, err = end(process)
    assert code == 0
    assert "# AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS: your authority's certificate, unless it is public" in err
    assert "Traceback" not in err


def test_a_certificate_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    certificate, key = given_certificate(tmp_path)
    other, secret, text = tmp_path / "other.key", tmp_path / "secret.key", tmp_path / "text"
    parsed = load_pem_private_key(key.read_bytes(), None)
    secret.write_bytes(parsed.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")))
    other.write_bytes(make_pair(["x"], datetime.now(UTC)).server)
    text.write_text("not a certificate", encoding="utf-8")

    def told(chosen: Path, chosen_key: Path) -> str:
        return fails("--port", "0", "--tls-cert", str(chosen), "--tls-key", str(chosen_key))

    assert told(tmp_path / "none", key) == f"emulator: cannot read {tmp_path / 'none'}: No such file or directory.\n"
    assert told(text, key).startswith(f"emulator: cannot use the certificate {text} with the key {key}: ")
    assert told(certificate, other).endswith(f"with the key {other}: key values mismatch.\n")
    assert told(certificate, secret).startswith("emulator: the key of --tls-key has a passphrase; give one without")


def test_an_emulator_without_tls_does_not_wait_for_its_library() -> None:
    check = "import sys, emulator.cli; sys.exit('cryptography' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=PROJECT_ROOT).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], "'70000' is not a port"),
        (["--port", "http"], "'http' is not a port"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--sede", "1"], "unrecognized arguments: --sede 1"),
        (["--port", "0", "--tls-cert", "a.pem"], "--tls-cert and --tls-key go together."),
        (["--port", "0", "--tls-key", "a.pem"], "--tls-cert and --tls-key go together."),
        (["--port", "0", "--tls-cert", "a", "--tls-key", "b", "--tls-dir", "c"], "it has no use beside --tls-cert."),
        (["--port", "0", "--tls-dir", "/dev/null/tls"], "cannot keep certificates in /dev/null/tls: Not a directory;"),
        (["--port", "0", "--truth-log", "/nowhere/truth.jsonl"], "cannot write the truth log /nowhere/truth.jsonl"),
    ],
)
def test_options_that_cannot_be_used_end_with_4(options: list[str], message: str) -> None:
    assert message in fails(*options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_a_complete_truth_log(start: Start, tmp_path: Path, number: int) -> None:
    """What had been answered, what was refused, and what was in flight: a line for each."""
    log = tmp_path / "truth.jsonl"
    settings = {"default": FAST["default"], "amazon.nova-lite-v1:0": {"latency": {"ttft_ms": 3_600_000}}}
    process = start("--port", "0", "--config", config_file(tmp_path, settings), "--truth-log", str(log))
    url = url_of(process)
    post_converse(url, "converse")
    post_converse(url, "converse-stream")
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]})
    head = f"POST /model/amazon.nova-lite-v1:0/converse HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as waiting:
        waiting.sendall((head + body).encode())
        wait_until(lambda: json.loads(get(f"{url}/_emulator/stats"))["total"]["in_flight"] == 1)
        code, _, err = end(process, number)
        assert waiting.recv(1) == b"", "the connection is closed"

    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert code == 0
    assert "Traceback" not in err
    assert [line["outcome"] for line in lines] == ["ok", "ok", "aborted"]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert {len(line) for line in lines} == {FIELDS}


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail("it did not come about")


def test_the_truth_log_is_appended_to(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    for _ in range(2):
        process = start("--port", "0", "--config", config_file(tmp_path, FAST), "--truth-log", str(log))
        post_converse(url_of(process), "converse")
        end(process)

    assert len(log.read_text(encoding="utf-8").splitlines()) == 2


def test_the_seed_of_the_option_wins_over_that_of_the_configuration(start: Start, tmp_path: Path) -> None:
    path = config_file(tmp_path, {"seed": 5})
    seeds = []
    for options in (["--config", path], ["--config", path, "--seed", "0"], []):
        process = start("--port", "0", *options)
        seeds.append(json.loads(get(f"{url_of(process)}/_emulator/health"))["seed"])
        end(process)

    assert seeds == [5, 0, 0]


def test_two_runs_with_one_seed_say_the_same(start: Start, tmp_path: Path) -> None:
    settings = {"default": {"latency": {"ttft_ms": 1, "tokens_per_second": 100_000}}}

    def answers(seed: str) -> list[str]:
        process = start("--port", "0", "--config", config_file(tmp_path, settings), "--seed", seed)
        url = url_of(process)
        documents = [json.loads(post_converse(url, "converse")) for _ in range(2)]
        end(process)
        return [document["output"]["message"]["content"][0]["text"] for document in documents]

    assert answers("7") == answers("7") != answers("8")


def test_input_that_has_no_end_to_wait_for_is_refused_in_a_sentence() -> None:
    command = [*COMMAND, "--port", "0", "--stop-with-stdin"]
    options = {"capture_output": True, "text": True, "cwd": PROJECT_ROOT, "timeout": PATIENCE_S}
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, **options)

    assert ended.returncode == 4
    assert ended.stderr == "emulator: --stop-with-stdin needs a pipe or a terminal as its input\n"
