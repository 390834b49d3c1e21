"""Files that are whole or not there at all."""

import contextlib
import errno
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import IO

_PART = ".part"


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` once it is whole and on the disk: whoever
    reads finds the old one or the new one, whenever the writer was stopped. Raises `OSError`."""
    path = pathlib.Path(path)
    with beside(path) as part:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
        else:
            part.chmod(0o666 & ~_umask())
        os.replace(part, path.resolve())
    _settle(path.resolve().parent)


@contextlib.contextmanager
def beside(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new file in the folder of `path`; gone in the end, unless it was renamed."""
    target = path.resolve()
    folder = target.parent  # told of itself, and not of a file in it that nobody named
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{target.name}.", suffix=_PART)
    os.close(handle)
    part = pathlib.Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def remove_parts(path: pathlib.Path) -> None:
    """Removes what writers of `path` left beside it that were killed."""
    target = path.resolve()
    for part in target.parent.glob(f".{target.name}.*{_PART}"):
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _settle(folder: pathlib.Path) -> None:
    """Makes sure that the move itself is on the disk, where folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
