"""Bicycles, from the wall to the park."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import (
    BLUE,
    CREAM,
    DAWN_SKY,
    DAY_SKY,
    GREEN,
    GREY,
    INK,
    LEAF,
    ORANGE,
    RAIN_SKY,
    RED,
    STONE,
    YELLOW,
)


def _bicycle_wall(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((204, 110, 84), STONE, 600)
    for y in range(20, 590, 58):
        c.line([(0, y), (1000, y)], (226, 150, 124), 4)
        for x in range(58 if y // 58 % 2 else 0, 1000, 116):
            c.line([(x, y), (x, y + 58)], (226, 150, 124), 4)
    c.bicycle(500, 660, 1.4)
    return c


def _big_wheel(seed: int) -> Canvas:
    c = Canvas(RAIN_SKY, seed)
    c.wall_and_floor((224, 206, 170), (120, 96, 76), 660)
    c.wheel(480, 370, 290, INK, spokes=28)
    c.line([(720, 700), (860, 460)], GREY, 34)
    c.ring(880, 430, 46, GREY, 26)
    return c


def _bicycle_shop(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.ground(620, STONE)
    c.house(180, 620, 640, CREAM, GREEN)
    c.bicycle(220, 700, 0.75, RED)
    c.bicycle(780, 700, 0.75, BLUE)
    c.person(500, 690, BLUE, 1.0)
    return c


def _bicycle_bridge(seed: int) -> Canvas:
    c = Canvas(DAWN_SKY, seed)
    c.sun(760, 300, 80, ORANGE)
    c.sea(560, (70, 100, 140))
    for x in (160, 500, 840):
        c.box(x - 26, 480, 52, 200, STONE)
    c.box(-10, 450, 1020, 50, STONE)
    c.bicycle(420, 450, 0.9, RED)
    c.person(400, 350, YELLOW, 0.8, BLUE)
    return c


def _bicycle_park(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.hills(440, LEAF)
    c.tree(240, 600, 1.7)
    c.tree(840, 560, 1.2, (100, 150, 70))
    c.bicycle(500, 690, 1.0, YELLOW)
    c.cloud(640, 120, 1.1)
    return c


STORY: Story = (
    ("the green bicycle leaned on the brick wall .", _bicycle_wall),
    ("its wheel had to be trued .", _big_wheel),
    ("the shop in the village repaired it .", _bicycle_shop),
    ("in the evening he rode over the bridge .", _bicycle_bridge),
    ("on sunday the yellow one was parked below the trees .", _bicycle_park),
)
"""Five sentences in VIST's style, each with its scene."""
