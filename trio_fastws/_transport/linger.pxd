cimport cython

from trio_fastws._layout cimport flag
from .contract cimport Link, Owner, Dispatcher


cdef class Linger(Owner):
    cdef double _deadline
    cdef double _soon
    cdef flag _unread

    @cython.locals(dispatcher=Dispatcher)
    cdef _close(self)
