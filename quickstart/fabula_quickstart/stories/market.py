"""Saturday at the market."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import (
    BLUE,
    BROWN,
    CREAM,
    DAY_SKY,
    GREEN,
    GREY,
    INK,
    LEAF,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    SAND,
    STONE,
    WHITE,
    YELLOW,
)


def _market_umbrellas(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.ground(560, SAND)
    c.tree(60, 600, 1.5)
    c.tree(950, 600, 1.5)
    for x, color in ((240, RED), (500, GREEN), (760, BLUE)):
        c.umbrella(x, 640, 0.85, color)
        c.box(x - 110, 560, 220, 90, BROWN)
    return c


def _fruit_crates(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((232, 210, 180), STONE, 640)
    colors = (RED, ORANGE, YELLOW, LEAF, PURPLE, (230, 90, 80))
    for index, color in enumerate(colors):
        c.crate(90 + index % 3 * 285, 350 if index < 3 else 660, color)
    return c


def _cheese(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((150, 110, 90), (110, 80, 60), 600)
    c.person(500, 560, WHITE, 1.4, RED)
    c.table(480)
    for x, y, size in ((260, 420, 150), (700, 430, 170)):
        c.box(x - size, y - 50, 2 * size, 100, YELLOW)
        c.disc(x, y - 50, size, (250, 222, 130), flat=0.3)
    c.shape([(440, 480), (510, 420), (530, 480)], (250, 222, 130))
    return c


def _white_cake(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.ground(560, SAND)
    c.cloud(250, 120)
    c.table(560)
    for tier, (half, y) in enumerate(((210, 450), (160, 350), (110, 250), (60, 150))):
        c.box(500 - half, y, 2 * half, 100, WHITE)
        for x in range(500 - half + 20, 500 + half, 44):
            c.fruit(x, y + 8, 16, RED if tier % 2 == 0 else PINK)
    return c


def _cats_and_fish(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.ground(480, STONE)
    c.box(120, 260, 760, 110, (214, 236, 244))
    for x in (240, 440, 640, 800):
        c.fish(x, 270, 0.9, (130, 150, 180))
    for x, color in ((160, ORANGE), (400, INK), (640, GREY), (860, CREAM)):
        c.cat(x, 690, color, 0.95)
    return c


STORY: Story = (
    ("the umbrellas were up on the market square .", _market_umbrellas),
    ("there were crates of fruit in all colours .", _fruit_crates),
    ("the cheese seller had two big wheels .", _cheese),
    ("someone had ordered a cake with four floors .", _white_cake),
    ("the cats were only there for the fish .", _cats_and_fish),
)
"""Five sentences in VIST's style, each with its scene."""
