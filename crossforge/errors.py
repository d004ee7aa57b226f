# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can mend; the message is one sentence that says how."""

__all__ = ["DataError"]


class DataError(ValueError):
    """A data set, or a part of it, is not what it must be."""
