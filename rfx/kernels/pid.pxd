ctypedef struct PidGains:
    double kp
    double ki
    double kd
    double output_min
    double output_max
    double integral_limit
    double derivative_alpha
    double back_gain
    int anti_windup          # 0 none, 1 clamping, 2 back-calculation
    bint on_measurement

ctypedef struct PidState:
    double integral          # sum of error * dt
    double previous          # measurement or error of the last update
    double derivative        # filtered
    bint started

ctypedef struct PidTerms:
    double p
    double i
    double d
    double unclamped
    double output

cdef PidState pid_step(
    const PidGains* g, const PidState* s, double setpoint, double measurement, double dt, PidTerms* terms) noexcept nogil
cdef bint pid_steps(
    const PidGains* g, const PidState* s, const double* setpoint, const double* measurement, double dt,
    PidState* next, double* out, Py_ssize_t n) noexcept nogil
