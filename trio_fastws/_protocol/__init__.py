"""The protocol, without I/O: no trio, no socket, no clock, no logging.

Imports nothing but itself, the standard library and, in the handshake, httptools.
"""
