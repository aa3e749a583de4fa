"""Two-view geometry on arrays: pure NumPy, continuous pixels, no I/O."""
