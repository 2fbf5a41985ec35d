"""Figures as short text. Negative figures mean "not known" all over the model and show as a dash."""

from __future__ import annotations

UNKNOWN = "–"


def count(value: float) -> str:
    """12,345 in full up to five digits, then 123.4k, 1.23M, 12.3G: never more than seven characters."""
    if value < 0:
        return UNKNOWN
    if value < 99_999.5:
        return f"{value:,.0f}"
    for unit in "kMGT":
        value /= 1000
        if value < 999.5 or unit == "T":
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{unit}"


def size(value: float) -> str:
    """Bytes in binary units."""
    if value < 0:
        return UNKNOWN
    if value < 1024:
        return f"{value:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value /= 1024
        if value < 999.5 or unit == "PiB":
            break
    return f"{value:.{1 if value < 99.95 else 0}f} {unit}"


def speed(value: float) -> str:
    """Bytes per second."""
    return UNKNOWN if value < 0 else f"{size(value)}/s"


def duration(seconds: float) -> str:
    """The two largest units: 41s, 12m 05s, 3h 20m, 5d 04h."""
    if seconds < 0:
        return UNKNOWN
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24:02}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    if minutes:
        return f"{minutes}m {whole % 60:02}s"
    return f"{whole}s"


def age(seconds: float) -> str:
    """One unit: 4s, 12m, 3h, 5d."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def milliseconds(value: float) -> str:
    if value < 0:
        return UNKNOWN
    if value < 999.5:
        return f"{value:.{1 if value < 99.95 else 0}f} ms"
    return f"{value / 1000:.1f} s"


def percent(value: float) -> str:
    if value < 0:
        return UNKNOWN
    return f"{value:.0f}%"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent, rounded down so that 100% means all; a dash where either is not known."""
    if part < 0 or whole < 0:
        return UNKNOWN
    if whole == 0:
        return "100%"
    return f"{min(100, int(part * 100 // whole))}%"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 shard`, `3 shards`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ellipsis(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
