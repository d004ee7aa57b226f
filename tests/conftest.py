# SPDX-License-Identifier: Apache-2.0
import pytest

from crossforge.data import DataError


@pytest.fixture(scope="session")
def refusal():
    """Call a function and return the sentence of the DataError it must raise."""

    def call(function, *args, **kwargs):
        with pytest.raises(DataError) as caught:
            function(*args, **kwargs)
        return str(caught.value)

    return call
