"""What moves bytes: trio and sockets, ignorant of frames."""
