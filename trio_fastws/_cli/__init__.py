"""The program ``trio-fastws``, on the public face alone."""
