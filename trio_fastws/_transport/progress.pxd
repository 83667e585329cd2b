from trio_fastws._layout cimport flag

from .contract cimport Link


cdef class Progress:
    cdef public double since
    cdef public long long taken
    cdef flag _past_sent

    cpdef mark(self, Link link)
    cpdef check(self, Link link, double now)
