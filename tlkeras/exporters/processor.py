"""Features of the processor that determine which quantization is fastest."""

from pathlib import Path


def has_int8_dot_products():
    """Return whether this processor has instructions for 8-bit dot products, which make int8 fast and exact.

    These instructions are VNNI on x86 and the dot product extension on Arm. If the processor cannot be queried, the
    result is True.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    except OSError:
        return True
    return bool(flags & {"avx512_vnni", "avx_vnni", "asimddp"})
