"""From excerpts to samples, and what a dataset shows of itself: card, figures, contact sheet, splits."""
