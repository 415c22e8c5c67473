"""Classifiers: external detectors of names and places behind `promptward.ports.Classifier`."""

from __future__ import annotations

from promptward_ports.classifiers.opening import open_classifier

__all__ = ["open_classifier"]
