cimport cython

from trio_fastws._transport.contract cimport Dispatcher
from trio_fastws._transport.peak cimport Peak
from trio_fastws._transport.wheel cimport Timer

# Numbers of the module as C has them: not seen from Python.
cdef Py_ssize_t WORTH_GIVING_BACK
cdef Py_ssize_t MOST_FAVOURED, AT_ONCE, SCANNED, JUDGED
cdef double FAVOUR_SECONDS, TICK_SECONDS


@cython.final
cdef class Case:
    cdef double since
    cdef double favoured
    cdef bint tried


@cython.final
cdef class Budget(Timer):
    cdef readonly Py_ssize_t total
    cdef readonly Py_ssize_t held
    cdef readonly Py_ssize_t closed
    cdef readonly int step
    cdef Py_ssize_t _soft
    cdef Py_ssize_t _tight
    cdef Py_ssize_t _holders
    cdef double _seconds
    cdef Dispatcher _dispatcher
    cdef list _connections
    cdef Py_ssize_t _cursor
    cdef Py_ssize_t _most
    cdef bint _pressed
    cdef bint _warned
    cdef object _cases
    cdef object _queue
    cdef dict _favoured
    cdef Py_ssize_t _good
    cdef Py_ssize_t _bad
    cdef Peak _peak

    cpdef count_paused(self)
    @cython.locals(peak=Peak)
    cdef charge(self, holder, Py_ssize_t before, Py_ssize_t held)
    @cython.locals(left=double)
    cdef Py_ssize_t get_share(self) except -1
    cdef _judge(self, holder, bint grew)
    @cython.locals(case=Case)
    cdef _open_case(self, holder)
    cdef _close_case(self, holder, bint good)
    cdef _count(self, bint good)
    @cython.locals(most=Py_ssize_t)
    cdef bint _may_favour(self) except? -1
    @cython.locals(case=Case)
    cdef _favour_next(self)
    @cython.locals(case=Case)
    cdef _end_favours(self, double now)
    @cython.locals(share=Py_ssize_t, start=Py_ssize_t)
    cdef _scan(self)
    @cython.locals(case=Case)
    cdef _end_cases(self, double now)
    cdef bint _may_go_on(self, Case case) except? -1
    cdef _close(self, holder)
    cdef _relax(self)
    cdef _set_pressed(self, bint pressed)
    cpdef close(self)
