"""From measured numbers to an observation, from an action to joint targets. C only: cimport it."""
