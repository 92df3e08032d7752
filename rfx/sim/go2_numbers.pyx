"""A task of the batched Go2 as the structures of C that its kernels take."""

cimport numpy as cnp
from libc.math cimport cos
from libc.stdint cimport int64_t

from rfx.robots.go2 import GO2
from rfx.sim.go2_tables import assembly_table, reward_table, task_table

cnp.import_array()


cdef class Go2Numbers:
    """What is the same for all environments; the base of :class:`rfx.sim.go2_core.Go2Core`."""

    def __init__(self, task, start_height, heights):
        self.max_steps, self.substeps = task.max_steps, task.substeps
        self.set_ground(task.ground, heights)
        self.set_reward(task)
        self.set_task(task, start_height)
        self.set_layout(task)

    def __repr__(self):
        return f"{type(self).__name__}({self.obs_dim} numbers observed)"

    cdef set_ground(self, terrain, heights):
        self.ground.levels, self.ground.kinds = terrain.levels, len(terrain.kinds)
        self.ground.tile, self.ground.border = terrain.tile, terrain.border
        self.kept = [heights]
        if heights is None:
            return
        cdef const double[:, ::1] field = heights
        self.ground.heights, self.ground.rows, self.ground.columns = &field[0, 0], field.shape[0], field.shape[1]
        self.ground.x0, self.ground.y0 = -0.5 * terrain.size[0], -0.5 * terrain.size[1]
        self.ground.step = terrain.size[0] / (field.shape[1] - 1)

    cdef set_reward(self, task):
        cdef Py_ssize_t i
        weights, limits, numbers = reward_table(task)
        for i in range(TERMS):
            self.weights[i] = weights[i] * task.dt
        self.reward.dt, self.reward.sigma, self.reward.height = task.dt, numbers[0], numbers[1]
        self.reward.stride, self.reward.deadband, self.reward.most_force = numbers[2], numbers[3], numbers[4]
        for i in range(MOTORS):
            self.reward.pose[i], self.reward.lower[i], self.reward.upper[i] = limits[0, i], limits[1, i], limits[2, i]
            self.reward.speed[i], self.reward.effort[i] = limits[3, i], limits[4, i]
        self.only_positive = task.rewards.only_positive

    cdef set_task(self, task, double start_height):
        cdef TaskModel* t = &self.task
        given = task_table(task)
        t.dt, t.episode, t.height = task.dt, task.episode_seconds, start_height
        t.forwards[0], t.forwards[1] = given["forwards"]
        t.sideways[0], t.sideways[1] = given["sideways"]
        t.turning[0], t.turning[1] = given["turning"]
        t.heading[0], t.heading[1] = given["heading"]
        t.friction[0], t.friction[1] = given["friction"]
        t.mass[0], t.mass[1] = given["mass"]
        t.strength[0], t.strength[1] = given["strength"]
        t.delay[0], t.delay[1] = given["delay"]
        t.follow_heading, t.heading_gain = given["follow_heading"], given["heading_gain"]
        t.deadband, t.standing = given["deadband"], given["standing"]
        t.command_steps, t.push_steps = given["command_steps"], given["push_steps"]
        t.push, t.spin = given["push"], given["spin"]
        t.place, t.yaw, t.joints, t.speed = given["place"], given["yaw"], given["joints"], given["speed"]
        t.curriculum, t.start_level = given["curriculum"], given["start_level"]
        self.by_contact = task.termination.trunk_contact
        self.least_down = cos(task.termination.max_tilt)
        self.least_height = task.termination.min_height

    cdef set_layout(self, task):
        cdef Py_ssize_t i
        layout = task.policy
        index, noise, bound, scale = assembly_table(task)
        self.kept += [index, noise, bound, scale]
        self.obs_dim = self.assembly.size = layout.observation.size
        self.assembly.index = <const int64_t*>cnp.PyArray_DATA(index)
        self.assembly.noise = <const double*>cnp.PyArray_DATA(noise)
        self.assembly.bound = <const double*>cnp.PyArray_DATA(bound)
        self.assembly.scale = <const double*>cnp.PyArray_DATA(scale)
        self.assembly.clip, self.period = layout.observation.clip, layout.gait_period
        self.clip = layout.action.clip
        pose, reach = layout.action.in_motor_order("default_pose"), layout.action.in_motor_order("scale")
        kp, kd, lower, upper = layout.action.in_motor_order("kp"), layout.action.in_motor_order("kd"), GO2.lower, GO2.upper
        for i in range(MOTORS):
            self.pose[i], self.scale[i], self.kp[i], self.kd[i] = pose[i], reach[i], kp[i], kd[i]
            self.lower[i], self.upper[i] = lower[i], upper[i]
            self.motors[i] = GO2.index_of(layout.action.joint_names[i])
