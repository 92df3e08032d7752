"""Octets at the door: any buffer, the CDR encapsulation header, the checksum."""

from rfx.kernels.crc cimport crc32_mpeg2_bytes

from rfx.errors import CodecError, DTypeError


def as_bytes(data):
    """Return a flat read-only view of bytes, bytearray, memoryview or a uint8 array; DTypeError for anything else."""
    try:
        flat = memoryview(data)
        return flat if flat.format == "B" and flat.ndim == 1 and flat.c_contiguous else flat.cast("B")
    except TypeError as error:
        raise DTypeError(f"expected contiguous bytes, got {type(data).__name__}") from error


def body_is_swapped(const unsigned char[::1] data, Py_ssize_t body, str name):
    """Check the encapsulation header and the length; whether the body is big endian.

    Senders may pad the whole to four bytes, so up to three bytes of padding are let through.
    """
    cdef Py_ssize_t size = data.shape[0]
    if size < 4:
        raise CodecError(f"expected {name} in {4 + body} bytes of CDR, got {size}")
    if data[0] != 0 or data[1] > 1:
        raise CodecError(f"expected a CDR header 00 00 or 00 01 before {name}, got {bytes(data[:4]).hex(' ')}")
    if not (size == 4 + body or (size == (4 + body + 3) // 4 * 4)):
        raise CodecError(f"expected {name} in {4 + body} bytes of CDR, got {size}")
    return data[1] == 0


def crc32_mpeg2(data):
    """Return the CRC-32/MPEG-2 of bytes (polynomial 0x04C11DB7, start 0xFFFFFFFF); 0x0376E6E7 for b"123456789"."""
    cdef const unsigned char[::1] source = as_bytes(data)
    if source.shape[0] == 0:
        return 0xFFFFFFFF
    return crc32_mpeg2_bytes(&source[0], source.shape[0], 0xFFFFFFFFU)
