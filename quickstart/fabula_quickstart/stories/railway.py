"""A railway by day and by night."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import BLUE, DAY_SKY, GREEN, GREY, LEAF, NIGHT_SKY, RAIN_SKY, RED, YELLOW


def _engine_shed(seed: int) -> Canvas:
    c = Canvas(NIGHT_SKY, seed)
    c.ground(0, (96, 74, 66))
    c.box(140, 60, 720, 600, (48, 44, 54))
    c.rails(660)
    c.locomotive(480, 660, 1.35)
    c.steam(680, 270, 4, 1.3, (210, 206, 206))
    return c


def _train_bridge(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.hills(420, LEAF)
    c.sea(640, (84, 140, 180))
    for x in (120, 370, 620, 870):
        c.box(x - 30, 430, 60, 250, (190, 130, 100))
    c.box(-10, 400, 1020, 40, (190, 130, 100))
    for x in (40, 230):
        c.carriage(x, 400, 0.7)
    c.locomotive(570, 400, 0.7)
    c.steam(680, 190, 6, 0.9)
    return c


def _red_wheels(seed: int) -> Canvas:
    c = Canvas(RAIN_SKY, seed)
    c.ground(90, (40, 90, 60))
    c.ground(400, (60, 56, 60))
    c.rails(690)
    for x in (200, 520, 840):
        c.wheel(x, 530, 160, RED, spokes=16)
    c.line([(200, 560), (840, 560)], GREY, 40)
    return c


def _signals(seed: int) -> Canvas:
    c = Canvas(NIGHT_SKY, seed)
    c.stars(70)
    c.moon(820, 140, 70)
    c.ground(640, (40, 44, 60))
    c.rails(650)
    for x, color in ((240, RED), (480, GREEN), (720, YELLOW)):
        c.box(x - 12, 260, 24, 390, GREY)
        c.box(x - 46, 200, 92, 130, (90, 94, 110))
        c.disc(x, 264, 36, color)
    return c


def _pink_steam(seed: int) -> Canvas:
    c = Canvas(((150, 110, 170), (252, 196, 160)), seed)
    c.hills(480, (120, 140, 90))
    c.rails(650)
    for x in (20, 300):
        c.carriage(x, 650, 1.0, BLUE)
    c.locomotive(790, 650, 1.0, RED)
    for index in range(6):
        c.cloud(780 - index * 130, 300 - index * 30, 0.7 + index * 0.12, (250, 200, 200))
    return c


STORY: Story = (
    ("the old engine stood in its shed .", _engine_shed),
    ("at noon the train crossed the bridge .", _train_bridge),
    ("its red wheels were as tall as a man .", _red_wheels),
    ("at night the signals shone over the rails .", _signals),
    ("at sunset all the steam was pink .", _pink_steam),
)
"""Five sentences in VIST's style, each with its scene."""
