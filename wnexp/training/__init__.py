"""From a configuration to a compiled program on a device."""
