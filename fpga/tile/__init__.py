# SPDX-License-Identifier: Apache-2.0
"""The emulated tiles: cells in block RAM, and what works on them."""
