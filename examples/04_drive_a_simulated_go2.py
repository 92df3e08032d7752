"""Stand a simulated Go2 up from another program: start the robot, connect, run a loop.

The robot runs in lockstep here, so that this works on any machine. In your own terminal: ``rfx robot simulate``.
"""

from rfx import ControlLoop, Go2, Go2Config
from rfx.cli.demo import child_environment, robot_command
from rfx.go2 import LowCmd, PosturePlan, RobotClock, free_domain

domain = free_domain()
command = robot_command(domain=domain, lockstep=True, tied=True, command_timeout=60)


def main() -> None:
    import subprocess

    robot = subprocess.Popen(command, stdin=subprocess.PIPE, env=child_environment())
    try:
        with Go2.connect(Go2Config.loopback(domain, lockstep=True)) as go2:
            plan = PosturePlan.stand_and_lie(5.0)
            plan.start(go2.low_state().q)
            cmd = LowCmd()

            def tick(iteration: int, dt: float) -> bool:
                time_s = go2.low_state().tick / 1000.0
                target, kp, kd = plan.at(time_s)
                cmd.set_motors(q=target, dq=0.0, tau=0.0, kp=kp, kd=kd)
                go2.send(cmd)
                if iteration % 500 == 0:
                    print(f"{time_s:4.1f} s  {plan.phase_at(time_s):<9}  height {go2.state().body_height}")
                return time_s < plan.seconds

            print(ControlLoop(500, tick, clock=RobotClock(go2), max_iterations=2500).run())
    finally:
        robot.communicate()  # closing its standard input ends it, in damping


if __name__ == "__main__":
    main()
