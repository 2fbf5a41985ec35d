"""The public errors: `from vectron_p2p import errors`."""

from __future__ import annotations

from vectron_p2p.model.errors import (
    AlreadyExists,
    ClockSkew,
    ConsistencyError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Learning,
    NotFound,
    Overloaded,
    PermissionDenied,
    ReadOnly,
    Unauthenticated,
    Unavailable,
    VectronError,
    VersionConflict,
)

__all__ = [
    "AlreadyExists",
    "ClockSkew",
    "ConsistencyError",
    "DeadlineExceeded",
    "Internal",
    "InvalidArgument",
    "Learning",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "ReadOnly",
    "Unauthenticated",
    "Unavailable",
    "VectronError",
    "VersionConflict",
]
