"""The safety envelope of position-controlled motors: what may be sent at what was measured. Use it by ``cimport``."""
