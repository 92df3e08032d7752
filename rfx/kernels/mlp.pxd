# A network is an array of steps, worked off in turn on two blocks of rows. Every width is a whole number of lanes.

cdef enum:
    MLP_TILE = 4        # rows that go through the network together, at most
    MLP_LANES = 16      # widths are padded to a multiple of this, with weights, biases and shifts of 0, divisors of 1

cdef enum StepKind:
    STEP_DENSE          # y = W x + b: p is W transposed (inputs rounded up to fours, width), then b (width)
    STEP_NORM           # layer norm of `inputs` numbers: p is gain (width), then bias (width)
    STEP_AFFINE         # (x - shift) / divisor * factor + offset into [low, high]: p is these six (width) in turn
    STEP_LSTM           # p is as of a dense step to four gates, then as of one from h (width) to four gates
    STEP_GRU            # the same with three gates

cdef enum Activation:
    ACTIVATION_NONE
    ACTIVATION_TANH
    ACTIVATION_RELU
    ACTIVATION_ELU
    ACTIVATION_SILU
    ACTIVATION_SIGMOID
    ACTIVATION_LEAKY_RELU

cdef struct MlpStep:
    int kind
    int activation
    Py_ssize_t inputs
    Py_ssize_t width
    float eps           # of a layer norm
    const float* p

cdef float* mlp_forward(
    const MlpStep* steps, Py_ssize_t count, float* x, float* spare, Py_ssize_t row_step, Py_ssize_t rows,
    const float* state, float* fresh) noexcept nogil
cdef void mlp_activate(int activation, float* x, Py_ssize_t n) noexcept nogil
cdef bint mlp_finite(const float* x, Py_ssize_t n) noexcept nogil
