"""How numbers of the physics change with time: straight, in a sine, or in a walk at random, always between two bounds."""

from libc.math cimport sin

from rfx.kernels.chacha cimport ChaCha, chacha_unit

cdef double TURN = 6.283185307179586


cdef inline double within(double value, double low, double high) noexcept nogil:
    return low if value < low else (high if value > high else value)


cdef double now(const DriftRule* rule, const Drifter* d) noexcept nogil:
    # middle + size sin(2 pi ticks / period + phase); the ticks count from 0.
    return within(d.middle + rule.size * sin(TURN * (d.ticks / rule.period) + d.phase), rule.low, rule.high)


cdef double drift_begin(const DriftRule* rule, Drifter* d, ChaCha* rng) noexcept nogil:
    # Draw where an environment begins; two draws whatever the rule.
    d.middle = within(rule.start + rule.spread * (2.0 * chacha_unit(rng) - 1.0), rule.low, rule.high)
    d.phase = TURN * chacha_unit(rng)
    d.ticks = 0
    value = now(rule, d) if rule.kind == DRIFT_SINE else d.middle
    if rule.per_episode:
        d.ticks = -1
    return value


cdef double drift_tick(const DriftRule* rule, Drifter* d, ChaCha* rng, double value) noexcept nogil:
    # The next value: a line stops at its bound, a walk is reflected (and stops where it would leave on the other side).
    d.ticks += 1
    if d.ticks == 0:
        return value
    if rule.kind == DRIFT_LINEAR:
        return within(value + rule.size, rule.low, rule.high)
    if rule.kind == DRIFT_SINE:
        return now(rule, d)
    value += rule.size * (2.0 * chacha_unit(rng) - 1.0)
    if value < rule.low:
        value = rule.low + (rule.low - value)
    elif value > rule.high:
        value = rule.high - (value - rule.high)
    return within(value, rule.low, rule.high)
