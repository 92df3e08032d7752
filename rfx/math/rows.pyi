"""C helpers of this room; nothing to call from Python."""
