cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.handshake.request cimport Request
from trio_fastws._transport.contract cimport Link

from trio_fastws._connection.connection cimport Connection
from trio_fastws._connection.shared cimport Shared


cdef class Admission:
    cdef readonly Shared shared
    cdef readonly Py_ssize_t request_head
    cdef readonly Py_ssize_t request_fields
    cdef object message_size
    cdef object fragments
    cdef object most
    cdef Py_ssize_t most_pending
    cdef readonly double seconds
    cdef readonly object spawn
    cdef object start_handler
    cdef readonly object heads
    cdef readonly object deciding
    cdef readonly object answers
    cdef readonly object lingering
    cdef readonly Py_ssize_t accepted
    cdef readonly Py_ssize_t dropped
    cdef public bint closed
    cdef public object subprotocols
    cdef public object origins
    cdef public object on_request
    cdef public object negotiator

    cpdef list handshakes(self)
    cpdef enter(self, opening)
    cdef Py_ssize_t _count(self) except -1
    cdef object _crowd(self)
    cpdef check_open(self)
    cpdef check_admission(self)
    cpdef ask(self, opening)
    cpdef leave(self, opening)
    @cython.locals(endpoint=Endpoint, connection=Connection)
    cpdef welcome(
        self, Link link, Request request, subprotocol, agreement, bytes accept,
        Py_ssize_t start, Py_ssize_t stop,
    )
