"""The door to DDS: the only folder that knows cyclonedds."""
