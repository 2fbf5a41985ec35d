"""The shape of a filter: fields and operators without the values, which may be nobody's business and are many."""

from __future__ import annotations

import json
from typing import Any

MAX_SHAPE = 300  # characters: a filter of some ten conditions; of a longer one the beginning says enough


def filter_shape(filter: dict[str, Any] | None) -> str:
    """As text; "" for no filter. Filters that differ in values alone have one shape."""
    if not filter:
        return ""
    text = json.dumps(_shape(filter), ensure_ascii=False)
    return text if len(text) <= MAX_SHAPE else f"{text[: MAX_SHAPE - 3]}..."


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        inner = [_shape(item) for item in value]
        return inner if any(isinstance(item, dict) for item in inner) else ["?"]
    return "?"
