from libc.stdint cimport int64_t

from rfx.kernels.ground cimport Ground
from rfx.kernels.locomotion cimport MOTORS, Assembly
from rfx.kernels.locomotion_reward cimport TERMS, RewardModel
from rfx.kernels.locomotion_task cimport TaskModel


cdef class Go2Numbers:
    cdef readonly Py_ssize_t obs_dim, max_steps, substeps
    cdef object kept                 # arrays that the structures point into
    cdef Ground ground
    cdef TaskModel task
    cdef RewardModel reward
    cdef Assembly assembly
    cdef double[TERMS] weights       # times the time between two actions
    cdef bint only_positive
    cdef bint by_contact             # whether a trunk that touches ends the episode
    cdef double least_down           # cosine of the largest tilt
    cdef double least_height
    cdef double clip                 # of actions
    cdef double period               # of the clock, s
    cdef double[MOTORS] pose         # in motor order, like the following
    cdef double[MOTORS] scale
    cdef double[MOTORS] lower
    cdef double[MOTORS] upper
    cdef double[MOTORS] kp
    cdef double[MOTORS] kd
    cdef int64_t[MOTORS] motors      # which motor each number of an action is for

    cdef set_ground(self, terrain, heights)
    cdef set_reward(self, task)
    cdef set_task(self, task, double start_height)
    cdef set_layout(self, task)
