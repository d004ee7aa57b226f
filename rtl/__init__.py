# SPDX-License-Identifier: Apache-2.0
"""The digital half in gateware."""
