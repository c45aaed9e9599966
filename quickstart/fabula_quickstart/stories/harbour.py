"""A day at the harbour."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import BLUE, DAWN_SKY, DAY_SKY, GREEN, INK, LEAF, ORANGE, RED, STONE, YELLOW


def _harbour_dawn(seed: int) -> Canvas:
    c = Canvas(DAWN_SKY, seed)
    c.sun(500, 380, 90, ORANGE)
    c.sea(400, (70, 96, 150))
    c.boat(240, 520, 0.7, BLUE)
    c.boat(760, 480, 0.5, RED)
    return c


def _three_boats(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.cloud(220, 120, 1.2)
    c.cloud(760, 90)
    c.hills(330, LEAF)
    c.sea(430)
    for x, hull in ((180, RED), (500, YELLOW), (820, GREEN)):
        c.boat(x, 600, 0.95, hull)
    return c


def _fishing_boat(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.sea(450)
    c.boat(480, 600, 1.9, BLUE, sail=None)
    for x, y in ((180, 120), (320, 200), (720, 140), (860, 240), (640, 70)):
        c.gull(x, y, 1.3)
    return c


def _fish_quay(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.sea(260)
    c.ground(430, STONE)
    c.person(820, 640, YELLOW, 1.5, INK)
    for index in range(3):
        c.box(70 + index * 190, 560, 170, 90, (196, 150, 96))
        for row in range(3):
            c.fish(150 + index * 190, 560 - row * 20, 0.7, (150, 170, 190))
    return c


def _lighthouse_dusk(seed: int) -> Canvas:
    c = Canvas(((120, 82, 140), (250, 170, 120)), seed)
    c.sea(520, (60, 70, 120))
    c.hills(560, (90, 90, 80))
    c.lighthouse(700, 620, 0.95)
    c.boat(220, 600, 0.6, RED)
    return c


STORY: Story = (
    ("the sun came up over the harbour .", _harbour_dawn),
    ("three boats lay on the calm water .", _three_boats),
    ("gulls followed the blue boat home .", _fishing_boat),
    ("the crates on the quay were full of fish .", _fish_quay),
    ("in the evening the lighthouse stood against an orange sky .", _lighthouse_dusk),
)
"""Five sentences in VIST's style, each with its scene."""
