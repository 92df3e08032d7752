"""Small networks, a few rows at a time. The loops, formulae and sources are in mlp.h and mlp_activations.h."""

from libc.string cimport memcpy


cdef extern from "mlp_activations.h" nogil:
    void rfx_tanh_n(float* x, Py_ssize_t n) noexcept
    void rfx_relu_n(float* x, Py_ssize_t n) noexcept
    void rfx_leaky_relu_n(float* x, Py_ssize_t n) noexcept
    void rfx_elu_n(float* x, Py_ssize_t n) noexcept
    void rfx_silu_n(float* x, Py_ssize_t n) noexcept
    void rfx_sigmoid_n(float* x, Py_ssize_t n) noexcept
    void rfx_lstm_gates(const float* a, const float* b, const float* old, float* fresh, Py_ssize_t width) noexcept
    void rfx_gru_gates(const float* a, const float* b, const float* old, float* fresh, Py_ssize_t width) noexcept

cdef extern from "mlp.h" nogil:
    void rfx_dense(
        const float* w, const float* bias, const float* x, float* y, Py_ssize_t step, Py_ssize_t inputs, Py_ssize_t width,
        Py_ssize_t rows) noexcept
    void rfx_layer_norm(
        const float* gain, const float* bias, float eps, float* x, Py_ssize_t step, Py_ssize_t n, Py_ssize_t rows) noexcept
    void rfx_affine(const float* p, float* x, Py_ssize_t step, Py_ssize_t width, Py_ssize_t rows) noexcept
    int rfx_all_finite_f(const float* x, Py_ssize_t n) noexcept


cdef void mlp_activate(int activation, float* x, Py_ssize_t n) noexcept nogil:
    # x = activation(x) in place
    if activation == ACTIVATION_TANH:
        rfx_tanh_n(x, n)
    elif activation == ACTIVATION_RELU:
        rfx_relu_n(x, n)
    elif activation == ACTIVATION_ELU:
        rfx_elu_n(x, n)
    elif activation == ACTIVATION_SILU:
        rfx_silu_n(x, n)
    elif activation == ACTIVATION_SIGMOID:
        rfx_sigmoid_n(x, n)
    elif activation == ACTIVATION_LEAKY_RELU:
        rfx_leaky_relu_n(x, n)


cdef inline Py_ssize_t rounded(Py_ssize_t inputs) noexcept nogil:
    # rows of weights are stored in fours
    return (inputs + 3) & ~<Py_ssize_t>3


cdef Py_ssize_t recur(
        const MlpStep* s, float* x, float* spare, const float* state, float* fresh) noexcept nogil:
    # One row through an LSTM or GRU: x becomes h. Returns how many numbers of the state it has.
    cdef Py_ssize_t gates = 4 if s.kind == STEP_LSTM else 3
    cdef Py_ssize_t all_gates = gates * s.width
    cdef const float* back = s.p + (rounded(s.inputs) + 1) * all_gates
    rfx_dense(s.p, back - all_gates, x, spare, 0, s.inputs, all_gates, 1)
    rfx_dense(back, back + s.width * all_gates, state, x, 0, s.width, all_gates, 1)
    if s.kind == STEP_LSTM:
        rfx_lstm_gates(spare, x, state, fresh, s.width)
    else:
        rfx_gru_gates(spare, x, state, fresh, s.width)
    memcpy(x, fresh, s.width * sizeof(float))
    return s.width * (gates - 2)  # h and c, or h


cdef float* mlp_forward(
        const MlpStep* steps, Py_ssize_t count, float* x, float* spare, Py_ssize_t row_step, Py_ssize_t rows,
        const float* state, float* fresh) noexcept nogil:
    # Works off the steps on the rows in x, each padded with zeros; both blocks are overwritten. Returns the one that
    # holds the result. What recurrent steps carry is read from `state` and written to `fresh`: then `rows` is 1.
    cdef Py_ssize_t i, r, done = 0
    cdef const MlpStep* s
    for i in range(count):
        s = steps + i
        if s.kind == STEP_DENSE:
            rfx_dense(s.p, s.p + rounded(s.inputs) * s.width, x, spare, row_step, s.inputs, s.width, rows)
            x, spare = spare, x
        elif s.kind == STEP_NORM:
            rfx_layer_norm(s.p, s.p + s.width, s.eps, x, row_step, s.inputs, rows)
        elif s.kind == STEP_AFFINE:
            rfx_affine(s.p, x, row_step, s.width, rows)
        else:
            done += recur(s, x, spare, state + done, fresh + done)
        if s.activation != ACTIVATION_NONE:
            for r in range(rows):
                mlp_activate(s.activation, x + r * row_step, s.width)
    return x


cdef bint mlp_finite(const float* x, Py_ssize_t n) noexcept nogil:
    # whether none of n numbers is NaN or infinite
    return rfx_all_finite_f(x, n)
