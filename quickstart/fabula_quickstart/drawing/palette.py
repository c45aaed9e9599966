"""The colours of the quickstart's pictures."""

from __future__ import annotations

Color = tuple[int, int, int]

INK: Color = (42, 38, 48)
WHITE: Color = (250, 248, 240)
RED: Color = (204, 62, 54)
GREEN: Color = (62, 130, 76)
BLUE: Color = (48, 98, 170)
YELLOW: Color = (244, 200, 66)
BROWN: Color = (134, 90, 54)
GREY: Color = (140, 144, 152)
ORANGE: Color = (232, 134, 52)
PINK: Color = (238, 160, 176)
PURPLE: Color = (108, 62, 132)
NIGHT: Color = (18, 22, 52)
CREAM: Color = (246, 226, 180)
SAND: Color = (222, 196, 146)
STONE: Color = (176, 172, 164)
LEAF: Color = (140, 184, 104)
DAY_SKY: tuple[Color, Color] = ((120, 182, 232), (226, 240, 246))
DAWN_SKY: tuple[Color, Color] = ((92, 104, 168), (252, 190, 150))
NIGHT_SKY: tuple[Color, Color] = (NIGHT, (54, 62, 112))
RAIN_SKY: tuple[Color, Color] = ((122, 134, 148), (188, 198, 204))


def mixed(first: Color, second: Color, share: float) -> Color:
    """A colour between two, with that share of the second."""
    return (
        round(first[0] + (second[0] - first[0]) * share),
        round(first[1] + (second[1] - first[1]) * share),
        round(first[2] + (second[2] - first[2]) * share),
    )
