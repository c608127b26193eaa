"""Servlets: parse, call one handler, answer."""
