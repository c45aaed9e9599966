"""A glasshouse in the rain."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import (
    BROWN,
    DAY_SKY,
    GREEN,
    INK,
    LEAF,
    PINK,
    PURPLE,
    RAIN_SKY,
    RED,
    SAND,
    WHITE,
    YELLOW,
)


def _glasshouse_rain(seed: int) -> Canvas:
    c = Canvas(RAIN_SKY, seed)
    c.ground(580, LEAF)
    c.shape([(150, 600), (150, 340), (500, 120), (850, 340), (850, 600)], (206, 230, 226))
    for x in range(220, 850, 70):
        c.line([(x, 600), (x, 340)], WHITE, 7)
    c.line([(150, 340), (850, 340)], WHITE, 10)
    c.line([(500, 340), (500, 120)], WHITE, 8)
    for x in (260, 500, 740):
        c.plant(x, 600, 0.9)
    c.rain()
    return c


def _flower_shelf(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.ground(0, (214, 230, 210))
    for y in (340, 690):
        c.box(40, y, 920, 26, BROWN)
    for x, petal in ((170, RED), (500, YELLOW), (830, PURPLE)):
        c.plant(x, 340, 1.0, petal)
    for x, petal in ((330, PINK), (660, WHITE)):
        c.plant(x, 690, 1.1, petal)
    return c


def _big_flower(seed: int) -> Canvas:
    c = Canvas(((70, 120, 90), (40, 80, 60)), seed)
    for x, y in ((120, 600), (880, 620), (160, 140), (860, 160)):
        c.disc(x, y, 190, GREEN, flat=0.5)
    c.flower(500, 360, 190, PINK, petals=10)
    return c


def _frog_pond(seed: int) -> Canvas:
    c = Canvas(RAIN_SKY, seed)
    c.sea(0, (40, 80, 90))
    for x, y, size in ((240, 220, 190), (740, 280, 220), (420, 560, 260)):
        c.disc(x, y, size, GREEN, flat=0.4)
    c.disc(420, 500, 90, (190, 60, 50), flat=0.7)
    for side in (-1, 1):
        c.disc(420 + side * 50, 430, 34, (190, 60, 50))
        c.disc(420 + side * 50, 426, 16, INK)
    c.flower(770, 240, 50, WHITE)
    return c


def _watering(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.sun(860, 120)
    c.ground(540, (130, 96, 66))
    for x, petal in ((420, YELLOW), (600, RED), (780, PINK)):
        c.plant(x, 640, 1.0, petal)
    c.person(170, 680, GREEN, 1.6, SAND)
    c.shape([(270, 380), (390, 380), (380, 480), (280, 480)], (120, 150, 180))
    c.line([(385, 450), (470, 380)], (120, 150, 180), 20)
    for index in range(6):
        c.line([(478 + index * 14, 392), (500 + index * 22, 450 + index * 12)], (150, 200, 240), 6)
    return c


STORY: Story = (
    ("rain fell on the glasshouse .", _glasshouse_rain),
    ("inside there were flowers on every shelf .", _flower_shelf),
    ("one of them was as large as a plate .", _big_flower),
    ("a red frog sat on a leaf in the pond .", _frog_pond),
    ("when the sun came out the gardener watered the beds .", _watering),
)
"""Five sentences in VIST's style, each with its scene."""
