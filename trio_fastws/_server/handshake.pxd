cimport cython

from trio_fastws._protocol.handshake.request cimport Request, parse_request
from trio_fastws._protocol.handshake.server cimport build_accept, check_upgrade, is_upgrade
from trio_fastws._transport.epoll cimport EpollDispatcher, SocketLink
from trio_fastws._transport.contract cimport Link, Owner

from .answering cimport Answer
from .admission cimport Admission


cdef class Opening(Owner):
    cdef Admission _admission
    cdef public double deadline
    cdef public bint closed
    cdef object _head
    cdef bytes _early
    cdef Request _request
    cdef public object scope

    @cython.locals(
        link=Link, data=bytearray, end=Py_ssize_t, admission=Admission,
    )
    cpdef _on_data(self, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(admission=Admission, request=Request)
    cdef _on_head(self, bytes head, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(link=Link)
    cdef _ask(self, Request request, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(link=Link, request=Request, stop=Py_ssize_t)
    cpdef on_decided(self, response)
    cpdef on_failed(self, error)
    @cython.locals(admission=Admission, link=Link)
    cdef _decide(self, Request request, answer, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(admission=Admission)
    cdef tuple _accept(self, Request request)
    cdef _refuse(self, error)
    cpdef refuse_for_shutdown(self)
    cdef _lose(self, error)
    @cython.locals(link=Link, request=Request)
    cdef _answer(self, response)
    cpdef double _on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self)
    @cython.locals(link=Link)
    cdef _leave(self)


@cython.locals(dispatcher=EpollDispatcher, opening=Opening)
cpdef open_socket(Admission admission, int fd)
