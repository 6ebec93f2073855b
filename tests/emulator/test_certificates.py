"""Generated certificates: what clients accept them for, when they are replaced, and what never happens to files."""

import socket
import ssl
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emulator.certificate_store import kept_files
from emulator.certificates import Pair, make_pair
from emulator.tls import Tls, TlsError, generated_tls, given_tls

NOW = datetime.now(UTC)
NAMES = ["localhost", "127.0.0.1", "::1"]


def kept(directory: Path, *names: str) -> Pair:
    """What is in the directory after a start for these names."""
    with kept_files(directory, [*NAMES, *names]) as files:
        return Pair(files.authority.read_bytes(), files.server.read_bytes())


def put(directory: Path, pair: Pair) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "ca.pem").write_bytes(pair.authority)
    (directory / "server.pem").write_bytes(pair.server)


def shake_hands(tls: Tls, authority: Path, name: str) -> None:
    """A handshake in memory with a strict client that expects `name`; ssl.SSLError if either side is not content."""
    trust = ssl.create_default_context(cafile=authority)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=name)
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            with waiting():
                side.do_handshake()
    assert client.version() == "TLSv1.3"


@contextmanager
def waiting() -> Iterator[None]:
    try:
        yield
    except ssl.SSLWantReadError:
        return


@pytest.mark.parametrize("name", [*NAMES, "my-host.example", "192.0.2.7", "bücher.example", "fe80::1"])
def test_a_strict_client_accepts_every_name(tmp_path: Path, name: str) -> None:
    tls = generated_tls(tmp_path, name)
    assert tls.ca_bundle == tmp_path / "ca.pem"

    shake_hands(tls, tls.ca_bundle, name)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])  # noqa: S104 - no socket is opened
def test_every_address_stands_for_this_machines_name(tmp_path: Path, host: str) -> None:
    shake_hands(generated_tls(tmp_path, host), tmp_path / "ca.pem", socket.gethostname())


def test_a_name_that_no_certificate_can_have_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"^'a\.\.b' is no name for a certificate; give your own with --tls-cert"):
        generated_tls(tmp_path, "a..b")


def test_no_other_name_is_accepted(tmp_path: Path) -> None:
    tls = generated_tls(tmp_path, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(tls, tmp_path / "ca.pem", "bedrock-runtime.us-east-1.amazonaws.com")


def test_another_emulators_authority_is_not_accepted(tmp_path: Path) -> None:
    tls, other = generated_tls(tmp_path / "a", "localhost"), generated_tls(tmp_path / "b", "localhost")
    assert other.ca_bundle is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls, other.ca_bundle, "localhost")


def test_a_certificate_is_kept_for_the_next_start(tmp_path: Path) -> None:
    assert kept(tmp_path) == kept(tmp_path) == kept(tmp_path, "0:0:0:0:0:0:0:1")


def test_an_address_is_the_same_in_every_zone(tmp_path: Path) -> None:
    generated_tls(tmp_path, "fe80::1%eth0")
    first = kept(tmp_path)
    generated_tls(tmp_path, "fe80::1%eth1")

    assert kept(tmp_path, "fe80::1") == first


def test_files_are_for_their_owner_and_the_authoritys_key_is_nowhere(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "tls"
    pair = kept(directory)

    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {
        "ca.pem": 0o600,
        "server.pem": 0o600,
    }
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (pair.authority.count(b"PRIVATE KEY"), pair.server.count(b"BEGIN PRIVATE KEY")) == (0, 1)


def test_a_new_host_is_added_to_those_before(tmp_path: Path) -> None:
    first = kept(tmp_path, "one.example")
    second = kept(tmp_path, "two.example")

    assert first != second
    assert kept(tmp_path, "one.example") == kept(tmp_path, "two.example") == second


@pytest.mark.parametrize("age", [timedelta(days=395), timedelta(days=400), timedelta(days=-3)])
def test_a_certificate_that_ends_soon_or_has_not_begun_is_replaced(tmp_path: Path, age: timedelta) -> None:
    old = make_pair(NAMES, NOW - age)
    put(tmp_path, old)

    renewed = kept(tmp_path)
    assert renewed != old
    assert renewed == kept(tmp_path)


def test_a_certificate_with_weeks_left_is_kept(tmp_path: Path) -> None:
    old = make_pair(NAMES, NOW - timedelta(days=370))
    put(tmp_path, old)

    assert kept(tmp_path) == old


def test_halves_of_two_pairs_are_replaced(tmp_path: Path) -> None:
    """As a start that was killed between the two files leaves them."""
    one, other = make_pair(NAMES, NOW), make_pair(NAMES, NOW)
    put(tmp_path, Pair(one.authority, other.server))
    tls = generated_tls(tmp_path, "localhost")

    shake_hands(tls, tmp_path / "ca.pem", "localhost")


@pytest.mark.parametrize("lost", ["ca.pem", "server.pem"])
def test_a_lost_half_is_made_good(tmp_path: Path, lost: str) -> None:
    kept(tmp_path)
    (tmp_path / lost).unlink()

    shake_hands(generated_tls(tmp_path, "localhost"), tmp_path / "ca.pem", "localhost")


def test_emulators_that_start_together_use_one_certificate(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pairs = set(pool.map(lambda _: kept(tmp_path), range(8)))

    assert len(pairs) == 1


@pytest.mark.parametrize("name", ["ca.pem", "server.pem"])
@pytest.mark.parametrize("content", [b"precious", b""])
def test_files_of_others_are_left_alone(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TlsError, match=r"holds files that are no certificates; choose another place with --tls-dir\.$"):
        generated_tls(tmp_path, "localhost")

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]


def test_certificates_of_others_are_left_alone(tmp_path: Path) -> None:
    foreign = make_pair(NAMES, NOW).authority
    (tmp_path / "server.pem").write_bytes(foreign)
    with pytest.raises(TlsError, match="holds a certificate that is for no server"):
        generated_tls(tmp_path, "localhost")

    assert (tmp_path / "server.pem").read_bytes() == foreign


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(
        TlsError, match=r"^cannot keep certificates in .*/file/tls: .*; choose another place with --tls-"
    ):
        generated_tls(tmp_path / "file" / "tls", "localhost")


def test_a_given_certificate_is_used(tmp_path: Path) -> None:
    put(tmp_path, make_pair(["given.example"], NOW))
    tls = given_tls(tmp_path / "server.pem", tmp_path / "server.pem")

    assert tls.ca_bundle is None
    shake_hands(tls, tmp_path / "ca.pem", "given.example")
