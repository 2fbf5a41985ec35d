"""The error tree: every failure a caller can meet, each saying what to do and whether a retry can help.

Owns the classes, their wire form (`to_wire`, `from_wire`) and nothing else. Invariant: `from_wire(e.to_wire())` is an
error of the same class with the same fields; a code from a newer peer becomes `Internal`, never a crash.
"""

from __future__ import annotations

from typing import Any, ClassVar


class VectronError(Exception):
    """Base of all errors of this package.

    Attributes:
        code: Class name in snake_case; stable on the wire and in `--json` output.
        message: One sentence for a person: what is wrong and what to do.
        retryable: Whether the same call can succeed later without being changed.
        node: Id of the node that raised it, if one did.
        field: The argument at fault, if one is.
        trace: The call's trace id, under which the logs of all nodes that it touched speak of it; "" where it has none.
        failed: Ids of the points that it is about (the first 100), when a conditional operation says so per point.
    """

    code: ClassVar[str] = "vectron_error"
    default_retryable: ClassVar[bool] = False
    callers_fault: ClassVar[bool] = False
    """Whether the request is what is wrong, as with HTTP's 4xx: nothing that an operator has to look after."""
    extra: ClassVar[tuple[str, ...]] = ()
    """Names of further attributes that travel with the error."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        node: str | None = None,
        field: str | None = None,
        failed: list[int | str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = self.default_retryable if retryable is None else retryable
        self.node = node
        self.field = field
        self.failed: list[int | str] = failed or []
        self.trace = ""

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "node": self.node,
            "field": self.field,
        }
        for name in self.extra:
            wire[name] = getattr(self, name)
        if self.failed:
            wire["failed"] = self.failed
        if self.trace:
            wire["trace"] = self.trace
        return wire


class InvalidArgument(VectronError):
    """The call itself is wrong; `field` names the argument. Change it, then call again."""

    code = "invalid_argument"
    callers_fault = True


class NotFound(VectronError):
    """The collection or point does not exist."""

    code = "not_found"
    callers_fault = True


class AlreadyExists(VectronError):
    """A collection or node of that name, or a point with that id, exists."""

    code = "already_exists"
    callers_fault = True


class Unauthenticated(VectronError):
    """No credentials, or wrong ones."""

    code = "unauthenticated"
    callers_fault = True


class PermissionDenied(VectronError):
    """The credentials do not allow this."""

    code = "permission_denied"
    callers_fault = True


class Overloaded(VectronError):
    """The node has too much to do; retry after `retry_after` seconds."""

    code = "overloaded"
    default_retryable = True
    extra = ("retry_after",)

    def __init__(self, message: str, *, retry_after: float = 0.1, **common: Any) -> None:
        super().__init__(message, **common)
        self.retry_after = retry_after


class ConsistencyError(VectronError):
    """Fewer replicas acknowledged than asked for.

    `acked == 0` and a message that says so means nothing was sent; otherwise the outcome is unknown: the write may
    appear later.
    """

    code = "consistency_error"
    default_retryable = True
    extra = ("acked", "required")

    def __init__(self, message: str, *, acked: int = 0, required: int = 0, **common: Any) -> None:
        super().__init__(message, **common)
        self.acked = acked
        self.required = required


class VersionConflict(VectronError):
    """A conditional write found another version; `current` is the one held."""

    code = "version_conflict"
    callers_fault = True
    extra = ("current",)

    def __init__(self, message: str, *, current: str | None = None, **common: Any) -> None:
        super().__init__(message, **common)
        self.current = current


class Unavailable(VectronError):
    """No node, or no owner of some shards, can answer now; `missing_shards` names the shards."""

    code = "unavailable"
    default_retryable = True
    extra = ("missing_shards",)

    def __init__(self, message: str, *, missing_shards: list[int] | None = None, **common: Any) -> None:
        super().__init__(message, **common)
        self.missing_shards = missing_shards or []


class Learning(VectronError):
    """This owner may have forgotten rows and answers nothing until it has learned them from the others; ask another."""

    code = "learning"
    default_retryable = True


class StaleEpoch(VectronError):
    """An owner refused a request that was routed by an older catalog than the shard's last step of a move; nothing was
    applied. The same request by `epoch` or a newer one may succeed.
    """

    code = "stale_epoch"
    default_retryable = True
    extra = ("epoch",)

    def __init__(self, message: str, *, epoch: int = 0, **common: Any) -> None:
        super().__init__(message, **common)
        self.epoch = epoch


class DeadlineExceeded(VectronError):
    """The time given ran out; the outcome of a write is then unknown."""

    code = "deadline_exceeded"
    default_retryable = True


class ReadOnly(VectronError):
    """The node takes no writes now (disk nearly full, or a disk error); back by itself."""

    code = "read_only"
    default_retryable = True


class ClockSkew(VectronError):
    """A replica refused a stamp too far ahead of its clock; another coordinator may do better."""

    code = "clock_skew"
    default_retryable = True


class Internal(VectronError):
    """A defect of this software; the message carries what is known."""

    code = "internal"


BY_CODE: dict[str, type[VectronError]] = {
    cls.code: cls
    for cls in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        Unauthenticated,
        PermissionDenied,
        Overloaded,
        ConsistencyError,
        VersionConflict,
        Unavailable,
        Learning,
        StaleEpoch,
        DeadlineExceeded,
        ReadOnly,
        ClockSkew,
        Internal,
    )
}


def from_wire(wire: dict[str, Any]) -> VectronError:
    """The error that `to_wire` described; an unknown code gives `Internal` with the same message."""
    cls = BY_CODE.get(str(wire.get("code")), Internal)
    extra = {name: wire[name] for name in (*cls.extra, "failed") if wire.get(name) is not None}
    error = cls(
        str(wire.get("message", "")),
        retryable=bool(wire.get("retryable", cls.default_retryable)),
        node=wire.get("node"),
        field=wire.get("field"),
        **extra,
    )
    error.trace = str(wire.get("trace", ""))
    return error
