/* V-trace over rows of environments and along one environment (Espeholt et al. 2018, eq. 1 and section 4.2).
 *
 *     ratio = exp(log_rho),  rho = min(rho_bar, ratio),  c = lambda min(c_bar, ratio),  g = min(pg_bar, ratio)
 *     vs_t  = V_t + rho_t (r_t + gamma V'_t - V_t) + gamma c_t (vs_{t+1} - V_{t+1}),   the last term only if the episode goes on
 *     adv_t = g_t (r_t + gamma q_t - V_t),   q_t = lambda vs_{t+1} + (1 - lambda) V_{t+1}, or V'_t where the episode ends
 * V'_t is 0 if terminated, final_t if truncated, else V_{t+1}. NaN in log_rho gives NaN: it is not clipped away.
 */
#ifndef RFX_SCAN_VTRACE_H
#define RFX_SCAN_VTRACE_H

#include "exp.h"
#include "exp_single.h"
#include "scan_gae.h" /* rfx_next_end */

#define RFX_REAL float
#define RFX_NAME(name) name##_f
#define RFX_EXP rfx_exp_single
#include "scan_vtrace_body.h"
#undef RFX_REAL
#undef RFX_NAME
#undef RFX_EXP
#define RFX_REAL double
#define RFX_NAME(name) name##_d
#define RFX_EXP rfx_exp
#include "scan_vtrace_body.h"
#undef RFX_REAL
#undef RFX_NAME
#undef RFX_EXP

#endif
