"""Configuration of the client: Hamr's files, presets, the environment, and what they mean for a request.

Theory. `load_configuration` reads the files and merges them; `Configuration.provider` picks the gateway;
`Provider.model` says what holds for a model; `apply_compat` fits a request to it. None of it speaks HTTP.
"""

from __future__ import annotations

from .compat import Compat, apply_compat
from .interpolate import Template
from .load import Configuration, load_configuration
from .presets import PRESETS, Preset, find_preset
from .provider import ModelSettings, Provider
from .source import Source, Sourced

__all__ = [
    "PRESETS",
    "Compat",
    "Configuration",
    "ModelSettings",
    "Preset",
    "Provider",
    "Source",
    "Sourced",
    "Template",
    "apply_compat",
    "find_preset",
    "load_configuration",
]
