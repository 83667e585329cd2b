from trio_fastws._protocol._xor cimport text_size
from trio_fastws._layout cimport flag
cimport cython

# Numbers of the module as C has them: not seen from Python.
cdef Py_ssize_t ITEM_OVERHEAD


@cython.final
cdef class Inbox:
    cdef public object messages
    cdef public object receiver
    cdef public Py_ssize_t size
    cdef public flag receiving
    cdef public flag skipping

    cpdef put(self, item)
    cpdef take(self)
    cpdef encode_text(self)
    cpdef clear(self)
    cpdef bint wake(self) except? -1
    cpdef stop_waiting(self, _raise_cancel)


cdef _encode(item)
cdef Py_ssize_t get_size(item) except -1
