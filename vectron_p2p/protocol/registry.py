"""Message classes and their bytes: `message(tag)`, `encode`, `decode`.

A message is the msgpack array [tag, field, field, ...] in the order of the dataclass; a nested message is the array of
its fields. Fields are added only at the end and with a default: a decoder takes defaults for fields an older peer did
not send and ignores those a newer one added.

Invariant: `decode` returns a message whose fields have their annotated types, or raises `RemoteProtocolError`; whatever
the bytes, it allocates no more than a small multiple of their length (see `_admit`).
"""

from __future__ import annotations

import operator
import typing
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgpack

from vectron_p2p.protocol.errors import LocalProtocolError, RemoteProtocolError
from vectron_p2p.protocol.validation import Convert, compile_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

M = TypeVar("M")

# An empty list costs one byte on the wire and 80 in memory. Below this size that is 5 MB at worst, for a moment; above
# it containers are counted.
UNCOUNTED_BYTES = 64 * 1024
SCANNED_BYTES = 256 * 1024  # up to here bytes that may begin a container are counted first: most often they are few
_BEGINNINGS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))  # maps and arrays, short, of 16 and of 32 bits
MAX_CONTAINERS = 65_536  # the largest replies hold some thousands (hits of many queries on many shards)
UNWALKED_BYTES = 1024  # nested headers that claim all they can are 3 MB at worst here, for a moment
MAX_LOOKS = 32  # combinations of types kept per class: a peer of one version sends a few
STEP_BYTES = 64 * 1024  # of values of a list that are encoded at once: half a millisecond
UNPACKER_BYTES = 32 * 1024 * 1024 + 64  # what one check may be fed: the largest message of `frames` and its tag


class _Schema:
    """How one class is taken apart and put together."""

    __slots__ = ("bulk", "cls", "fields", "large", "looks", "names", "required", "rules", "tag")

    def __init__(self, tag: int, cls: type, bulk: str | None, *, large: bool) -> None:
        hints = typing.get_type_hints(cls)
        entries = fields(cls)
        self.tag = tag
        self.cls = cls
        self.names = tuple(entry.name for entry in entries)
        self.rules = tuple(compile_rule(hints[name], f"{cls.__name__}.{name}", _nested_decoder) for name in self.names)
        self.looks: dict[tuple[type, ...], tuple[tuple[int, Convert], ...]] = {}
        """By the types of all values, those that take more than a look at their type."""
        self.required = sum(1 for entry in entries if entry.default is MISSING and entry.default_factory is MISSING)
        self.fields = _getter(self.names)
        self.large = large
        self.bulk = None if bulk is None else (self.names.index(bulk), bulk)

    def build(self, values: list[Any]) -> Any:
        """The message of these field values (the tag already cut off).

        Raises:
            RemoteProtocolError: A field is missing or of another type.
        """
        if len(values) > len(self.rules):
            del values[len(self.rules) :]
        kinds = tuple(map(type, values))
        looks = self.looks.get(kinds)
        if looks is None:
            looks = self._looks(kinds)
        for index, convert in looks:
            values[index] = convert(values[index])
        return self.cls(*values)

    def _looks(self, kinds: tuple[type, ...]) -> tuple[tuple[int, Convert], ...]:
        if len(kinds) < self.required:
            text = f"{self.cls.__name__} has {self.required} required fields, these are {len(kinds)}"
            raise RemoteProtocolError(text)
        looks = tuple(
            (index, rule.convert_of(kind))
            for index, (kind, rule) in enumerate(zip(kinds, self.rules, strict=False))
            if kind not in rule.exact
        )
        if len(self.looks) < MAX_LOOKS:
            self.looks[kinds] = looks
        return looks


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    if len(names) == 1:
        one = operator.attrgetter(names[0])
        return lambda message: (one(message),)
    return operator.attrgetter(*names)


_by_tag: dict[int, _Schema] = {}
_by_class: dict[type, _Schema] = {}


def message(tag: int, *, bulk: str | None = None, large: bool = False) -> Callable[[type[M]], type[M]]:
    """Class decorator, above `@dataclass`: gives the class its number on the wire, which is never reused.

    Args:
        bulk: The field of bytes in which messages that are alike otherwise differ (see `patterns`).
        large: It may hold so much that it is encoded in steps (see `steps`).
    """

    def register(cls: type[M]) -> type[M]:
        if tag in _by_tag:
            raise TypeError(f"tag {tag} of {cls.__name__} is taken by {_by_tag[tag].cls.__name__}")
        _by_tag[tag] = _by_class[cls] = _Schema(tag, cls, bulk, large=large)
        return cls

    return register


def bulk_field(message: Any) -> tuple[int, str] | None:
    """The number and the name of the message's bulk field, if it has one."""
    return _by_class[type(message)].bulk


def _nested_decoder(cls: type) -> Callable[[Any], Any] | None:
    schema = _by_class.get(cls)
    return None if schema is None else schema.build


def _fields(value: Any) -> tuple[Any, ...]:
    """A nested message as msgpack meets it: the array of its fields."""
    schema = _by_class.get(type(value))
    if schema is None:
        raise TypeError(f"a {type(value).__name__} is no value of a message")
    return schema.fields(value)


def encode(message: Any) -> bytes:
    """The bytes of a message.

    Raises:
        LocalProtocolError: It is no message, or holds what msgpack cannot carry.
    """
    schema = _by_class.get(type(message))
    if schema is None and type(message) is Encoded:
        return message.data
    if schema is None:
        raise LocalProtocolError(f"{type(message).__name__} is no message class")
    try:
        packed: bytes = msgpack.packb((schema.tag, *schema.fields(message)), default=_fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise LocalProtocolError(f"{type(message).__name__} cannot be sent: {error}") from error
    return packed


class Encoded(NamedTuple):
    """A message that has been encoded: `encode` gives its bytes."""

    data: bytes


def is_large(message: Any) -> bool:
    """Whether it is to be encoded in steps."""
    schema = _by_class.get(type(message))
    return schema is not None and schema.large


def steps(message: Any) -> Generator[None, None, Encoded]:
    """Encodes a large message, half a millisecond between one `next` and another. Its lists are emptied on the way,
    as freeing tens of thousands of values at once takes as long as encoding some thousands.

    Raises:
        LocalProtocolError: It holds what msgpack cannot carry.
    """
    schema = _by_class[type(message)]
    packer, done = msgpack.Packer(default=_fields, autoreset=False), 0
    try:
        packer.pack_array_header(1 + len(schema.names))
        packer.pack(schema.tag)
        for value in schema.fields(message):
            if type(value) is not dict:
                packer.pack(value)
                continue
            packer.pack_map_header(len(value))
            for key, inner in value.items():
                packer.pack(key)
                if type(inner) is not list:
                    packer.pack(inner)
                    continue
                packer.pack_array_header(len(inner))
                inner.reverse()
                while inner:
                    packer.pack(inner.pop())
                    if len(packer.getbuffer()) - done >= STEP_BYTES:
                        done = len(packer.getbuffer())
                        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise LocalProtocolError(f"{type(message).__name__} cannot be sent: {error}") from error
    return Encoded(packer.bytes())


def decode(data: bytes | bytearray | memoryview) -> Any:
    """The message of `data`.

    Raises:
        RemoteProtocolError: It is none, or its fields have other types than annotated.
    """
    values = unpack(data)
    if type(values) is not list or not values:
        raise RemoteProtocolError("a message is an array that starts with its tag")
    tag = values.pop(0)
    schema = _by_tag.get(tag) if type(tag) is int else None
    if schema is None:
        raise RemoteProtocolError(f"no message has the tag {tag!r:.40}")
    return schema.build(values)


def unpack(data: bytes | bytearray | memoryview) -> Any:
    """msgpack bytes as a value, within bounds (see `_admit`).

    Raises:
        RemoteProtocolError: The bytes are no single msgpack value, or one that is out of proportion.
    """
    try:
        if len(data) <= UNWALKED_BYTES:
            return msgpack.unpackb(data, max_ext_len=0)
        _admit(data)
        if len(data) <= UNCOUNTED_BYTES or (len(data) <= SCANNED_BYTES and _few_containers(bytes(data))):
            return msgpack.unpackb(data, max_ext_len=0)
        counter = _ContainerCounter()
        return msgpack.unpackb(data, max_ext_len=0, list_hook=counter, object_hook=counter)
    except RemoteProtocolError:
        raise
    except msgpack.ExtraData:
        raise RemoteProtocolError("bytes follow the message") from None
    except Exception as error:  # ValueError and its own kinds, by the version of msgpack; BufferFull, OverflowError
        raise RemoteProtocolError(f"no valid msgpack: {str(error) or type(error).__name__}") from error


def _admit(data: bytes | bytearray | memoryview) -> None:
    """Walk over the bytes without building anything.

    A header of five bytes may claim millions of items, and msgpack makes room for them at once, at every level: a
    thousand nested headers would ask for gigabytes. After this walk each claimed item is known to be there, so room is
    at most 8 bytes per byte received.
    """
    walker = msgpack.Unpacker(max_buffer_size=UNPACKER_BYTES, read_size=1)
    walker.feed(data)
    walker.skip()
    if walker.tell() != len(data):
        raise RemoteProtocolError("bytes follow the message")


def _few_containers(data: bytes) -> bool:
    """False does not say that there are many: any other byte may look like the beginning of one."""
    return len(data) - len(data.translate(None, _BEGINNINGS)) <= MAX_CONTAINERS


class _ContainerCounter:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_CONTAINERS

    def __call__(self, container: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RemoteProtocolError(f"more than {MAX_CONTAINERS} arrays and maps in one message")
        return container
