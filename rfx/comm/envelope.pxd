cdef class TransportEnvelope:
    cdef object name            # the key: str, or what says it when it is asked for
    cdef readonly long long sequence
    cdef readonly long long timestamp_ns
    cdef readonly object metadata
    cdef readonly object payload


cdef object shown(metadata)
cdef object read_only(payload)
