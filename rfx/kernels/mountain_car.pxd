from libc.stdint cimport int64_t

# The rows of physics: force or, for the continuous one, power; gravity; the least speed at the goal. Per step, without units.
cdef enum:
    CAR_PHYSICS = 3

# physics is (CAR_PHYSICS, stride), stride n for numbers of each environment's own, or 1 for the same in all.
cdef void car_step(
    const double* physics, Py_ssize_t stride, double* position, double* velocity, const int64_t* actions, Py_ssize_t n,
    unsigned char* terminated) noexcept nogil
# steps are those of the episode so far: Gymnasium's state is float64 in the first one, then float32.
cdef void continuous_car_step(
    const double* physics, Py_ssize_t stride, double* position, double* velocity, const int64_t* steps, const float* actions,
    Py_ssize_t n, double* rewards, unsigned char* terminated) noexcept nogil
cdef void car_observe(const double* position, const double* velocity, Py_ssize_t n, float* obs) noexcept nogil
