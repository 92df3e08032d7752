cdef Py_ssize_t motor_law(
    const double* command, const unsigned char* enabled, double* law, Py_ssize_t n
) noexcept nogil

cdef void joint_step(
    double* q, double* dq, double* ddq, double* torque, const double* law,
    const double* plant, double h, Py_ssize_t n
) noexcept nogil
