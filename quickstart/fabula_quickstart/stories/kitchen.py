"""Plums in a kitchen."""

from __future__ import annotations

from fabula_quickstart.drawing import Canvas, Story
from fabula_quickstart.drawing.palette import BLUE, BROWN, CREAM, DAY_SKY, GREY, ORANGE, PINK, PURPLE, RED, WHITE


def _kitchen_table(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor(CREAM, (176, 120, 80))
    c.window(380, 80, 240, 220)
    c.table(460, cloth=WHITE)
    c.bowl(300, 460, 1.0, BLUE, WHITE)
    for x in (520, 590, 660):
        c.disc(x, 436, 30, (244, 222, 190), flat=1.2)
    return c


def _stove(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((196, 216, 200), (150, 110, 84), 620)
    c.box(200, 400, 600, 300, (90, 120, 150))
    c.box(290, 490, 420, 170, (50, 60, 76))
    c.box(330, 520, 340, 110, ORANGE)
    c.pot(360, 400, 1.0, RED)
    c.pot(640, 400, 0.8, GREY)
    c.steam(360, 240, 5)
    return c


def _plums(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((238, 214, 170), BROWN, 480)
    c.bowl(500, 640, 2.6, (232, 220, 196), (200, 186, 160))
    for x, y in ((360, 400), (450, 370), (550, 370), (640, 400), (410, 430), (590, 430), (500, 420)):
        c.fruit(x, y, 52, PURPLE)
    return c


def _set_table(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((208, 190, 214), (160, 110, 76))
    c.table(430, cloth=(236, 120, 110))
    for x in (200, 400, 600, 800):
        c.disc(x, 424, 80, WHITE, flat=0.25)
        c.fruit(x, 400, 26, CREAM)
    c.box(380, 280, 240, 22, BROWN)
    c.plant(500, 280, 0.8, PINK)
    return c


def _cat_on_chair(seed: int) -> Canvas:
    c = Canvas(DAY_SKY, seed)
    c.wall_and_floor((170, 204, 216), (190, 140, 96), 600)
    c.window(620, 90, 260, 240, (252, 214, 150))
    c.box(240, 220, 30, 460, BROWN)
    c.box(240, 470, 300, 34, BROWN)
    c.box(510, 490, 30, 200, BROWN)
    c.cat(400, 470, ORANGE, 1.15)
    return c


STORY: Story = (
    ("a bowl and three eggs waited on the kitchen table .", _kitchen_table),
    ("soon the red pot was steaming on the stove .", _stove),
    ("we had a big bowl of dark plums .", _plums),
    ("the table was set for everybody .", _set_table),
    ("only the cat already had a chair .", _cat_on_chair),
)
"""Five sentences in VIST's style, each with its scene."""
