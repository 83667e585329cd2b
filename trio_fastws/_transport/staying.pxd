cimport cython

from trio_fastws._protocol.flag cimport flag

cdef double STAY_SECONDS
cdef int FEWEST, MOST_FAILURES


cdef class Stay:
    cdef object _quiet
    cdef public int timer
    cdef flag _allowed
    cdef double _until
    cdef int _brought
    cdef int _failures
    cdef int _skipped

    cpdef begin(self)
    cpdef bint may_wait(self, double now) except? -1
    cpdef waited(self, double now)
    cdef _judge(self, bint pays)
    cpdef close(self)
