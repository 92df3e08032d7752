"""Brightness, contrast and saturation of images, C level only: see image_color.pxd."""
