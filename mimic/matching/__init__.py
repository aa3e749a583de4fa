"""From pictures to measured pairs: features, matches, robust geometry, measures."""
