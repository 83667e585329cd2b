cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol._xor cimport text_size
from trio_fastws._layout cimport flag

from .output cimport Output
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int BY_INBOX
cdef Py_ssize_t ITEM_OVERHEAD


cdef class Inbox(Output):
    cdef public object _inbox
    cdef public object _receiver
    cdef public Py_ssize_t _inbox_size
    cdef public unsigned char _paused
    cdef public flag _receiving

    cdef _init_inbox(self, Shared shared, Endpoint endpoint)
    cpdef _pause(self, int why)
    cpdef _resume(self, int why)
    cpdef _forget_request(self)
    @cython.locals(limit=Py_ssize_t)
    cdef _deliver(self, message)
    cpdef _wake_receiver(self)
    cpdef _take(self)
    @cython.locals(shared=Shared)
    cpdef bint _begin_receiving(self) except? -1
    cpdef _check_end(self, bint iterating)
    cpdef bint _must_wait(self, bint iterating) except? -1
    cdef bint _has_more(self) except? -1
    cpdef _stream_on(self)
    cpdef _skip_message(self, bint begun)


cdef Py_ssize_t get_size(item) except -1
