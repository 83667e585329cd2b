cimport cython


cdef class Timer:
    cdef long long _due
    cdef Timer _following
    cdef Timer _preceding

    cdef _init_timer(self)
    cpdef double _on_deadline(self, double now) except? -1
    cpdef _on_failure(self, error)


cdef class Wheel:
    cdef dict _slots
    cdef list _ticks
    cdef Timer _exact
    cdef double _exact_at

    @cython.locals(tick="long long", head=Timer, last=Timer)
    cpdef schedule(self, Timer timer, double deadline)
    cpdef schedule_exactly(self, Timer timer, double deadline)
    cpdef cancel(self, Timer timer)
    @cython.locals(before=Timer, after=Timer)
    cdef _unlink(self, Timer timer)
    @cython.locals(ticks=list, head=Timer)
    cpdef double next_deadline(self) except? -1
    @cython.locals(head=Timer)
    cdef _drop_first(self)
    @cython.locals(head=Timer, timer=Timer, exact=Timer, count=int, deadline=double)
    cpdef bint run(self, double now, double until) except? -1
    cdef double _after(self, double deadline, double now)
