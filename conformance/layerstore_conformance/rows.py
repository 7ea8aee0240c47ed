"""Rows of the table of behaviours that other suites check (docs/coverage.md) that this one leaves out, and why."""

from typing import Final

PRIMITIVES_LEFT_OUT: Final[dict[int, str]] = {}
"""Rows about drivers."""

UPLOADS_LEFT_OUT: Final[dict[int, str]] = {
    134: "an offset and a range are an HTTP server's to parse; here an offset is an integer",
    137: "no length is declared when an upload begins, so none can be declared later; finish compares it",
    139: "finish takes no bytes: the last chunk is written before it",
    151: "cancelling is no option of a backend: every driver can delete",
    152: "purging abandoned uploads is not in the service yet",
    154: "uploads are not put together of others: an upload is written at any offset instead",
    165: "timeouts of a client's connection are a server's",
    167: "a server's shutdown is a killed process to a store: the crash group, which comes later",
    168: "a full backend cannot be had through a harness; that a failed write changes nothing is checked by failing it",
    169: "whether bytes outlive a loss of power cannot be seen by a program; the contract asks for it in C4",
    170: "a driver's connection is not the suite's to cut; that a short read is an error is the front's part of R5",
    172: "there are no contexts to cancel; that a handle may be dropped at any point is checked",
    175: "there is no earlier format of layerstore's to migrate from",
    183: "headers are an HTTP server's",
}
"""Rows about uploads, faults and security."""
