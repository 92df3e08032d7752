"""Import this in place of tinygrad's importorskip: small kernels are not worth tuning, nor starting workers for."""

import pytest

helpers = pytest.importorskip("tinygrad.helpers")
helpers.PARALLEL.value = 0
helpers.NOOPT.value = 1
