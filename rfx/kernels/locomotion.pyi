"""What a walking robot observes; for use from Cython, see locomotion.pxd."""
