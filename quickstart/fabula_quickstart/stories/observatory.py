"""A night at the observatory."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import BLUE, DAWN_SKY, NIGHT, NIGHT_SKY, ORANGE, RED, WHITE


def _dome(seed: int) -> Canvas:
    c = Canvas(NIGHT_SKY, seed)
    c.stars(140)
    c.hills(560, (44, 50, 66))
    c.dome(500, 600, 1.2)
    return c


def _moon(seed: int) -> Canvas:
    c = Canvas((NIGHT, NIGHT), seed)
    c.stars(60, 750)
    c.moon(500, 375, 290)
    return c


def _star_field(seed: int) -> Canvas:
    c = Canvas(((10, 10, 30), (40, 20, 60)), seed)
    c.stars(420, 750)
    for x, y, color in ((240, 220, (240, 190, 140)), (700, 480, (160, 190, 250))):
        c.disc(x, y, 90, color, edge=0, flat=0.35)
        c.disc(x, y, 34, WHITE, edge=0, flat=0.6)
    return c


def _rocket(seed: int) -> Canvas:
    c = Canvas(DAWN_SKY, seed)
    c.steam(500, 720, 4, 2.2)
    c.shape([(440, 560), (440, 220), (500, 90), (560, 220), (560, 560)], WHITE)
    c.shape([(440, 440), (370, 580), (440, 560)], RED)
    c.shape([(560, 440), (630, 580), (560, 560)], RED)
    c.disc(500, 270, 34, BLUE)
    c.shape([(460, 560), (540, 560), (500, 700)], ORANGE, edge=0)
    return c


def _ringed_planet(seed: int) -> Canvas:
    c = Canvas((NIGHT, (30, 24, 60)), seed)
    c.stars(120, 750)
    c.disc(500, 375, 310, (200, 170, 110), edge=0, flat=0.26)
    c.disc(500, 375, 250, NIGHT, edge=0, flat=0.22)
    c.disc(500, 360, 170, (236, 206, 140), edge=0)
    return c


STORY: Story = (
    ("the observatory opened its dome .", _dome),
    ("first we looked at the moon .", _moon),
    ("then there were stars everywhere .", _star_field),
    ("we talked about rockets .", _rocket),
    ("i would like to go there myself .", _ringed_planet),
)
"""Five sentences in VIST's style, each with its scene."""
