cimport cython

from trio_fastws._layout cimport flag
from trio_fastws._transport.linger cimport Linger
from trio_fastws._transport.contract cimport Link, Dispatcher
from .outbox cimport Outbox

from .pressure cimport Pressure
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int BY_OUTBOX, BY_BUDGET, CLOSE


cdef class Connection(Pressure):
    cdef public object _request
    cdef public object _remote_address
    cdef public object response
    cdef public object subprotocol
    cdef public object session
    cdef public flag _peer_ended

    @cython.locals(shared=Shared, dispatcher=Dispatcher)
    cpdef _open(self, Py_ssize_t start, Py_ssize_t stop)
    cpdef _forget_request(self)
    @cython.locals(outbox=Outbox, dispatcher=Dispatcher)
    cpdef _start_close(self, code, str reason)
    cpdef _set_result(self, code, reason)
    @cython.locals(dispatcher=Dispatcher)
    cdef Dispatcher _begin_closing(self)
    cdef _begin_ending(self)
    @cython.locals(link=Link)
    cpdef _on_eof(self, error)
    cpdef _abort(self, reason)
    @cython.locals(shared=Shared, dispatcher=Dispatcher, link=Link, left=double)
    cdef _finish(self, bint lingering)
    cdef _wake_all(self)
    cdef _wake_senders(self)
    cdef _disconnected(self)
    cdef _say_closed(self, Dispatcher dispatcher)
    cpdef double _on_deadline(self, double now) except? -1
