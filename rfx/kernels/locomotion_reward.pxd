from rfx.kernels.locomotion cimport FEET, MOTORS, Motion, Robot

cdef enum:
    TERMS = 20               # in the order of rfx.sim.go2_task.REWARD_TERMS

# What the terms of the reward are measured against.
ctypedef struct RewardModel:
    double dt                # between two actions, s
    double sigma             # of the tracking terms
    double height            # of the trunk, m
    double stride            # air time that a foot should have, s
    double deadband          # speed below which a command means standing, m/s
    double most_force        # on a foot, N
    double[MOTORS] pose
    double[MOTORS] lower
    double[MOTORS] upper
    double[MOTORS] speed
    double[MOTORS] effort

cdef void body_terms(const RewardModel* model, const Motion* motion, const Robot* robot, double* terms) noexcept nogil
cdef void joint_terms(const RewardModel* model, const Motion* motion, const Robot* robot, double* terms) noexcept nogil
cdef void limit_terms(const RewardModel* model, const Motion* motion, double* terms) noexcept nogil
cdef void contact_terms(const RewardModel* model, const Motion* motion, Robot* robot, double* terms) noexcept nogil
cdef double weighted(const double* weights, double* terms, double* sums, bint only_positive) noexcept nogil
