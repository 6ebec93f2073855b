"""HTTP answers read from a socket, without an HTTP library."""

from typing import BinaryIO


def read_head(reader: BinaryIO) -> tuple[int, dict[str, str]]:
    """Status and headers, names in lower case."""
    status = int(reader.readline().split()[1])
    fields = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode().partition(": ")
        fields[name.lower()] = value
    return status, fields


def read_chunks(reader: BinaryIO) -> list[bytes]:
    """The body's chunks, up to and including the closing one."""
    chunks = []
    while size := int(reader.readline(), 16):
        chunks.append(reader.read(size))
        assert reader.read(2) == b"\r\n"
    assert reader.readline() == b"\r\n"
    return chunks
