"""Clients: from a URL to a WebSocket."""
