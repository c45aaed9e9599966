"""A picture in the making: the things that may stand in a landscape."""

from __future__ import annotations

import math
from collections.abc import Callable

from fabula_quickstart.drawing.landscape import HEIGHT, WIDTH, Landscape
from fabula_quickstart.drawing.palette import BROWN, GREEN, GREY, INK, NIGHT, RED, WHITE, YELLOW, Color, mixed


class Canvas(Landscape):
    """One picture in the making, with the things of the stories."""

    def house(self, x: float, y: float, width: float, color: Color, roof: Color = RED) -> None:
        """Standing on `y`, from `x` to the right."""
        height = width * 0.7
        self.box(x, y - height, width, height, color)
        corner = [(x - 16, y - height), (x + width / 2, y - height - width * 0.45), (x + width + 16, y - height)]
        self.shape(corner, roof)
        self.box(x + width * 0.4, y - height * 0.5, width * 0.2, height * 0.5, BROWN)
        for left in (0.12, 0.7):
            self.window(x + width * left, y - height * 0.7, width * 0.18, width * 0.18)

    def window(self, x: float, y: float, width: float, height: float, pane: Color = (190, 224, 240)) -> None:
        self.box(x, y, width, height, pane, edge=6)
        self.line([(x + width / 2, y), (x + width / 2, y + height)], WHITE, 6)
        self.line([(x, y + height / 2), (x + width, y + height / 2)], WHITE, 6)

    def tree(self, x: float, y: float, size: float = 1.0, color: Color = GREEN) -> None:
        self.box(x - 14 * size, y - 130 * size, 28 * size, 130 * size, BROWN)
        for dx, dy, radius in [(-50, -150, 62), (50, -150, 62), (0, -210, 76)]:
            self.disc(x + dx * size, y + dy * size, radius * size, color)

    def person(self, x: float, y: float, coat: Color, size: float = 1.0, hat: Color | None = None) -> None:
        """Standing on `y`."""
        for dx in (-16, 16):
            self.line([(x + dx * size, y), (x + dx * 0.6 * size, y - 70 * size)], INK, int(16 * size))
        body = [(x - 44, y - 60), (x - 26, y - 170), (x + 26, y - 170), (x + 44, y - 60)]
        self.shape([(x + (px - x) * size, y + (py - y) * size) for px, py in body], coat)
        for side in (-1, 1):
            arm = [(x + side * 26 * size, y - 158 * size), (x + side * 62 * size, y - 96 * size)]
            self.line(arm, coat, int(18 * size))
        self.disc(x, y - 204 * size, 34 * size, (236, 196, 164))
        if hat is not None:
            self.box(x - 44 * size, y - 232 * size, 88 * size, 12 * size, hat)
            self.box(x - 26 * size, y - 264 * size, 52 * size, 32 * size, hat)

    def boat(self, x: float, y: float, size: float = 1.0, hull: Color = RED, sail: Color | None = WHITE) -> None:
        """Floating at `y`, around `x`."""
        keel = [(-120, -40), (120, -40), (80, 26), (-90, 26)]
        self.shape([(x + dx * size, y + dy * size) for dx, dy in keel], hull)
        self.line([(x - 104 * size, y - 16 * size), (x + 104 * size, y - 16 * size)], WHITE, int(10 * size) + 1)
        self.line([(x, y - 40 * size), (x, y - 250 * size)], BROWN, int(10 * size) + 1)
        if sail is not None:
            self.shape(
                [(x + 10 * size, y - 240 * size), (x + 10 * size, y - 60 * size), (x + 110 * size, y - 60 * size)], sail
            )
            self.shape(
                [(x - 10 * size, y - 210 * size), (x - 10 * size, y - 60 * size), (x - 80 * size, y - 60 * size)], sail
            )
        else:
            self.box(x - 50 * size, y - 100 * size, 80 * size, 60 * size, WHITE)
            self.disc(x - 10 * size, y - 72 * size, 14 * size, (190, 224, 240))

    def gull(self, x: float, y: float, size: float = 1.0) -> None:
        self.pen.arc([x - 44 * size, y - 16 * size, x, y + 26 * size], 190, 350, fill=INK, width=int(7 * size))
        self.pen.arc([x, y - 16 * size, x + 44 * size, y + 26 * size], 190, 350, fill=INK, width=int(7 * size))

    def lighthouse(self, x: float, y: float, size: float = 1.0, beams: bool = False) -> None:
        """Standing on `y`."""
        top = y - 470 * size
        if beams:
            for side in (-1, 1):
                self.shape(
                    [(x, top), (x + side * 700, top - 110), (x + side * 700, top + 110)], (250, 236, 160), edge=0
                )
        for band in range(6):
            low, high = y - band * 68 * size, y - (band + 1) * 68 * size
            half_low, half_high = (80 - band * 6) * size, (80 - (band + 1) * 6) * size
            corners = [(x - half_low, low), (x - half_high, high), (x + half_high, high), (x + half_low, low)]
            self.shape(corners, RED if band % 2 == 0 else WHITE)
        self.box(x - 60 * size, y - 424 * size, 120 * size, 16 * size, INK)
        self.box(x - 34 * size, top - 20 * size, 68 * size, 66 * size, YELLOW if beams else (190, 224, 240))
        self.shape([(x - 50 * size, top - 20 * size), (x, top - 80 * size), (x + 50 * size, top - 20 * size)], GREEN)

    def bicycle(self, x: float, y: float, size: float = 1.0, frame: Color = GREEN) -> None:
        """Its wheels standing on `y`, around `x`."""
        radius = 100 * size
        back, front = (x - 150 * size, y - radius), (x + 150 * size, y - radius)
        for cx, cy in (back, front):
            self.wheel(cx, cy, radius, INK, spokes=14)
        pedal, seat, head = (
            (x - 20 * size, y - 100 * size),
            (x - 70 * size, y - 240 * size),
            (x + 100 * size, y - 240 * size),
        )
        width = int(14 * size)
        for points in ([back, pedal, head, seat, back], [seat, pedal], [head, front]):
            self.line(points, frame, width)
        self.line(
            [(seat[0] - 36 * size, seat[1] - 26 * size), (seat[0] + 36 * size, seat[1] - 26 * size)], BROWN, width + 6
        )
        self.line(
            [head, (head[0] - 16 * size, head[1] - 50 * size), (head[0] + 44 * size, head[1] - 66 * size)], INK, width
        )
        self.disc(*pedal, 24 * size, GREY)

    def wheel(self, x: float, y: float, radius: float, color: Color, spokes: int = 12) -> None:
        for step in range(spokes):
            angle = step * 2 * math.pi / spokes
            self.line(
                [(x, y), (x + radius * math.cos(angle), y + radius * math.sin(angle))], GREY, max(2, int(radius / 40))
            )
        self.ring(x, y, radius, color, max(6, int(radius / 9)))
        self.disc(x, y, radius / 9, YELLOW)

    def locomotive(self, x: float, y: float, size: float = 1.0, color: Color = GREEN) -> None:
        """Its wheels standing on the rail at `y`, its front to the right."""
        s = size
        self.box(x - 200 * s, y - 250 * s, 130 * s, 180 * s, color)
        self.box(x - 216 * s, y - 272 * s, 162 * s, 24 * s, INK)
        self.box(x - 170 * s, y - 226 * s, 70 * s, 60 * s, YELLOW)
        self.box(x - 70 * s, y - 190 * s, 270 * s, 120 * s, color)
        self.shape(
            [
                (x + 120 * s, y - 190 * s),
                (x + 106 * s, y - 270 * s),
                (x + 184 * s, y - 270 * s),
                (x + 170 * s, y - 190 * s),
            ],
            INK,
        )
        self.disc(x + 30 * s, y - 192 * s, 32 * s, YELLOW)
        self.box(x - 210 * s, y - 74 * s, 430 * s, 20 * s, RED)
        for dx, radius in [(-140, 52), (-20, 62), (120, 52)]:
            self.wheel(x + dx * s, y - radius * s, radius * s, RED, spokes=10)
        self.disc(x + 206 * s, y - 130 * s, 20 * s, YELLOW)

    def carriage(self, x: float, y: float, size: float = 1.0, color: Color = RED) -> None:
        """Its wheels standing on the rail at `y`, from `x` to the right."""
        self.box(x, y - 190 * size, 260 * size, 140 * size, color)
        for index in range(4):
            self.box(x + (20 + 60 * index) * size, y - 166 * size, 40 * size, 50 * size, YELLOW)
        for dx in (56, 204):
            self.wheel(x + dx * size, y - 34 * size, 34 * size, INK, spokes=8)

    def rails(self, y: float) -> None:
        for x in range(-20, WIDTH, 62):
            self.box(x, y + 4, 34, 26, BROWN)
        self.box(-10, y - 6, WIDTH + 20, 10, GREY)

    def table(self, y: float, color: Color = BROWN, cloth: Color | None = None) -> None:
        """A table top at `y` across the picture."""
        for x in (130, 830):
            self.box(x, y + 40, 44, HEIGHT, color)
        self.box(60, y, 880, 46, color)
        if cloth is not None:
            fringe = [(60, y), (940, y), (940, y + 80)]
            fringe += [(940 - 44 * i, y + (110 if i % 2 else 80)) for i in range(1, 20)]
            self.shape([*fringe, (60, y + 80)], cloth)

    def bowl(self, x: float, y: float, size: float, color: Color, inside: Color) -> None:
        """Standing on `y`."""
        self.pen.pieslice([x - 110 * size, y - 170 * size, x + 110 * size, y], 0, 180, fill=color, outline=INK, width=4)
        self.disc(x, y - 86 * size, 110 * size, inside, flat=0.24)

    def pot(self, x: float, y: float, size: float, color: Color) -> None:
        """A cooking pot standing on `y`."""
        self.box(x - 100 * size, y - 130 * size, 200 * size, 130 * size, color)
        for side in (-1, 1):
            self.line(
                [(x + side * 100 * size, y - 96 * size), (x + side * 134 * size, y - 96 * size)], INK, int(18 * size)
            )
        self.disc(x, y - 132 * size, 104 * size, mixed(color, WHITE, 0.4), flat=0.18)

    def fruit(self, x: float, y: float, radius: float, color: Color) -> None:
        self.disc(x, y, radius, color)
        self.disc(x - radius * 0.3, y - radius * 0.3, radius * 0.22, mixed(color, WHITE, 0.7), edge=0)
        self.line([(x, y - radius), (x + radius * 0.2, y - radius * 1.35)], BROWN, 7)

    def crate(self, x: float, y: float, content: Color) -> None:
        """A crate of round things standing on `y`, from `x` to the right."""
        for row, dy in ((4, -96), (5, -70)):
            for index in range(row):
                self.fruit(x + 34 + index * 42 + (21 if row == 4 else 0), y + dy, 27, content)
        for index in range(2):
            self.box(x, y - 56 + index * 30, 236, 26, (196, 150, 96))

    def cat(self, x: float, y: float, color: Color, size: float = 1.0) -> None:
        """Sitting on `y`."""
        self.pen.arc([x + 20 * size, y - 110 * size, x + 120 * size, y], 300, 120, fill=color, width=int(18 * size))
        self.disc(x, y - 70 * size, 60 * size, color, flat=1.2)
        self.disc(x, y - 165 * size, 48 * size, color)
        for side in (-1, 1):
            ear = [
                (x + side * 12 * size, y - 204 * size),
                (x + side * 48 * size, y - 190 * size),
                (x + side * 44 * size, y - 238 * size),
            ]
            self.shape(ear, color)
            self.disc(x + side * 18 * size, y - 170 * size, 8 * size, YELLOW)
            self.line([(x + side * 8 * size, y - 148 * size), (x + side * 60 * size, y - 154 * size)], WHITE, 3)

    def fish(self, x: float, y: float, size: float, color: Color) -> None:
        self.shape([(x + 60 * size, y), (x + 110 * size, y - 34 * size), (x + 110 * size, y + 34 * size)], color)
        self.disc(x, y, 80 * size, color, flat=0.42)
        self.disc(x - 48 * size, y - 6 * size, 7 * size, WHITE)

    def flower(self, x: float, y: float, radius: float, petal: Color, petals: int = 8) -> None:
        for step in range(petals):
            angle = step * 2 * math.pi / petals
            self.disc(x + radius * math.cos(angle), y + radius * math.sin(angle), radius * 0.52, petal)
        self.disc(x, y, radius * 0.55, YELLOW)

    def plant(self, x: float, y: float, size: float, petal: Color | None = None) -> None:
        """In a clay pot standing on `y`."""
        for dx in (-70, -30, 20, 64):
            tip = (x + dx * size, y - (230 - abs(dx)) * size)
            self.line([(x, y - 90 * size), tip], GREEN, int(12 * size))
            self.disc(*tip, 36 * size, GREEN, flat=0.6)
            if petal is not None:
                self.flower(tip[0], tip[1] - 26 * size, 20 * size, petal, petals=6)
        clay = [(x - 66, y - 96), (x + 66, y - 96), (x + 46, y), (x - 46, y)]
        self.shape([(x + (px - x) * size, y + (py - y) * size) for px, py in clay], (196, 104, 66))

    def umbrella(self, x: float, y: float, size: float, color: Color) -> None:
        """A striped market umbrella over a stall standing on `y`."""
        self.line([(x, y), (x, y - 330 * size)], BROWN, int(14 * size))
        for index in range(6):
            left, right = x + (-180 + 60 * index) * size, x + (-120 + 60 * index) * size
            self.shape(
                [(left, y - 270 * size), (x, y - 400 * size), (right, y - 270 * size)],
                color if index % 2 == 0 else WHITE,
            )

    def moon(self, x: float, y: float, radius: float) -> None:
        self.disc(x, y, radius, (240, 236, 214), edge=0)
        for dx, dy, size in [(-0.3, -0.2, 0.2), (0.25, 0.3, 0.26), (0.35, -0.35, 0.12), (-0.2, 0.45, 0.14)]:
            self.disc(x + dx * radius, y + dy * radius, size * radius, (206, 202, 184), edge=0)

    def dome(self, x: float, y: float, size: float) -> None:
        """An observatory standing on `y`."""
        self.box(x - 150 * size, y - 150 * size, 300 * size, 150 * size, WHITE)
        self.pen.pieslice(
            [x - 160 * size, y - 310 * size, x + 160 * size, y + 10 * size],
            180,
            360,
            fill=(96, 150, 140),
            outline=INK,
            width=5,
        )
        self.shape(
            [
                (x + 10 * size, y - 308 * size),
                (x + 60 * size, y - 296 * size),
                (x + 60 * size, y - 150 * size),
                (x + 10 * size, y - 150 * size),
            ],
            NIGHT,
        )
        self.box(x - 30 * size, y - 84 * size, 60 * size, 84 * size, BROWN)


Story = tuple[tuple[str, Callable[[int], Canvas]], ...]
"""Sentences, each with the scene it tells: a function from a seed to its canvas."""
