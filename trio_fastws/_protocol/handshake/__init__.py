"""The opening handshake (RFC 6455 4), of both sides.

Two machines without I/O, `accepting` for a server and `dialling` for a client, and
the rules they keep, each in the module that is named after what it is about.
"""
