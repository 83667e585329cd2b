cimport cython

from trio_fastws._connection.opening cimport Agreed, open_connection
from trio_fastws._protocol.handshake.accepting cimport ServerHandshake
from trio_fastws._protocol.handshake.request cimport Request
from trio_fastws._transport.epoll cimport EpollDispatcher, SocketLink
from trio_fastws._transport.contract cimport Link, Owner

from .answering cimport Answer
from .admission cimport Admission


cdef class PendingHandshake(Owner):
    cdef Admission _admission
    cdef ServerHandshake _handshake
    cdef public double deadline
    cdef public bint over
    cdef public object scope
    cdef public object tls

    @cython.locals(
        link=Link, admission=Admission, handshake=ServerHandshake, complete=bint
    )
    cpdef _on_data(self, Py_ssize_t start, Py_ssize_t stop)
    @cython.locals(link=Link, handshake=ServerHandshake)
    cdef _ask(self)
    @cython.locals(link=Link)
    cpdef on_decided(self, answer)
    cpdef on_failed(self, error)
    @cython.locals(
        admission=Admission, link=Link, handshake=ServerHandshake, request=Request,
        head=bytes, agreed=Agreed,
    )
    cdef _decide(self, answer, bint check)
    cdef _refuse(self, error)
    cpdef refuse_for_shutdown(self)
    cdef _lose(self, error)
    @cython.locals(link=Link)
    cdef _answer(self, bytes data)
    cpdef double _on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self, why=*)
    @cython.locals(link=Link)
    cdef _leave(self)


@cython.locals(dispatcher=EpollDispatcher, handshake=PendingHandshake)
cpdef open_socket(Admission admission, int fd)
