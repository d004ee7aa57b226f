# SPDX-License-Identifier: Apache-2.0
"""Folding: a design's logic, word by word on one arithmetic unit, for the smallest FPGAs."""
