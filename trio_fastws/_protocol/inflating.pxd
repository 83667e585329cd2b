cimport cython

from ._xor cimport check_text, unmask, unmask_in_place
from trio_fastws._protocol.deflate.context cimport DeflateContext
from .messages cimport MessageParser

# Numbers of the module as C has them: not seen from Python.
cdef int TEXT


cdef class CompressedParser(MessageParser):
    @cython.locals(
        deflate=DeflateContext, at=Py_ssize_t, take=Py_ssize_t, phase=int,
        ended=bint, chunk=bytes, data=bytes, streams=int,
    )
    cdef _read_deflated(self)
    @cython.locals(size=Py_ssize_t, final=bint)
    cdef _take_inflated(self, bytes data, bint busy)


cdef _read_text(bytes data, bint as_bytes)
