"""Measures the release build against a real API server and an AWS that answers at once. Nothing here is a test."""
