"""Processes, connections and what is told of them: gunicorn carries the application."""
