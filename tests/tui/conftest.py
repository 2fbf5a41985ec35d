"""Textual runs on asyncio only, and so do the tests of the console."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
