/* Included by scan_gae.h once for float and once for double. */

/* delta at an end: the value ahead is that of the final state, or none. */
RFX_INLINE RFX_REAL RFX_NAME(rfx_delta_at_end)(const RFX_REAL *r, const RFX_REAL *v, const unsigned char *terminated,
                                               const RFX_REAL *final, RFX_REAL gamma, Py_ssize_t i)
{
    return terminated[i] ? r[i] - v[i] : (r[i] + gamma * final[i]) - v[i];
}

/* Steps first..stop-1 of one environment one by one; ahead and carry are value and advantage of step stop. */
RFX_INLINE RFX_REAL RFX_NAME(rfx_gae_steps)(const RFX_REAL *r, const RFX_REAL *v, const unsigned char *terminated,
                                            const unsigned char *truncated, const RFX_REAL *final, RFX_REAL ahead,
                                            RFX_REAL carry, RFX_REAL gamma, RFX_REAL gl, RFX_REAL *adv, RFX_REAL *ret,
                                            Py_ssize_t first, Py_ssize_t stop)
{
    for (Py_ssize_t i = stop - 1; i >= first; i--) {
        if (terminated[i] || (truncated && truncated[i]))
            carry = RFX_NAME(rfx_delta_at_end)(r, v, terminated, final, gamma, i);
        else
            carry = ((r[i] + gamma * ahead) - v[i]) + gl * carry;
        ahead = v[i];
        adv[i] = carry;
        ret[i] = carry + ahead;
    }
    return carry;
}

/* Four steps in which nothing ends: the sums within the four do not wait for the advantage behind them,
 *     A_{t+k} = e_k + gl^(4-k) A_{t+4},   e_k = sum_{j>=k} gl^(j-k) delta_{t+j},
 * so that the chain through the whole rollout is one product and one sum for four steps. power is gl^4, gl^3, gl^2, gl.
 */
RFX_INLINE RFX_REAL RFX_NAME(rfx_gae_four)(const RFX_REAL *r, const RFX_REAL *v, RFX_REAL carry, RFX_REAL gamma,
                                           const RFX_REAL *power, RFX_REAL *adv, RFX_REAL *ret)
{
#if defined(__GNUC__) && !defined(__clang__) && !defined(RFX_SCALAR)
    typedef RFX_REAL four __attribute__((vector_size(4 * sizeof(RFX_REAL))));
    typedef RFX_INDEX pick __attribute__((vector_size(4 * sizeof(RFX_REAL))));
    four rewards, values, ahead, d, e, p, none = {0};
    memcpy(&rewards, r, sizeof rewards);
    memcpy(&values, v, sizeof values);
    memcpy(&ahead, v + 1, sizeof ahead);
    memcpy(&p, power, sizeof p);
    d = (rewards + gamma * ahead) - values;
    d += power[3] * __builtin_shuffle(d, none, (pick){1, 2, 3, 4});
    e = d + power[2] * __builtin_shuffle(d, none, (pick){2, 3, 4, 4});
    d = e + p * carry;
    carry = e[0] + power[0] * carry;
    values += d;
    memcpy(adv, &d, sizeof d);
    memcpy(ret, &values, sizeof values);
    return carry;
#else
    RFX_REAL d[4], e[4];
    for (int k = 0; k < 4; k++)
        d[k] = (r[k] + gamma * v[k + 1]) - v[k];
    for (int k = 0; k < 4; k++)
        e[k] = d[k] + power[3] * (k < 3 ? d[k + 1] : 0);
    for (int k = 0; k < 4; k++) {
        adv[k] = (e[k] + power[2] * (k < 2 ? e[k + 2] : 0)) + power[k] * carry;
        ret[k] = adv[k] + v[k];
    }
    return adv[0];
#endif
}

/* One step of n environments, or n steps if nothing comes from behind, as if no episode ended. behind is the row of
 * advantages of the next step, or NULL.
 */
RFX_INLINE void RFX_NAME(rfx_gae_row)(const RFX_REAL *restrict r, const RFX_REAL *restrict v, const RFX_REAL *restrict ahead,
                                      const RFX_REAL *restrict behind, RFX_REAL gamma, RFX_REAL gl, RFX_REAL *restrict adv,
                                      RFX_REAL *restrict ret, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        RFX_REAL a = (r[i] + gamma * ahead[i]) - v[i];
        adv[i] = a = behind ? a + gl * behind[i] : a;
        ret[i] = a + v[i];
    }
}

/* The same n advantages where an episode ended. */
RFX_INLINE void RFX_NAME(rfx_gae_ends)(const RFX_REAL *r, const RFX_REAL *v, const unsigned char *terminated,
                                       const unsigned char *truncated, const RFX_REAL *final, RFX_REAL gamma, RFX_REAL *adv,
                                       RFX_REAL *ret, Py_ssize_t n)
{
    for (Py_ssize_t i = rfx_next_end(terminated, truncated, 0, n); i < n; i = rfx_next_end(terminated, truncated, i + 1, n)) {
        adv[i] = RFX_NAME(rfx_delta_at_end)(r, v, terminated, final, gamma, i);
        ret[i] = adv[i] + v[i];
    }
}

/* One environment: n steps side by side in memory. truncated and final are NULL where nothing is truncated. */
RFX_CLONES static void RFX_NAME(rfx_gae_one)(const RFX_REAL *r, const RFX_REAL *v, const unsigned char *terminated,
                                             const unsigned char *truncated, const RFX_REAL *final, RFX_REAL last_value,
                                             RFX_REAL gamma, RFX_REAL lam, RFX_REAL *adv, RFX_REAL *ret, Py_ssize_t n)
{
    RFX_REAL gl = gamma * lam, power[4] = {(gl * gl) * (gl * gl), gl * gl * gl, gl * gl, gl}, carry = 0;
    int ends, cuts = 0;
    Py_ssize_t t = n - 1;
    if (n <= 0)
        return;
    if (gl == 0) { /* not 0 times what follows */
        RFX_NAME(rfx_gae_row)(r, v, v + 1, NULL, gamma, gl, adv, ret, n - 1);
        RFX_NAME(rfx_gae_row)(r + t, v + t, &last_value, NULL, gamma, gl, adv + t, ret + t, 1);
        RFX_NAME(rfx_gae_ends)(r, v, terminated, truncated, final, gamma, adv, ret, n);
        return;
    }
    carry = RFX_NAME(rfx_gae_steps)(r, v, terminated, truncated, final, last_value, 0, gamma, gl, adv, ret, t, n);
    for (; t >= 4; t -= 4) {
        memcpy(&ends, terminated + t - 4, 4);
        if (truncated)
            memcpy(&cuts, truncated + t - 4, 4);
        if (ends | cuts)
            carry = RFX_NAME(rfx_gae_steps)(r, v, terminated, truncated, final, v[t], carry, gamma, gl, adv, ret, t - 4, t);
        else
            carry = RFX_NAME(rfx_gae_four)(r + t - 4, v + t - 4, carry, gamma, power, adv + t - 4, ret + t - 4);
    }
    RFX_NAME(rfx_gae_steps)(r, v, terminated, truncated, final, v[t], carry, gamma, gl, adv, ret, 0, t);
}

/* Time-major rows of n environments, steps of them. truncated and final are NULL where nothing is truncated. */
RFX_CLONES static void RFX_NAME(rfx_gae_rows)(const RFX_REAL *r, const RFX_REAL *v, const unsigned char *terminated,
                                              const unsigned char *truncated, const RFX_REAL *final, const RFX_REAL *last_values,
                                              RFX_REAL gamma, RFX_REAL lam, RFX_REAL *adv, RFX_REAL *ret, Py_ssize_t steps,
                                              Py_ssize_t n)
{
    RFX_REAL gl = gamma * lam;
    for (Py_ssize_t t = steps - 1; t >= 0; t--) {
        Py_ssize_t o = t * n;
        const RFX_REAL *ahead = t == steps - 1 ? last_values : v + o + n;
        if (t == steps - 1 || gl == 0)
            RFX_NAME(rfx_gae_row)(r + o, v + o, ahead, NULL, gamma, gl, adv + o, ret + o, n);
        else
            RFX_NAME(rfx_gae_row)(r + o, v + o, ahead, adv + o + n, gamma, gl, adv + o, ret + o, n);
        RFX_NAME(rfx_gae_ends)(r + o, v + o, terminated + o, truncated ? truncated + o : NULL, final ? final + o : NULL, gamma,
                               adv + o, ret + o, n);
    }
}

/* Numbers to flags; whether all were 0 or 1. */
RFX_CLONES static int RFX_NAME(rfx_flags)(const RFX_REAL *restrict x, unsigned char *restrict out, Py_ssize_t n)
{
    RFX_INDEX bad = 0;
    for (Py_ssize_t i = 0; i < n; i++)
        bad |= (x[i] != 0) & (x[i] != 1);
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = x[i] != 0;
    return !bad;
}
