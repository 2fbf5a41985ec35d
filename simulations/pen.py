"""What a picture is drawn with: rectangles, lines and text become an SVG, which any browser shows.

Owns the form of the file. Must not know what is drawn.
"""

from __future__ import annotations

from xml.sax.saxutils import escape


class Pen:
    """`parts` in the order in which they cover each other."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, colour: str, title: str = "") -> None:
        inside = f"><title>{escape(title)}</title></rect>" if title else "/>"
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"{inside}'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.0, title: str = ""
    ) -> None:
        inside = f"><title>{escape(title)}</title></line>" if title else "/>"
        wide = "" if width == 1.0 else f' stroke-width="{width:g}"'
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{wide}{inside}'
        )

    def dot(self, x: float, y: float, radius: float, colour: str, title: str = "") -> None:
        inside = f"><title>{escape(title)}</title></circle>" if title else "/>"
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"{inside}')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 11,
        anchor: str = "start",
        fill: str = "#111",
        weight: str = "normal",
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(text)}</text>'
        )

    def svg(self, width: float, height: float) -> str:
        """All that was drawn, on white."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="11">\n'
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )
