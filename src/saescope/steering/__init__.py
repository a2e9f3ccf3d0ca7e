"""Steering: edits to features while the model runs, and text with and without them."""
