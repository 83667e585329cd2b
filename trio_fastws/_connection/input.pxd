cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.flag cimport flag
from trio_fastws._transport.contexts cimport Contexts
from trio_fastws._transport.contract cimport Link, Turn
from .outbox cimport Outbox

from .holding cimport Holding
from .shared cimport Service


cdef class Input(Holding):
    cdef public double _heard
    cdef public object _probe
    cdef public double _latency
    cdef public double _since
    cdef public flag _ending
    cdef public flag _finished

    cdef _init_input(self, Service service, Endpoint endpoint)
    cpdef _on_failure(self, str where, error)
    @cython.locals(turn=Turn)
    cpdef on_data(self, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(turn=Turn)
    cpdef on_filled(self, Py_ssize_t size)
    @cython.locals(turn=Turn)
    cpdef on_continue(self)
    cdef _read_again(self, Turn turn)
    @cython.locals(contexts=Contexts)
    cdef _work(self, Turn turn)
    cdef _leave(self, Turn turn)
    @cython.locals(endpoint=Endpoint, checked="unsigned int")
    cdef _drain(self, Turn turn)
    cdef _call_on_message(self, on_message, message)
    cdef _on_event(self, event)
    @cython.locals(outbox=Outbox)
    cdef _on_ping(self, ping)
    @cython.locals(turn=Turn)
    cdef _on_pong(self, pong)
    cdef _on_piece(self, piece)
    @cython.locals(turn=Turn)
    cpdef _pause(self, int why)
    @cython.locals(turn=Turn)
    cpdef _resume(self, int why)
    @cython.locals(link=Link, outbox=Outbox)
    cdef _update_interest(self)
