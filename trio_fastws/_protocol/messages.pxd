cimport cython

from trio_fastws._layout cimport flag
from ._xor cimport check_text, unmask, unmask_in_place, unmask_text
from trio_fastws._protocol.deflate.context cimport DeflateContext
from .frames cimport FrameParser
from .store cimport BinaryStore

# Numbers of the module as C has them: not seen from Python.
cdef int CONTINUATION, TEXT, BINARY
cdef long long NO_LIMIT


cdef class MessageParser(FrameParser):
    cdef public flag streaming
    cdef public flag wants_buffer
    cdef readonly DeflateContext deflate
    cdef unsigned char _opcode
    cdef unsigned char _deflated
    cdef public flag text_as_bytes
    cdef Py_ssize_t _fragments
    cdef Py_ssize_t _max_fragments
    cdef BinaryStore _binary
    cdef object _text
    cdef Py_ssize_t _max_message
    cdef Py_ssize_t _size
    cdef readonly long long messages_received
    cdef readonly long long bytes_received

    cdef _init_messages(self, role, max_message, max_fragments, DeflateContext deflate)
    @cython.locals(held=Py_ssize_t)
    cpdef Py_ssize_t memory_size(self) except -1
    cdef bint _holds(self) except -1
    cdef int _begin_data(self) except -1
    @cython.locals(at=Py_ssize_t, available=Py_ssize_t, take=Py_ssize_t)
    cdef _read_data(self)
    @cython.locals(data=bytearray)
    cdef _read_whole(self, Py_ssize_t start, Py_ssize_t stop)
    cdef _read_deflated(self)
    cdef int _end_message(self, Py_ssize_t size) except -1
    cdef int _advance(self, Py_ssize_t size) except -1
    @cython.locals(phase=int, data=bytearray, final=bint)
    cdef _collect(self, Py_ssize_t start, Py_ssize_t stop)
    cdef _decode(self, chunk, bint final)
    cdef BinaryStore _store(self)
    cpdef get_buffer(self)
    @cython.locals(phase=int)
    cpdef filled(self, Py_ssize_t size)
    @cython.locals(final=bint)
    cdef _give_piece(self, piece)
    cdef _give_collected(self)
    cdef _finish_message(self)
    cdef _take_collected(self)
    cdef int _drop_message(self) except -1
