# SPDX-License-Identifier: Apache-2.0
"""The link to a host: frames over a serial port."""
