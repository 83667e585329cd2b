cimport cython

from ._xor cimport unmask, unmask_in_place
from .frames cimport FrameParser


cdef class MessageParser(FrameParser):
    cdef object _binary
    cdef object _decoder
    cdef list _text
    cdef object _view
    cdef Py_ssize_t _max_message
    cdef Py_ssize_t _max_fragments
    cdef Py_ssize_t _size
    cdef Py_ssize_t _fragments
    cdef int _opcode
    cdef public bint streaming
    cdef public bint wants_buffer
    cdef readonly long long messages_received
    cdef readonly long long bytes_received

    cdef _begin_data(self)
    @cython.locals(at=Py_ssize_t, available=Py_ssize_t, take=Py_ssize_t)
    cdef _read_data(self)
    @cython.locals(kind=int, data=bytearray)
    cdef _read_whole(self, Py_ssize_t start, Py_ssize_t stop)
    cdef _end_message(self, Py_ssize_t size)
    cdef _advance(self, Py_ssize_t size)
    @cython.locals(phase=int, data=bytearray)
    cdef _collect(self, Py_ssize_t start, Py_ssize_t stop)
    cdef _decode(self, chunk, bint final)
    cdef _keep_text(self, str text)
    @cython.locals(room=Py_ssize_t)
    cdef _store(self)
    @cython.locals(have=Py_ssize_t, need=Py_ssize_t)
    cpdef get_buffer(self)
    @cython.locals(phase=int)
    cpdef filled(self, Py_ssize_t size)
    @cython.locals(final=bint)
    cdef _give_piece(self, piece)
    cdef _give_kept(self)
    @cython.locals(size=Py_ssize_t, kind=int)
    cdef _finish_message(self)
    cdef _drop_message(self)
