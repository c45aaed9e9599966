"""What a scene stands on and before: a picture of 1000 by 750 units with plain shapes, sky, ground and weather."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

from fabula_quickstart.drawing.palette import BLUE, INK, WHITE, YELLOW, Color, mixed

Point = tuple[float, float]
WIDTH, HEIGHT = 1000, 750


class Landscape:
    """A picture with its sky. Coordinates are units from the top left; `seed` decides where scattered things lie."""

    def __init__(self, sky: tuple[Color, Color], seed: int) -> None:
        self.image = Image.new("RGB", (WIDTH, HEIGHT))
        self.pen = ImageDraw.Draw(self.image)
        self.random = random.Random(seed)  # noqa: S311 - for scattering raindrops
        for y in range(HEIGHT):
            self.pen.line([(0, y), (WIDTH, y)], fill=mixed(sky[0], sky[1], y / HEIGHT))

    def finished(self, width: int, height: int) -> Image.Image:
        """The picture in pixels, smoothed by scaling down."""
        return self.image.resize((width, height), Image.Resampling.LANCZOS)

    def box(self, x: float, y: float, width: float, height: float, color: Color, edge: int = 4) -> None:
        self.pen.rectangle([x, y, x + width, y + height], fill=color, outline=INK if edge else None, width=edge)

    def disc(self, x: float, y: float, radius: float, color: Color, edge: int = 4, flat: float = 1.0) -> None:
        """A circle, or with `flat` below 1 an ellipse."""
        around = [x - radius, y - radius * flat, x + radius, y + radius * flat]
        self.pen.ellipse(around, fill=color, outline=INK if edge else None, width=edge)

    def ring(self, x: float, y: float, radius: float, color: Color, width: int = 10) -> None:
        self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=color, width=width)

    def shape(self, points: Sequence[Point], color: Color, edge: int = 4) -> None:
        self.pen.polygon(list(points), fill=color)
        if edge:
            self.pen.line([*points, points[0]], fill=INK, width=edge, joint="curve")

    def line(self, points: Sequence[Point], color: Color = INK, width: int = 6) -> None:
        self.pen.line(list(points), fill=color, width=width, joint="curve")

    def ground(self, y: float, color: Color) -> None:
        self.box(-10, y, WIDTH + 20, HEIGHT, color, edge=0)

    def sea(self, y: float, color: Color = BLUE) -> None:
        self.ground(y, color)
        light = mixed(color, WHITE, 0.45)
        for row in range(int(y) + 14, HEIGHT, 34):
            for x in range(-40 + row * 7 % 90, WIDTH, 120):
                self.pen.arc([x, row - 8, x + 60, row + 10], 200, 340, fill=light, width=5)

    def hills(self, y: float, color: Color) -> None:
        for index, (x, radius) in enumerate([(140, 330), (520, 420), (900, 350)]):
            self.disc(x, y + radius * 0.8, radius, mixed(color, WHITE, 0.12 * index), edge=0, flat=0.8)
        self.ground(y + 120, color)

    def wall_and_floor(self, wall: Color, floor: Color, y: float = 540) -> None:
        self.ground(0, wall)
        self.ground(y, floor)
        for x in range(-200, WIDTH + 200, 130):
            self.line([(x, HEIGHT), (500 + (x - 500) * 0.75, y)], mixed(floor, INK, 0.25), 4)

    def sun(self, x: float, y: float, radius: float = 70, color: Color = YELLOW) -> None:
        for step in range(12):
            angle = step * math.pi / 6
            near, far = radius * 1.25, radius * 1.6
            dx, dy = math.cos(angle), math.sin(angle)
            self.line([(x + dx * near, y + dy * near), (x + dx * far, y + dy * far)], color, 9)
        self.disc(x, y, radius, color, edge=0)

    def cloud(self, x: float, y: float, size: float = 1.0, color: Color = WHITE) -> None:
        for dx, dy, radius in [(-60, 10, 42), (-14, -18, 54), (42, -4, 46), (80, 14, 34)]:
            self.disc(x + dx * size, y + dy * size, radius * size, color, edge=0)

    def stars(self, count: int, below: float = 480) -> None:
        for _ in range(count):
            x, y = self.random.uniform(0, WIDTH), self.random.uniform(0, below)
            self.disc(x, y, self.random.choice([2, 3, 3, 5]), WHITE, edge=0)

    def rain(self, count: int = 140) -> None:
        for _ in range(count):
            x, y = self.random.uniform(0, WIDTH), self.random.uniform(0, HEIGHT)
            self.line([(x, y), (x - 10, y + 34)], (214, 226, 236), 4)

    def steam(self, x: float, y: float, puffs: int = 5, size: float = 1.0, color: Color = WHITE) -> None:
        for step in range(puffs):
            radius = (18 + 9 * step) * size
            self.disc(x + math.sin(step * 1.4) * 18 * size, y - 42 * step * size, radius, color, edge=0)
