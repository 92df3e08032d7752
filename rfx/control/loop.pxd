# The public C names of the control loop: what a compiled tick needs.
from rfx.control.capsule cimport CompiledTick, make_tick, tick_fn
