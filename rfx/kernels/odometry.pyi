"""How fast a trunk moves, from its inertial unit and the legs that stand."""
