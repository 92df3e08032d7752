"""What the faces over rollouts share: how arrays, masks and numbers come in."""

cimport numpy as cnp


cdef int real_type(tuple values) except -1
cdef cnp.ndarray first_array(object value, str name, int type_num)
cdef cnp.ndarray like(object value, str name, cnp.ndarray model)
cdef cnp.ndarray mask_like(object value, str name, cnp.ndarray model)
cdef cnp.ndarray last_row(object value, str name, cnp.ndarray model, bint env_major)
cdef bint is_env_major(object time_axis, cnp.ndarray model) except -1
cdef double fraction(object value, str name) except -1.0
cdef double clip_of(object value, str name) except -1.0
cdef cnp.ndarray empty_like(cnp.ndarray model)
cdef cnp.ndarray one_out(object out, str name, cnp.ndarray model, tuple inputs)
cdef tuple pair_out(object out, cnp.ndarray model, tuple inputs)
