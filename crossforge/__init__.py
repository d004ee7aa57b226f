# SPDX-License-Identifier: Apache-2.0
"""Command line, data sets, experiments and reports of Crossforge."""
