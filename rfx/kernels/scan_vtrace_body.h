/* Included by scan_vtrace.h once for float and once for double. */

/* rho_bar, c_bar and pg_bar may be inf: no clip. */
typedef struct {
    RFX_REAL gamma, lam, rho_bar, c_bar, pg_bar;
} RFX_NAME(rfx_vtrace);

/* One step. ratio is exp(log_rho); ahead and target are V and vs of the next step, final what an end has instead. */
RFX_INLINE void RFX_NAME(rfx_vtrace_step)(RFX_NAME(rfx_vtrace) p, RFX_REAL ratio, RFX_REAL r, RFX_REAL v, RFX_REAL ahead,
                                          RFX_REAL target, RFX_REAL *vs, RFX_REAL *adv)
{
    RFX_REAL rho = p.rho_bar < ratio ? p.rho_bar : ratio;
    RFX_REAL c = p.c_bar < ratio ? p.c_bar : ratio;
    RFX_REAL g = p.pg_bar < ratio ? p.pg_bar : ratio;
    RFX_REAL delta = rho * ((r + p.gamma * ahead) - v);
    RFX_REAL q = p.lam == 1 ? target : p.lam * target + (1 - p.lam) * ahead;
    *vs = (v + delta) + (p.gamma * (p.lam * c)) * (target - ahead);
    *adv = g * ((r + p.gamma * q) - v);
}

/* One step at which the episode ends: final is V of the state it led to, read only where it is truncated. */
RFX_INLINE void RFX_NAME(rfx_vtrace_end)(RFX_NAME(rfx_vtrace) p, RFX_REAL ratio, RFX_REAL r, RFX_REAL v, int terminated,
                                         const RFX_REAL *final, RFX_REAL *vs, RFX_REAL *adv)
{
    RFX_REAL error = terminated ? r - v : (r + p.gamma * *final) - v;
    *vs = v + (p.rho_bar < ratio ? p.rho_bar : ratio) * error;
    *adv = (p.pg_bar < ratio ? p.pg_bar : ratio) * error;
}

/* n environments at one step; target is the row of vs behind it, or that of ahead itself after the last step. */
RFX_INLINE void RFX_NAME(rfx_vtrace_row)(RFX_NAME(rfx_vtrace) p, const RFX_REAL *restrict log_rho, const RFX_REAL *restrict r,
                                         const RFX_REAL *restrict v, const RFX_REAL *restrict ahead,
                                         const RFX_REAL *restrict target, RFX_REAL *restrict vs, RFX_REAL *restrict adv,
                                         Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        RFX_NAME(rfx_vtrace_step)(p, RFX_EXP(log_rho[i]), r[i], v[i], ahead[i], target[i], &vs[i], &adv[i]);
}

/* Time-major rows of n environments. truncated and final are NULL where nothing is truncated. */
RFX_CLONES static void RFX_NAME(rfx_vtrace_rows)(const RFX_NAME(rfx_vtrace) *given, const RFX_REAL *log_rho, const RFX_REAL *r,
                                                 const RFX_REAL *v, const unsigned char *terminated,
                                                 const unsigned char *truncated, const RFX_REAL *final,
                                                 const RFX_REAL *last_values, RFX_REAL *vs, RFX_REAL *adv, Py_ssize_t steps,
                                                 Py_ssize_t n)
{
    RFX_NAME(rfx_vtrace) p = *given, whole = p;
    whole.lam = 1;
    const RFX_REAL *ahead = last_values, *target = last_values;
    for (Py_ssize_t t = steps - 1; t >= 0; t--) {
        Py_ssize_t o = t * n;
        const unsigned char *end = terminated + o, *cut = truncated ? truncated + o : NULL;
        if (p.lam == 1)
            RFX_NAME(rfx_vtrace_row)(whole, log_rho + o, r + o, v + o, ahead, target, vs + o, adv + o, n);
        else
            RFX_NAME(rfx_vtrace_row)(p, log_rho + o, r + o, v + o, ahead, target, vs + o, adv + o, n);
        for (Py_ssize_t i = rfx_next_end(end, cut, 0, n); i < n; i = rfx_next_end(end, cut, i + 1, n))
            RFX_NAME(rfx_vtrace_end)(p, RFX_EXP(log_rho[o + i]), r[o + i], v[o + i], end[i], final ? final + o + i : NULL,
                                     &vs[o + i], &adv[o + i]);
        ahead = v + o;
        target = vs + o;
    }
}

/* One environment: n steps side by side in memory. */
RFX_CLONES static void RFX_NAME(rfx_vtrace_one)(const RFX_NAME(rfx_vtrace) *given, const RFX_REAL *log_rho, const RFX_REAL *r,
                                                const RFX_REAL *v, const unsigned char *terminated,
                                                const unsigned char *truncated, const RFX_REAL *final, RFX_REAL last_value,
                                                RFX_REAL *vs, RFX_REAL *adv, Py_ssize_t n)
{
    enum { SPAN = 256 };
    RFX_NAME(rfx_vtrace) p = *given;
    RFX_REAL ratio[SPAN], ahead = last_value, target = last_value;
    for (Py_ssize_t stop = n; stop > 0; stop -= SPAN) {
        Py_ssize_t first = stop > SPAN ? stop - SPAN : 0;
        for (Py_ssize_t t = first; t < stop; t++)
            ratio[t - first] = RFX_EXP(log_rho[t]);
        for (Py_ssize_t t = stop - 1; t >= first; t--) {
            if (terminated[t] || (truncated && truncated[t]))
                RFX_NAME(rfx_vtrace_end)(p, ratio[t - first], r[t], v[t], terminated[t], final ? final + t : NULL, &vs[t], &adv[t]);
            else
                RFX_NAME(rfx_vtrace_step)(p, ratio[t - first], r[t], v[t], ahead, target, &vs[t], &adv[t]);
            ahead = v[t];
            target = vs[t];
        }
    }
}

/* exp of each of n numbers; x and out may be the same. */
RFX_CLONES static void RFX_NAME(rfx_exp_row)(const RFX_REAL *x, RFX_REAL *out, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = RFX_EXP(x[i]);
}
