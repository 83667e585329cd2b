"""Servers: from a listening socket to a WebSocket and its handler."""
