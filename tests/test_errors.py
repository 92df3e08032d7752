"""rfx.errors: one hierarchy, and each error also a builtin."""

import inspect

import pytest

from rfx import errors

BUILTINS = (ValueError, TypeError, RuntimeError, TimeoutError, ConnectionError)
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c is not errors.RfxError]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_each_error_is_ours_and_a_builtin(cls):
    assert issubclass(cls, errors.RfxError)
    assert issubclass(cls, BUILTINS)
    assert cls.__doc__
