"""The run directory: writing, reading, locking. No jax."""
