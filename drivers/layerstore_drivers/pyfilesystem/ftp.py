"""PyFilesystem2's FTP client without its faults, which docs/pyfilesystem.md lists."""

from __future__ import annotations

import ftplib
import select
from contextlib import suppress
from typing import Any

from fs.ftpfs import FTPFS, ftp_errors


class FTP(FTPFS):  # type: ignore[misc]  # fs has no types
    """Connects when first used, and closes what it opened."""

    _ftp: ftplib.FTP | None
    _features: dict[str, str]

    def rename(self, source: str, target: str) -> None:
        """Rename a file, also over another one if the server allows that. ``FS.move`` would copy it."""
        with ftp_errors(self, target):
            self.ftp.rename(source, target)

    def fetch(self, path: str) -> bytes:
        """Return the bytes of a small file, by the existing connection. ``readbytes`` would make another one."""
        parts: list[bytes] = []
        with ftp_errors(self, path):
            self.ftp.retrbinary(f"RETR {path}", parts.append)
        return b"".join(parts)

    def erase(self, path: str) -> None:
        """Remove a file. ``remove`` would ask at first whether it is one."""
        with ftp_errors(self, path):
            self.ftp.delete(path)

    def erase_directory(self, path: str) -> None:
        """Remove a directory. The server does so only if it is empty. ``removedir`` would list the directory."""
        with ftp_errors(self, path):
            self.ftp.rmd(path)

    def is_in_step(self) -> bool:
        """Return whether the connection, if there is one, waits for a command.

        If there is something to read, the server has closed the connection, or an answer came too late.
        """
        if self._ftp is None or self._ftp.sock is None:
            return self._ftp is None
        waiting = select.poll()
        waiting.register(self._ftp.sock, select.POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        """Close without connecting at first. Close the socket even if QUIT fails."""
        ftp, self._ftp = self._ftp, None
        self._closed = True
        if ftp is not None:
            with suppress(*ftplib.all_errors):
                ftp.quit()
            ftp.close()

    def _open_ftp(self) -> ftplib.FTP:
        """Connect. If that fails, close the socket. Ask only once what the server can do.

        While ``FTPFS._open_ftp`` connects, it forgets that for all threads.
        """
        ftp = ftplib.FTP(timeout=self.timeout)  # noqa: S321  (FTP is what was asked for)
        try:
            with ftp_errors(self):
                ftp.connect(self.host, self.port)
                ftp.login(self.user, self.passwd)
                if not self._features:
                    self._features = self._parse_features(ftp.sendcmd("FEAT"))
        except BaseException:
            ftp.close()
            raise
        return ftp


def close_file(file: Any) -> None:  # noqa: ANN401  (any file, and fs has no types)
    """Close a file and its own connection, if it has one. If ``FTPFile.close`` fails, it leaves the connection open."""
    try:
        file.close()
    finally:
        if ftp := getattr(file, "ftp", None):
            ftp.close()
