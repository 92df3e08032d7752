"""CRC-32/MPEG-2, C level only: see crc.pxd."""
