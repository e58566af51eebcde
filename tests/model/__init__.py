"""Tests of networks, training, metrics and the shipped model."""
