# SPDX-License-Identifier: Apache-2.0
"""Co-simulation: gateware against golden models."""
