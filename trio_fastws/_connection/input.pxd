cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._layout cimport flag
from trio_fastws._transport.contexts cimport Contexts
from trio_fastws._transport.contract cimport Link, Dispatcher
from .outbox cimport Outbox

from .holding cimport Holding
from .shared cimport Shared


cdef class Input(Holding):
    cdef public double _heard
    cdef public object _probe
    cdef public double _latency
    cdef public double _since
    cdef public flag _ending
    cdef public flag _finished

    cdef _init_input(self, Shared shared, Endpoint endpoint)
    cpdef _on_user_error(self, str where, error)
    @cython.locals(dispatcher=Dispatcher)
    cpdef _on_data(self, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(dispatcher=Dispatcher)
    cpdef _on_filled(self, Py_ssize_t size)
    @cython.locals(dispatcher=Dispatcher)
    cpdef _on_deferred(self)
    cdef _read_again(self, Dispatcher dispatcher)
    @cython.locals(contexts=Contexts)
    cdef _work(self, Dispatcher dispatcher)
    cdef _leave(self, Dispatcher dispatcher)
    @cython.locals(endpoint=Endpoint, checked="unsigned int")
    cdef _drain(self, Dispatcher dispatcher)
    cdef _call_on_message(self, on_message, message)
    cdef _on_event(self, event)
    @cython.locals(outbox=Outbox)
    cdef _on_ping(self, ping)
    @cython.locals(dispatcher=Dispatcher)
    cdef _on_pong(self, pong)
    cdef _on_piece(self, piece)
    @cython.locals(dispatcher=Dispatcher)
    cpdef _pause(self, int why)
    @cython.locals(dispatcher=Dispatcher)
    cpdef _resume(self, int why)
    @cython.locals(link=Link, outbox=Outbox)
    cdef _update_interest(self)
