"""Misuse of the wire: by this side, or by the other.

They stay inside the packages that speak the protocol; users meet `vectron_p2p.errors` only.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of both; never raised itself."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow: a defect of the caller."""


class RemoteProtocolError(ProtocolError):
    """The other side sent bytes that no correct peer sends."""


class FrameCorrupted(RemoteProtocolError):
    """Bytes changed on their way: neither side is at fault, and nothing more can be believed on this connection."""
