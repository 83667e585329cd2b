cimport cython

from trio_fastws._protocol.handshake.request cimport Request, parse_request
from trio_fastws._protocol.handshake.server cimport build_accept, check_upgrade, is_upgrade
from trio_fastws._transport.epoll cimport Dispatcher, SocketLink
from trio_fastws._transport.contract cimport Link, Owner

from .answering cimport Answer
from .admission cimport Reception


cdef class Opening(Owner):
    cdef Reception _reception
    cdef public double deadline
    cdef public bint closed
    cdef object _head
    cdef bytes _early
    cdef Request _request
    cdef public object scope

    @cython.locals(
        link=Link, data=bytearray, end=Py_ssize_t, reception=Reception,
    )
    cpdef on_data(self, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(reception=Reception, request=Request)
    cdef _on_head(self, bytes head, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(link=Link)
    cdef _ask(self, Request request, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(link=Link, request=Request, stop=Py_ssize_t)
    cpdef on_decided(self, response)
    cpdef on_failed(self, error)
    @cython.locals(reception=Reception, link=Link)
    cdef _decide(self, Request request, answer, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(reception=Reception)
    cdef tuple _accept(self, Request request)
    cdef _refuse(self, error)
    cpdef refuse_for_shutdown(self)
    cdef _lose(self, error)
    @cython.locals(link=Link, request=Request)
    cdef _answer(self, response)
    cpdef double on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self)
    @cython.locals(link=Link)
    cdef _leave(self)


@cython.locals(turn=Dispatcher, opening=Opening)
cpdef open_socket(Reception reception, int fd)
