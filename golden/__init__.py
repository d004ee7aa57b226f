# SPDX-License-Identifier: Apache-2.0
"""The digital half in software: the integer contract, its reference machine, the fast trainer."""
