"""What is drawn for a walking robot, and its actions; for use from Cython, see locomotion_task.pxd."""
