cimport cython

from trio_fastws._protocol.flag cimport flag
from .contract cimport Link, Owner, Turn


cdef class Linger(Owner):
    cdef double _deadline
    cdef double _soon
    cdef flag _unread

    @cython.locals(turn=Turn)
    cdef _close(self)
