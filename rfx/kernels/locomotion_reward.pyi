"""The terms of the reward of a walking robot; for use from Cython, see locomotion_reward.pxd."""
