"""Compiled face of walking: the controller that stands, and steps in one of several gaits."""

cimport cython
from libc.math cimport isfinite, sqrt
from libc.string cimport memcpy, memset

from rfx.kernels.gait cimport GAITS, STAND, STEP, GaitPlan, GaitSense, GaitState, GaitWish, gait_reset, gait_tick
from rfx.kernels.leg cimport LegShape

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.sim import gaits, go2_model
from rfx.sim.legs import feet_of, ground_forces, jacobians_of, joints_for
from rfx.sim.plant import JointCommand, PlantState

__all__ = ["LIMITS", "MASS", "GaitController", "feet_of", "ground_forces", "jacobians_of", "joints_for"]

# What the controller can be asked for in whatever gait: m/s forwards and sideways, rad/s, m, rad. Each gait has its own
# part of the velocities, see rfx.sim.gaits.
LIMITS = {
    **{name: (min([getattr(g, name)[0] for g in gaits.GAITS]), max([getattr(g, name)[1] for g in gaits.GAITS]))
       for name in ("vx", "vy", "vyaw")},
    "height": (0.20, 0.33), "lift": (0.02, 0.12), "roll": (-0.4, 0.4), "pitch": (-0.35, 0.35), "yaw": (-0.4, 0.4),
}
# Two C structs as numpy sees them, to check what is loaded.
_MEMORY = np.dtype([("mode", "i8"), ("gait", "i8"), ("phase", "f8"), ("numbers", "f8", 40), ("stands", "i8", 4)])
_WISH = np.dtype([("numbers", "f8", 8), ("mode", "i8"), ("gait", "i8")])
MASS = sum([go2_model.inertial(link).mass for link in go2_model.LINKS])

cdef LegShape SHAPE
SHAPE.hip_x, SHAPE.hip_y, SHAPE.side = go2_model.HIP_X, go2_model.HIP_Y, go2_model.THIGH_Y
SHAPE.thigh, SHAPE.calf, SHAPE.foot = go2_model.THIGH_LENGTH, go2_model.CALF_LENGTH, go2_model.FOOT_X


cdef class GaitController:
    """Stand and step: turns a wanted velocity and posture into a joint command, one tick of 2 ms at a time.

    It stands while the wanted velocity is zero, steps in the chosen gait while it is not, and steps when it is pushed too far
    to stand. See rfx/kernels/gait.pyx for how. Threads may share one: ticks take turns.

    Notes
    -----
    It takes the velocity of the trunk from the simulation, where a robot has an estimate. It knows nothing of a fall: the
    caller looks at the tilt.
    """

    cdef GaitPlan[GAITS] plans
    cdef GaitWish wish
    cdef GaitState memory
    cdef cython.pymutex lock  # over wish and memory; held around C only

    def __cinit__(self):
        cdef int i
        for i in range(GAITS):
            fill_plan(&self.plans[i], gaits.GAITS[i])
        memset(&self.wish, 0, sizeof(GaitWish))
        self.wish.height, self.wish.lift = 0.28, 0.07
        gait_reset(&self.memory)

    def reset(self):
        """Forget what was done so far; the next tick stands over the feet where they are."""
        with self.lock:
            gait_reset(&self.memory)

    def choose(self, name):
        """Choose the gait in which it steps: ``"trot"`` (at first), ``"run"``, ``"walk"``, ``"economic"``.

        It changes at the next moment at which all feet stand, or where a cycle begins. A velocity that was asked for before
        and is beyond what the gait may do is followed as far as it may. A walk that is pushed too far goes on in a trot for
        two seconds.

        Raises
        ------
        InvalidValueError, DTypeError
            There is no gait of this name; nothing is changed.
        """
        if not isinstance(name, str):
            raise DTypeError(f"expected the name of a gait, got {type(name).__name__}")
        if name not in gaits.BY_NAME:
            raise InvalidValueError(f"expected one of {', '.join(gaits.NAMES)}, got {name!r}")
        cdef int number = gaits.NAMES.index(name)
        with self.lock:
            self.wish.gait = number

    def walk(self, vx, vy, vyaw, *, always=False):
        """Ask for a velocity of the trunk along its heading.

        Parameters
        ----------
        vx, vy, vyaw : float
            Forwards and to the left (m/s), and turning to the left (rad/s), within
            what the chosen gait may do (:data:`rfx.sim.gaits.GAITS`).
        always : bool
            Step also while all three are zero.

        Raises
        ------
        InvalidValueError, DTypeError
            Not finite numbers within the limits; nothing is changed.
        """
        now = gaits.BY_NAME[self.gait]
        cdef double x = bounded(vx, "vx", now.vx), y = bounded(vy, "vy", now.vy), z = bounded(vyaw, "vyaw", now.vyaw)
        cdef int mode = STEP if always else STAND
        with self.lock:
            self.wish.velocity[0], self.wish.velocity[1], self.wish.velocity[2] = x, y, z
            self.wish.mode = mode

    def pose(self, *, height=None, roll=None, pitch=None, yaw=None, lift=None):
        """Ask for a posture; None leaves a part as it is.

        Parameters
        ----------
        height : float
            Of the trunk's centre over the floor (m).
        roll, pitch, yaw : float
            Of the trunk (rad); yaw is against the feet and counts while standing only.
        lift : float
            How high the feet swing (m).

        Raises
        ------
        InvalidValueError, DTypeError
            Not finite numbers within ``LIMITS``; nothing is changed.
        """
        cdef double h = self.wish.height if height is None else within(height, "height")
        cdef double r = self.wish.roll if roll is None else within(roll, "roll")
        cdef double p = self.wish.pitch if pitch is None else within(pitch, "pitch")
        cdef double y = self.wish.yaw if yaw is None else within(yaw, "yaw")
        cdef double f = self.wish.lift if lift is None else within(lift, "lift")
        with self.lock:
            self.wish.height, self.wish.roll, self.wish.pitch, self.wish.yaw, self.wish.lift = h, r, p, y, f

    def update(self, state, command):
        """Take one measurement and write the joint command for the next 2 ms.

        Parameters
        ----------
        state : PlantState
        command : JointCommand
            Written in place, all motors enabled.

        Raises
        ------
        InvalidValueError
            The state holds NaN or what no robot measures; the command is as it was.
        DTypeError
            Something else was given.
        """
        if not isinstance(state, PlantState):
            raise DTypeError(f"expected state to be a PlantState, got {type(state).__name__}")
        if not isinstance(command, JointCommand):
            raise DTypeError(f"expected command to be a JointCommand, got {type(command).__name__}")
        cdef const double[::1] q = state.q, quaternion = state.quaternion
        cdef const double[::1] gyro = state.gyroscope, velocity = state.velocity_body
        cdef double[:, ::1] block = command._block
        cdef double[60] out
        cdef GaitSense sense
        cdef GaitState after
        cdef GaitWish wish
        cdef bint good
        cdef int i
        if (q.shape[0] != 12 or quaternion.shape[0] != 4 or gyro.shape[0] != 3
                or velocity.shape[0] != 3 or block.shape[0] != 5 or block.shape[1] != 12):
            raise ShapeError("expected a state with 12 joints, a quaternion, and three rates and velocities")
        sense.q = &q[0]
        for i in range(3):
            sense.gyro[i], sense.velocity[i] = gyro[i], velocity[i]
        level_turn(&quaternion[0], sense.turn)
        with self.lock:
            after, wish = self.memory, self.wish
            good = gait_tick(self.plans, &wish, &sense, &after, out)
            for i in range(60):
                good = good and isfinite(out[i])
            if good:
                self.memory = after
        if not good:
            raise InvalidValueError(f"expected a state of finite numbers, got {state!r} with q {state.q}")
        memcpy(&block[0, 0], out, sizeof(out))
        command.enabled[:] = True

    @property
    def mode(self):
        """``"stand"``, or the name of the gait in which it steps; None before the first tick."""
        with self.lock:
            mode, gait = self.memory.mode, self.memory.gait
        return gaits.NAMES[gait] if mode == STEP else "stand" if mode == STAND else None

    @property
    def gait(self):
        """The name of the gait that was chosen."""
        with self.lock:
            gait = self.wish.gait
        return gaits.NAMES[gait]

    @property
    def contacts(self):
        """Which feet FR, FL, RR, RL are meant to be on the floor, a tuple of four bool."""
        cdef int bits = 0, leg
        with self.lock:
            for leg in range(4):
                bits |= self.memory.stands[leg] << leg
        return tuple([bool(bits >> leg & 1) for leg in range(4)])

    @property
    def velocity(self):
        """The velocity that is followed now: vx, vy (m/s), vyaw (rad/s); it moves to what was asked at a bounded rate."""
        cdef double x, y, z
        with self.lock:
            x, y, z = self.memory.velocity[0], self.memory.velocity[1], self.memory.velocity[2]
        return x, y, z

    def state_dict(self):
        """Everything that decides how it goes on, as a dict of copies."""
        cdef GaitState m
        cdef GaitWish w
        with self.lock:
            m, w = self.memory, self.wish
        return {"memory": (<char*>&m)[:sizeof(GaitState)], "wish": (<char*>&w)[:sizeof(GaitWish)]}

    def load_state_dict(self, state):
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        InvalidValueError
            Not such a dict; nothing is changed.
        """
        cdef bytes memory, wish
        try:
            memory, wish = state["memory"], state["wish"]
            m, w = np.frombuffer(memory, _MEMORY, 1)[0], np.frombuffer(wish, _WISH, 1)[0]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(f"expected the memory and wish of a GaitController ({error})") from error
        if len(memory) != sizeof(GaitState) or len(wish) != sizeof(GaitWish):
            raise InvalidValueError(
                f"expected memory of {sizeof(GaitState)} bytes and wish of {sizeof(GaitWish)}, got {len(memory)} and {len(wish)}"
            )
        numbers = [m["phase"], *m["numbers"], *w["numbers"]]
        known = m["mode"] in (-1, STAND, STEP) and 0 <= m["gait"] < GAITS and 0 <= w["gait"] < GAITS
        if not np.isfinite(numbers).all() or not 0 <= m["phase"] < 1 or not known:
            raise InvalidValueError(f"expected the memory and wish of a GaitController, got {m} and {w}")
        cdef const char* from_memory = memory
        cdef const char* from_wish = wish
        with self.lock:
            memcpy(&self.memory, from_memory, sizeof(GaitState))
            memcpy(&self.wish, from_wish, sizeof(GaitWish))

    def __reduce__(self):
        return _rebuild, (self.state_dict(),)

    def __repr__(self):
        x, y, z = self.velocity
        return f"GaitController({self.mode}, vx={x:.2f}, vy={y:.2f}, vyaw={z:.2f})"


def _rebuild(state):
    controller = GaitController()
    controller.load_state_dict(state)
    return controller


cdef int fill_plan(GaitPlan* p, gait) except -1:
    cdef int i
    p.shape = SHAPE
    p.dt, p.mass = go2_model.TIMESTEP, MASS
    p.stance_x, p.stance_y, p.foot_radius = go2_model.HIP_X, 0.15, go2_model.FOOT_RADIUS
    p.reach, p.friction = 0.22, 0.6
    p.period, p.duty, p.sway, p.capture, p.lift = gait.period, gait.duty, gait.sway, gait.capture, gait.lift
    for i in range(4):
        p.offset[i] = gait.offsets[i]
    for i, limits in enumerate((gait.vx, gait.vy, gait.vyaw)):
        p.low[i], p.high[i] = limits
    return 0


cdef double within(value, name) except? -1.0:
    return bounded(value, name, LIMITS[name])


cdef double bounded(value, name, limits) except? -1.0:
    return arrays.number(value, name, minimum=limits[0], maximum=limits[1])


# Rotation (3, 3) heading from trunk: the attitude without its heading.
cdef void level_turn(const double* q, double* m) noexcept nogil:
    cdef double w = q[0], x = q[1], y = q[2], z = q[3]
    cdef double sp = 2.0 * (w * y - z * x), sr = 2.0 * (w * x + y * z), cr = 1.0 - 2.0 * (x * x + y * y), cp, r
    sp = 1.0 if sp > 1.0 else -1.0 if sp < -1.0 else sp
    cp = sqrt(1.0 - sp * sp)
    r = sqrt(sr * sr + cr * cr)
    sr, cr = (sr / r, cr / r) if r > 1e-9 else (0.0, 1.0)
    m[0], m[1], m[2] = cp, sp * sr, sp * cr
    m[3], m[4], m[5] = 0.0, cr, -sr
    m[6], m[7], m[8] = -sp, cp * sr, cp * cr
