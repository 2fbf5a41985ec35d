"""The times and limits of the epoch log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CatalogConfig:
    """Times in seconds."""

    proposal_timeout: float = 5.0  # ten slow rounds of two fsyncs each; a client's own deadline is 30
    resend: float = 0.25  # above a round trip plus an fsync on a slow disk; doubles up to `resend_cap`
    resend_cap: float = 2.0
    backoff: float = 0.05  # first wait after another proposer's higher ballot: about one undisturbed round; doubles
    backoff_cap: float = 1.0
    finish_after: float = 2.0  # a proposal accepted here but not heard to be decided is finished by this node; 1x to 2x
    pull_timeout: float = 1.0  # then another peer is asked
    pull_entries: int = 200  # in one answer; entries have at most about 1 KiB, so an answer stays below one frame
    kept_entries: int = 1_000  # for peers that were away; further back they get a snapshot
