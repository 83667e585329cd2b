cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._transport.contract cimport Dispatcher, Link

from .connection cimport Connection
from .shared cimport Shared


cdef class Agreed:
    cdef readonly object request
    cdef readonly object subprotocol
    cdef readonly object deflate
    cdef readonly bytes accept
    cdef readonly object response
    cdef readonly object session


@cython.locals(
    dispatcher=Dispatcher, endpoint=Endpoint, connection=Connection, stop=Py_ssize_t
)
cpdef open_connection(Shared shared, Link link, Agreed agreed, bytes early)
