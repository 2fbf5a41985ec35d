"""Coroutine tests run on trio without being told to, and those of the client on the loop they ask for."""

from __future__ import annotations

import pytest
import sniffio
from hypothesis import given
from hypothesis import strategies as st


async def test_a_plain_coroutine_runs_on_trio() -> None:
    assert sniffio.current_async_library() == "trio"


@given(st.integers())
async def test_a_property_runs_on_trio(number: int) -> None:
    assert isinstance(number, int)
    assert sniffio.current_async_library() == "trio"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_marked_one_runs_where_it_asks(anyio_backend: str) -> None:
    assert sniffio.current_async_library() == anyio_backend
