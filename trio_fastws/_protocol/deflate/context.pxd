cimport cython

from .agreement cimport Agreement


cdef class DeflateContext:
    cdef readonly Agreement agreement
    cdef readonly long long saved_sent
    cdef readonly long long saved_received
    cdef readonly int streams
    cdef public int step
    cdef public object postponed
    cdef Py_ssize_t _taken
    cdef unsigned char _open
    cdef unsigned char _ended
    cdef bytearray _sent
    cdef bytearray _received
    cdef object _compressor
    cdef object _inflater
    cdef bytes _input

    @cython.locals(agreement=Agreement, data=bytes)
    cpdef bytes compress(self, int opcode, bytes payload, bint fin, bint flush=*)
    @cython.locals(agreement=Agreement, head=bytes, rest=bytes, data=bytes)
    cdef bytes _compress_message(self, bytes payload)
    @cython.locals(agreement=Agreement, rest=bytes, data=bytes)
    cdef bytes _compress_part(self, bytes payload, bint fin, bint flush)
    cdef int _remember(self, bytes payload) except -1
    cpdef add_shared(self, bytes payload, Py_ssize_t size)
    cpdef bint busy(self)
    cpdef Py_ssize_t buffered(self)
    @cython.locals(held=Py_ssize_t)
    cpdef Py_ssize_t memory_size(self) except -1
    cpdef feed(self, bytes payload, bint ended)
    @cython.locals(agreement=Agreement, done=bint, data=bytes, left=bytes)
    cpdef bytes inflate(self, Py_ssize_t room)
    cdef bint _end_message(self, inflater) except? -1
    cdef bint _end_stream(self, bytes rest) except? -1
    cdef int _keep_received(self, bytes data, bint done) except -1
    cpdef count(self, Py_ssize_t size)
    cpdef drop_message(self)
    cpdef end(self)


@cython.locals(excess=Py_ssize_t)
cpdef extend_window(bytearray window, bytes data, Py_ssize_t size)
