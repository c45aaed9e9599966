"""A small kit to draw scenes with Pillow: colours, landscapes and things, on a canvas of 1000 by 750 units.

The quickstart's picture sequences are made with it at set-up, so that no picture has to be downloaded or licensed.
"""

from fabula_quickstart.drawing.canvas import Canvas, Story

__all__ = ["Canvas", "Story"]
