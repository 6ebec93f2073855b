"""The generated certificate in a directory: made once, kept for the next start, replaced when it no longer will do."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bedrock.clock import now
from emulator.certificates import Pair, is_usable, make_pair, names_of, read_own


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """Where the two parts of a `Pair` are."""

    authority: Path
    server: Path


@contextlib.contextmanager
def kept_files(directory: Path, names: Sequence[str]) -> Iterator[KeptFiles]:
    """Files good for the host names and addresses `names`; they stay as they are within the `with`.

    A replaced certificate has the names of the one before it, too. OSError where the directory cannot be used,
    ForeignCertificateError where it holds other certificates, which are left alone.
    """
    files = KeptFiles(directory / "ca.pem", directory / "server.pem")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        _renew(files, names, datetime.fromtimestamp(now(), UTC))
        yield files


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Emulators that start at the same time shall make one pair, not halves of several."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _renew(files: KeptFiles, names: Sequence[str], at: datetime) -> None:
    authority, server = _content(files.authority), _content(files.server)
    if authority is not None and server is not None and is_usable(Pair(authority, server), names, at):
        return
    if server is not None:
        names = list(dict.fromkeys([*names_of(read_own(server)), *names]))
    pair = make_pair(names, at)
    _write_private(files.authority, pair.authority)
    _write_private(files.server, pair.server)


def _content(path: Path) -> bytes | None:
    """What is in the file, None where there is none; a file that is not ours is an error before anything is written."""
    if not path.exists():
        return None
    content = path.read_bytes()
    read_own(content)
    return content


def _write_private(path: Path, content: bytes) -> None:
    """Put a file in place at once, for its owner only."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
