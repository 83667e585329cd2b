cimport cython

from trio_fastws._layout cimport flag
from .contexts cimport Contexts
from .wheel cimport Timer, Wheel


cdef class Owner(Timer):
    cdef public object _context
    cdef public Link _link
    cdef public int _place
    cdef public flag _direct
    cdef public flag _is_marked
    cdef public flag _is_deferred

    cdef _init_owner(self, Link link=*)
    cpdef _get_buffer(self)
    cpdef _on_data(self, Py_ssize_t start, Py_ssize_t stop)
    cpdef _on_filled(self, Py_ssize_t size)
    cpdef _on_eof(self, error)
    cpdef _on_hangup(self)
    cpdef _on_half_closed(self)
    cpdef _on_writable(self)
    cpdef _on_mark(self)
    cpdef _on_deferred(self)
    cpdef dict _describe(self)


cdef class Link:
    cdef public Dispatcher dispatcher
    cdef public Owner owner
    cdef public flag broken
    cdef public unsigned int unsent_limit

    cdef _init_link(self, Dispatcher dispatcher, Owner owner)
    cpdef adopt(self, Owner owner)
    cpdef _release(self)
    cpdef Py_ssize_t write(self, list parts, Py_ssize_t size) except -1
    cpdef limit_unsent(self, size)
    cpdef _limit_unsent(self, unsigned int size)
    cpdef want(self, bint read, bint write)
    cpdef end_output(self, bint unread=*)
    cpdef send_close_notify(self)
    cpdef Py_ssize_t unacknowledged(self) except -1
    cpdef bint is_lost(self) except? -1
    cpdef long long acknowledged(self, bint on_the_way=*) except? -1
    cpdef bint flushing(self) except? -1
    cpdef long long passed_on(self, bint waiting=*) except? -1
    cpdef close(self)
    cpdef on_ready(self, int events)
    cpdef read_now(self)
    cpdef peer_address(self)
    cpdef local_address(self)


cdef class Dispatcher:
    cdef public bytearray buffer
    cdef public object window
    cdef public object narrow
    cdef public Wheel wheel
    cdef public object clock
    cdef readonly Contexts contexts
    cdef public double now
    cdef public long long number
    cdef public double until
    cdef public Owner corked
    cdef public list cork
    cdef public Py_ssize_t cork_size
    cdef public object unpark
    cdef public double wake_at
    cdef public flag woken
    cdef public Py_ssize_t lingering
    cdef public object on_lingered
    cdef list _marked
    cdef list _deferred

    cpdef close(self)
    cpdef narrow_reads(self, bint narrow)
    cpdef begin(self, double seconds=*)
    cpdef double time(self) except? -1
    cpdef mark(self, Owner owner)
    cpdef defer(self, Owner owner)
    cpdef bint idle(self)
    cpdef schedule(self, Timer timer, double deadline)
    cpdef schedule_exactly(self, Timer timer, double deadline)
    cdef _wake_earlier(self)
    @cython.locals(marked=list, index=Py_ssize_t, owner=Owner)
    cpdef bint flush(self) except? -1
    @cython.locals(deferred=list, index=Py_ssize_t, owner=Owner)
    cpdef run_deferred(self)
    @cython.locals(late=bint)
    cpdef bint tick(self) except? -1
