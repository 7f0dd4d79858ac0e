"""The mathematics of one network: architectures, initial weights, normalizations, losses. Pure functions."""
