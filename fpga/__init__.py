# SPDX-License-Identifier: Apache-2.0
"""Training on an FPGA: the controllers with tiles in logic, the link to a host, boards."""
