"""Ctrl-C, heard while compiled code runs and obeyed between two calls of it."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interruption:
    """Whether somebody has pressed Ctrl-C."""

    requested: bool = False

    def _hear(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt  # the second time: at once
        self.requested = True


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Lets the first Ctrl-C set a flag, where nobody else has decided what it does."""
    interruption = Interruption()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption._hear)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
