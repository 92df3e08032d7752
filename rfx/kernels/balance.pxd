"""Share a wrench on the trunk among the feet that stand."""

cdef bint share_wrench(
    const double* feet, const double* weight, const double* wrench, const double* slack,
    double friction, double most, double* force
) noexcept nogil
