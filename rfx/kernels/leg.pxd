"""Kinematics of the four legs of a quadruped whose hips turn about x, thighs and calves about y."""

# hip_x, hip_y: from the trunk to the hip joints; side: from the hip joint to the thigh joint; thigh, calf: link lengths;
# foot: how far the foot's centre lies before the calf's end. Legs in the order FR, FL, RR, RL.
cdef struct LegShape:
    double hip_x
    double hip_y
    double side
    double thigh
    double calf
    double foot


cdef void leg_forward(const LegShape* shape, const double* q, double* feet) noexcept nogil
cdef void leg_jacobian(const LegShape* shape, const double* q, double* jacobian) noexcept nogil
cdef int leg_inverse(const LegShape* shape, const double* feet, double* q) noexcept nogil
cdef void leg_torque(const double* jacobian, const double* force, double* tau) noexcept nogil
cdef bint leg_rates(const double* jacobian, const double* velocity, double* dq) noexcept nogil
