"""One Locust process tree: started in a session of its own, stopped gently first and for certain later."""

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from scenarios.provenance import shell_command

#: What the line of a console begins with that is the command.
_PROMPT = "$ "

#: How long workers may take to follow their master out before they are killed.
LINGER_S = 3.0


class ProcessTree:
    """A child process and everything it starts.

    It gets a session of its own, so that Ctrl-C on the terminal reaches only the orchestrator, which decides what
    the children are told; and so that the whole tree can be killed by its process group. Its standard input is a pipe
    that ends with this process, also by `kill -9`: children that watch it do not go on when nobody watches them. The
    console file gets the command as its first line. `inherited` are descriptors that stay open in the children.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        console: Path,
        inherited: Sequence[int] = (),
    ) -> None:
        console.parent.mkdir(parents=True, exist_ok=True)
        with console.open("ab") as output:
            output.write(_command_line(command).encode())
            output.flush()
            self._process = subprocess.Popen(  # noqa: S603 - arguments are this program's own
                list(command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
                pass_fds=inherited,
            )

    @property
    def pid(self) -> int:
        """Process id of the leader, which is also the id of the process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit code of the leader, None while it runs."""
        return self._process.poll()

    def interrupt(self) -> None:
        """SIGINT to the leader: Locust stops arrivals, drains and writes everything."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the whole group; then reap the leader."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def reap(self) -> None:
        """After the leader has ended: wait a moment for its workers, then kill those that linger.

        A Locust master may leave workers behind that would take a minute to notice.
        """
        deadline = time.monotonic() + LINGER_S
        while time.monotonic() < deadline:
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                self._close()
                return
            time.sleep(0.05)
        self.kill()

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def _command_line(command: Sequence[str]) -> str:
    """The command as one line of the console, whatever is in it."""
    return f"{_PROMPT}{shell_command(command, {})}".replace("\n", "\\n") + "\n"


def last_lines(paths: Sequence[Path], count: int = 8) -> str:
    """The last lines of the first of these logs that has any, as one text; empty if none has.

    The command that a console begins with is no line of its own.
    """
    for path in paths:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                said = (line.rstrip() for line in file if line.strip() and not line.startswith(_PROMPT))
                lines = deque(said, maxlen=count)
        except OSError:
            continue
        if lines:
            return "\n".join(lines)
    return ""
