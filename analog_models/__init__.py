# SPDX-License-Identifier: Apache-2.0
"""The analog half: device, cell, converter and tile models. Imports nothing else of the project."""
