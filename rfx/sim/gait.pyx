"""Compiled face of walking: leg kinematics for arrays, and the controller that stands and trots."""

cimport cython
from libc.math cimport isfinite, sqrt
from libc.string cimport memcpy, memset

from rfx.kernels.balance cimport share_wrench
from rfx.kernels.gait cimport STAND, TROT, GaitPlan, GaitSense, GaitState, GaitWish, gait_reset, gait_tick
from rfx.kernels.leg cimport LegShape, leg_forward, leg_inverse, leg_jacobian

import numpy as np

from rfx import arrays
from rfx.errors import DTypeError, InvalidValueError, ShapeError
from rfx.sim import go2_model
from rfx.sim.plant import JointCommand, PlantState

# What the controller can be asked for: m/s forwards and sideways, rad/s, m, rad.
LIMITS = {
    "vx": (-0.6, 0.8), "vy": (-0.4, 0.4), "vyaw": (-1.2, 1.2), "height": (0.20, 0.33), "lift": (0.02, 0.12),
    "roll": (-0.4, 0.4), "pitch": (-0.35, 0.35), "yaw": (-0.4, 0.4),
}
# Two C structs as numpy sees them, to check what is loaded.
_MEMORY = np.dtype([("mode", "i8"), ("phase", "f8"), ("calm", "f8"), ("numbers", "f8", 36), ("stands", "i8", 4)])
_WISH = np.dtype([("numbers", "f8", 8), ("mode", "i8")])
MASS = sum([go2_model.inertial(link).mass for link in go2_model.LINKS])

cdef LegShape SHAPE
SHAPE.hip_x, SHAPE.hip_y, SHAPE.side = go2_model.HIP_X, go2_model.HIP_Y, go2_model.THIGH_Y
SHAPE.thigh, SHAPE.calf, SHAPE.foot = go2_model.THIGH_LENGTH, go2_model.CALF_LENGTH, go2_model.FOOT_X


cdef object twelve(value, name):
    return arrays.finite(arrays.floats(value, name, (12,)), name).astype(np.float64, copy=False)


def feet_of(q):
    """Centres of the feet FR, FL, RR, RL in the trunk's frame.

    Parameters
    ----------
    q : array_like, shape (12,)
        Joint positions in motor order (rad).

    Returns
    -------
    ndarray, shape (4, 3), float64
        In metres.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not twelve finite numbers.
    """
    cdef const double[::1] angles = twelve(q, "q")
    feet = np.empty((4, 3))
    cdef double[:, ::1] out = feet
    with nogil:
        leg_forward(&SHAPE, &angles[0], &out[0, 0])
    return feet


def jacobians_of(q):
    """How the feet move with the joints: d foot / d q of each leg, in the trunk's frame.

    Parameters
    ----------
    q : array_like, shape (12,)
        Joint positions in motor order (rad).

    Returns
    -------
    ndarray, shape (4, 3, 3), float64
        [leg, axis, joint], m/rad.

    Raises
    ------
    ShapeError, DTypeError, InvalidValueError
        Not twelve finite numbers.
    """
    cdef const double[::1] angles = twelve(q, "q")
    jacobian = np.empty((4, 3, 3))
    cdef double[:, :, ::1] out = jacobian
    with nogil:
        leg_jacobian(&SHAPE, &angles[0], &out[0, 0, 0])
    return jacobian


def joints_for(feet):
    """Joint positions that put the feet where they are wanted, knees bent backwards.

    Parameters
    ----------
    feet : array_like, shape (4, 3)
        Centres of the feet FR, FL, RR, RL in the trunk's frame (m), below the hips.

    Returns
    -------
    ndarray, shape (12,), float64
        In motor order (rad). They may lie outside of the joints' travel.

    Raises
    ------
    InvalidValueError
        Not finite, or a leg does not reach so far; the text names the legs.
    ShapeError, DTypeError
        Not four points.
    """
    places = arrays.finite(arrays.floats(feet, "feet", (4, 3)), "feet").astype(np.float64, copy=False)
    cdef const double[:, ::1] p = places
    angles = np.empty(12)
    cdef double[::1] out = angles
    cdef int missed, leg
    with nogil:
        missed = leg_inverse(&SHAPE, &p[0, 0], &out[0])
    if missed or not np.isfinite(angles).all():
        legs = ", ".join([go2_model.LEGS[leg] for leg in range(4) if missed >> leg & 1])
        raise InvalidValueError(f"expected feet within reach, got {places.tolist()}; out of reach: {legs}")
    return angles


def ground_forces(feet, weight, wrench, slack, double friction=0.6, double most=250.0):
    """Share a wrench on the trunk among feet on the floor; see rfx.kernels.balance for what is minimised.

    Parameters
    ----------
    feet : array_like, shape (4, 3)
        From the centre of mass (m).
    weight : array_like, shape (4,)
        How far each foot may be used, at least 0.
    wrench : array_like, shape (6,)
        Force (N) and moment (Nm).
    slack : array_like, shape (6,)
        How little each part of the wrench matters, above 0.
    friction, most : float
        A force stays within 0..most (N) upwards, and sideways within ``friction`` times that.

    Returns
    -------
    ndarray, shape (4, 3), float64
        Forces of the floor on the feet (N).

    Raises
    ------
    InvalidValueError, ShapeError, DTypeError
        Not finite numbers of these shapes, a negative weight, a slack of 0 or less.
    """
    cdef const double[:, ::1] r = arrays.finite(arrays.floats(feet, "feet", (4, 3), np.float64), "feet")
    cdef const double[::1] w = arrays.finite(arrays.floats(weight, "weight", (4,), np.float64), "weight")
    cdef const double[::1] b = arrays.finite(arrays.floats(wrench, "wrench", (6,), np.float64), "wrench")
    cdef const double[::1] s = arrays.finite(arrays.floats(slack, "slack", (6,), np.float64), "slack")
    if np.min(w) < 0.0 or np.min(s) <= 0.0:
        raise InvalidValueError(f"expected weights of at least 0 and slack above 0, got {weight} and {slack}")
    force = np.empty((4, 3))
    cdef double[:, ::1] out = force
    cdef bint good
    with nogil:
        good = share_wrench(&r[0, 0], &w[0], &b[0], &s[0], friction, most, &out[0, 0])
    if not good:
        raise InvalidValueError(f"expected feet of a robot, got {feet}")
    return force


cdef class GaitController:
    """Stand and trot: turns a wanted velocity and posture into a joint command, one tick of 2 ms at a time.

    It stands while the wanted velocity is zero, trots while it is not, and steps when it is pushed too far to stand. See
    rfx/kernels/gait.pyx for how. Threads may share one: ticks take turns.

    Notes
    -----
    It takes the velocity of the trunk from the simulation, where a robot has an estimate. It knows nothing of a fall: the
    caller looks at the tilt.
    """

    cdef GaitPlan plan
    cdef GaitWish wish
    cdef GaitState memory
    cdef cython.pymutex lock  # over wish and memory; held around C only

    def __cinit__(self):
        cdef GaitPlan* p = &self.plan
        p.shape = SHAPE
        p.dt, p.mass = go2_model.TIMESTEP, MASS
        p.stance_x, p.stance_y, p.foot_radius = go2_model.HIP_X, 0.15, go2_model.FOOT_RADIUS
        p.period, p.duty = 0.40, 0.55
        p.capture, p.reach, p.friction = 0.12, 0.22, 0.6
        memset(&self.wish, 0, sizeof(GaitWish))
        self.wish.height, self.wish.lift = 0.28, 0.07
        gait_reset(&self.memory)

    def reset(self):
        """Forget what was done so far; the next tick stands over the feet where they are."""
        with self.lock:
            gait_reset(&self.memory)

    def walk(self, vx, vy, vyaw, *, always=False):
        """Ask for a velocity of the trunk along its heading.

        Parameters
        ----------
        vx, vy, vyaw : float
            Forwards and to the left (m/s), and turning to the left (rad/s), within ``LIMITS``.
        always : bool
            Trot also while all three are zero.

        Raises
        ------
        InvalidValueError, DTypeError
            Not finite numbers within the limits; nothing is changed.
        """
        cdef double x = within(vx, "vx"), y = within(vy, "vy"), z = within(vyaw, "vyaw")
        cdef int mode = TROT if always else STAND
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
            good = gait_tick(&self.plan, &wish, &sense, &after, out)
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
        """``"stand"`` or ``"trot"``; None before the first tick."""
        with self.lock:
            mode = self.memory.mode
        return "trot" if mode == TROT else "stand" if mode == STAND else None

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
        numbers = [m["phase"], m["calm"], *m["numbers"], *w["numbers"]]
        if not np.isfinite(numbers).all() or not 0 <= m["phase"] < 1 or m["mode"] not in (-1, STAND, TROT):
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


cdef double within(value, name) except? -1.0:
    low, high = LIMITS[name]
    return arrays.number(value, name, minimum=low, maximum=high)


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
