"""Facts about the processor that decide which quantization pays."""

from pathlib import Path


def has_int8_dot_products():
    """Return whether this processor has instructions for sums of 8-bit products, which make int8 fast and exact.

    On x86 these are VNNI, on Arm the dot product extension. If the processor cannot be queried, the answer is True.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    except OSError:
        return True
    return bool(flags & {"avx512_vnni", "avx_vnni", "asimddp"})
