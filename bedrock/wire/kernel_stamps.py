"""When the kernel had received what is read: Linux's own time stamps of TCP data, as a check on ours.

They see what the process cannot see of itself: how long bytes lay in the socket before the loop came to read them.
"""

import socket
import struct
import sys
import time

#: `SO_TIMESTAMPNS` and the type of the message that carries the stamp (Linux, include/uapi/asm-generic/socket.h).
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)


def enable(sock: socket.socket) -> bool:
    """Ask for stamps on a socket; whether they can be had."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def receive(sock: socket.socket, size: int) -> tuple[bytes, float | None]:
    """Up to `size` bytes, and the seconds since the last of them reached this machine, None where it is not told.

    Raises what `recv` raises.
    """
    data, ancillary, _, _ = sock.recvmsg(size, _ANCILLARY_BYTES)
    read_at = time.time()  # the kernel stamps with the wall clock; only the difference leaves this function
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(content) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(content)
            return data, max(0.0, read_at - seconds - nanoseconds * 1e-9)
    return data, None
