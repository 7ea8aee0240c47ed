"""Requests and their answers, as HTTP has them."""
