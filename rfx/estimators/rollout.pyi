"""What the faces over rollouts share, C level only: see rollout.pxd."""
