from rfx.envs.batched cimport BatchedEnv


cdef class CartPoleBatch(BatchedEnv):
    pass


cdef class PendulumBatch(BatchedEnv):
    pass


cdef class MountainCarBatch(BatchedEnv):
    pass


cdef class MountainCarContinuousBatch(BatchedEnv):
    pass


cdef class AcrobotBatch(BatchedEnv):
    pass
