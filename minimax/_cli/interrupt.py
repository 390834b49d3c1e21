"""Ctrl-C while compiled code runs."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def prompt_interrupt() -> Iterator[None]:
    """Lets Ctrl-C end the process at once, with status 130.

    Python raises KeyboardInterrupt between two of its own instructions, so not before the one
    compiled call that a whole run is has returned. But the signal's number is written to the wakeup
    descriptor the moment that it arrives, and compiled code lets other threads run: one waits here.
    No file is open meanwhile, so nothing is left half done.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # somebody else decides what Ctrl-C does
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
    watcher.start()
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, _leave_it_to_the_watcher)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(previous)
        writer.close()  # ends the watch
        watcher.join()
        reader.close()


def _leave_it_to_the_watcher(*_: object) -> None:
    pass


def _watch(reader: socket.socket) -> None:
    while number := reader.recv(1):
        if number[0] == signal.SIGINT:
            sys.stderr.write("minimax: interrupted\n")
            sys.stderr.flush()
            os._exit(130)
