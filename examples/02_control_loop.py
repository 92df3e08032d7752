"""Hold a mass on a spring-damper at a target with a 500 Hz loop: once in Python, once in a thread, once in lockstep.

Run it from anywhere: ``python examples/02_control_loop.py``. It takes about three seconds.
"""

from rfx.control import BusyTick, ControlLoop, ManualClock, run_control_loop

KP, KD, MASS = 40.0, 12.0, 1.0


class Mass:
    """A mass in one dimension that a PD law pulls to a target."""

    def __init__(self) -> None:
        self.position, self.speed, self.target = 0.0, 0.0, 1.0

    def tick(self, iteration: int, dt: float) -> bool:
        force = KP * (self.target - self.position) - KD * self.speed
        self.speed += force / MASS * dt
        self.position += self.speed * dt
        return abs(self.position - self.target) > 1e-3 or abs(self.speed) > 1e-3  # a false result ends the loop


def main() -> None:
    # 1. In this thread, until the mass has settled. dt is measured, so a late tick makes a longer step.
    mass = Mass()
    print(run_control_loop(500, mass.tick, name="settle"), "\n")

    # 2. In a thread of its own, with rights asked for; the statistics say what was granted.
    mass = Mass()
    with ControlLoop(500, mass.tick, name="thread", priority=20, affinity=0).spawn() as handle:
        handle.join(timeout=30)
    print(f"position {mass.position:.4f} m\n{handle.stats().rights_statement}\n")

    # 3. On a clock of our own: the same logic as fast as the machine can, and the same result every time.
    mass, clock = Mass(), ManualClock()
    ticks = run_control_loop(500, mass.tick, clock=clock).iterations
    print(f"settled after {ticks} ticks, {clock.now_ns() / 1e9:.3f} s of simulated time\n")

    # 4. A compiled tick needs no GIL: other Python threads cannot make it late. docs/control.md shows how to write one.
    print(run_control_loop(500, BusyTick(busy_s=100e-6).tick, name="compiled", max_iterations=250))


if __name__ == "__main__":
    main()
