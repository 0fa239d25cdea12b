"""Benchmarks. See bench/run.py."""
