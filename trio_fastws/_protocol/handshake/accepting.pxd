cimport cython

from .request cimport Request, read_request
from .server cimport build_accept, check_upgrade, is_upgrade


cdef class ServerHandshake:
    cdef Py_ssize_t _max_fields
    cdef Py_ssize_t _max_head
    cdef object _origins
    cdef object _partial
    cdef readonly Request request
    cdef readonly bint upgrade
    cdef readonly bytes early

    @cython.locals(end=Py_ssize_t)
    cpdef bint receive(self, bytearray data, Py_ssize_t start, Py_ssize_t stop) except -1
    cpdef bint receive_end(self) except -1
    @cython.locals(request=Request)
    cdef _judge(self, bytes head)
    cpdef bytes accept(self, subprotocol=*, extensions=*, headers=*)
    @cython.locals(request=Request)
    cpdef require_upgrade(self)
    @cython.locals(request=Request)
    cpdef bytes answer(self, response)
    cpdef bytes refuse(self, error)
