"""A lighthouse and what it sees."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import DAY_SKY, GREY, INK, LEAF, NIGHT_SKY, ORANGE, RED, SAND, YELLOW


def _island_path(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.sea(420)
    c.hills(500, LEAF)
    c.shape([(430, 750), (570, 750), (520, 560), (500, 560)], SAND)
    c.lighthouse(510, 570, 0.8)
    c.person(480, 730, RED, 0.7)
    return c


def _tower_stairs(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.ground(0, (216, 206, 190))
    for step in range(11):
        c.box(60 + step * 86, 690 - step * 60, 130, 24, INK)
        c.line([(120 + step * 86, 690 - step * 60), (120 + step * 86, 560 - step * 60)], GREY, 8)
    c.line([(120, 560), (980, -40)], RED, 16)
    c.window(120, 120, 150, 200)
    return c


def _beams(seed: int) -> Canvas:
    c = Canvas(NIGHT_SKY, seed)
    c.stars(90)
    c.sea(600, (24, 34, 80))
    c.lighthouse(500, 660, 1.05, beams=True)
    return c


def _gannets(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.sea(560)
    c.shape([(0, 750), (0, 260), (180, 220), (300, 420), (340, 750)], (150, 130, 110))
    for x, y in ((420, 120), (560, 220), (700, 100), (820, 260), (500, 380), (660, 340), (880, 420), (380, 260)):
        c.gull(x, y, 1.7)
    return c


def _storm_boat(seed: int) -> Canvas:
    c = Canvas(((40, 46, 66), (110, 120, 136)), seed)
    for x, y in ((200, 110), (480, 70), (780, 120)):
        c.cloud(x, y, 1.6, (80, 84, 98))
    c.sea(430, (40, 66, 96))
    c.boat(520, 560, 1.3, ORANGE)
    c.line([(760, 150), (700, 280), (760, 280), (690, 420)], YELLOW, 14)
    c.rain(200)
    return c


STORY: Story = (
    ("a path led up to the lighthouse .", _island_path),
    ("the stairs went round and round .", _tower_stairs),
    ("its beams swept over the dark sea .", _beams),
    ("birds circled around the cliff .", _gannets),
    ("a storm caught the orange boat .", _storm_boat),
)
"""Five sentences in VIST's style, each with its scene."""
